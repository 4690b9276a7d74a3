import { BIGTABLE_LAYOUTS } from '../../../src/storage/bigtable-row-key.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { indexStoreContract } from '../../support/stores/index-store-contract.ts';

describe('the Bigtable index store', function () {
  this.timeout(60_000);
  const emulator = suiteBigtable();

  for (const layout of BIGTABLE_LAYOUTS) {
    describe(`in the layout ${layout}`, () => {
      indexStoreContract(async () => {
        const options = bigtableOptions(emulator().host, { layout });
        return { open: () => openBigtable(options), remove: async () => undefined, losesPlacesWhileRead: true };
      });
    });
  }
});
