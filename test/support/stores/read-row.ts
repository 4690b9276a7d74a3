import type { IndexCell } from '../../../src/storage/index-cells.ts';
import type { IndexLookup, IndexStore } from '../../../src/storage/index-store.ts';

/** All that a lookup finds. */
export const readRow = async (store: Pick<IndexStore, 'scan'>, lookup: IndexLookup): Promise<readonly IndexCell[]> => {
  const found: IndexCell[] = [];
  await store.scan([lookup], (cells) => {
    found.push(...cells);
    return false;
  });
  return found;
};
