import { parseChunkKey } from '../storage/chunk-key.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';

/** Whose chunks, and of what time. */
export interface CopyScope {
  /** None: of all tenants. */
  readonly tenants: readonly string[];
  /** In ms, both included: chunks with a part in it are copied whole. */
  readonly fromMs: number;
  readonly throughMs: number;
}

/** How many there are: to show how far the copy is. Listing is far ahead of copying. */
export const countChunks = async (
  store: ChunkStore,
  scope: CopyScope,
  figures: { chunks: number; isCounted: boolean },
  signal: AbortSignal,
): Promise<void> => {
  for await (const page of chunkPages(store, scope, () => undefined)) {
    figures.chunks += page.length;
    if (signal.aborted) return;
  }
  figures.isCounted = true;
};

/** Chosen: keys of one page of Cloud Storage; about 200 KB. */
const PAGE_KEYS = 1_000;

/**
 * The chunks of a store that are in scope, a page at a time: bounded however many there are. What is put or deleted meanwhile may be in it or not, everything
 * else is in it once.
 * @param onOther gets the objects whose names are no keys of chunks
 */
export async function* chunkPages(
  store: ChunkStore,
  scope: CopyScope,
  onOther: (name: string) => void,
): AsyncGenerator<readonly ChunkRef[], void> {
  let page: ChunkRef[] = [];
  const prefixes = scope.tenants.length > 0 ? new Set(scope.tenants.map((tenant) => `${tenant}/`)) : [''];
  for (const prefix of prefixes) {
    for await (const name of store.list(prefix)) {
      const chunk = parseChunkKey(name);
      if (!chunk) onOther(name);
      else if (chunk.fromMs <= scope.throughMs && chunk.throughMs >= scope.fromMs) page.push(chunk);
      if (page.length < PAGE_KEYS) continue;
      yield page;
      page = [];
    }
  }
  if (page.length > 0) yield page;
}
