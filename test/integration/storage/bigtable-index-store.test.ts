import { BIGTABLE_LAYOUTS } from '../../../src/storage/bigtable-row-key.ts';
import { BigtableProcess, needsBigtable } from '../../support/bigtable-process.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { indexStoreContract } from '../../support/stores/index-store-contract.ts';

describe('the Bigtable index store', function () {
  this.timeout(60_000);
  let emulator: BigtableProcess;

  before(async function () {
    needsBigtable(this);
    emulator = await BigtableProcess.start();
  });

  after(async () => {
    await emulator?.kill();
  });

  for (const layout of BIGTABLE_LAYOUTS) {
    describe(`in the layout ${layout}`, () => {
      indexStoreContract(async () => {
        const options = bigtableOptions(emulator.host, { layout });
        return { open: () => openBigtable(options), remove: async () => undefined, losesPlacesWhileRead: true };
      });
    });
  }
});
