import { memorySide } from '../../support/copy-sides.ts';
import { storeCheckContract } from '../../support/stores/store-check-contract.ts';

describe('a check of a store', () => {
  for (const dump of ['v9-bigtable.json', 'v10-bigtable.json', 'v11-bigtable.json', 'v12-bigtable.json']) {
    storeCheckContract(dump, async (schema) => ({ ...memorySide(schema), remove: async () => undefined }));
  }
});
