import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { IndexCell, IndexLookup, IndexStore } from './index-store.ts';

/** Chosen: hides the round trips of a store on another disk; an embedded one is as fast with one. */
const LOOKUPS_IN_FLIGHT = 16;

/**
 * Reads many rows, some at a time, and shows every batch of cells to `visit`; true ends that lookup. The lookups are drawn from the
 * iterable as they are needed. Rejects with the first error, after which nothing more is read.
 */
export const scanIndex = async <Lookup extends IndexLookup>(
  store: IndexStore,
  lookups: Iterable<Lookup>,
  visit: (cells: readonly IndexCell[], lookup: Lookup) => boolean,
): Promise<void> => {
  if (store.scan) return await store.scan(lookups, visit);
  await forEachConcurrent(lookups, LOOKUPS_IN_FLIGHT, async (lookup) => {
    for await (const cells of store.read(lookup)) if (visit(cells, lookup)) return;
  });
};
