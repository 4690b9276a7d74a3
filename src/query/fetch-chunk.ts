import type { ChunkRef } from '../storage/index-reader.ts';
import type { QueryContext } from './query-context.ts';
import type { StoredSource } from './query-source.ts';
import type { ChunkBytes } from './scan/scan-messages.ts';
import { unreadableChunk } from './scan/unreadable-chunk.ts';

/** @throws RefusedError INTERNAL as `readChunk` */
export const fetchChunk = async (context: QueryContext, ref: ChunkRef): Promise<ChunkBytes> => {
  const chunk = await context.orStop(readChunk((key) => context.sources.stored.fetch(key), ref));
  context.chunksDownloaded += 1;
  return chunk;
};

/** @throws RefusedError INTERNAL for a chunk that the index names and the store has not: the answer would be silently short */
export const readChunk = async (
  fetch: StoredSource['fetch'],
  { key, checksum }: Pick<ChunkRef, 'key' | 'checksum'>,
): Promise<ChunkBytes> => {
  const bytes = await fetch(key);
  if (!bytes) throw unreadableChunk(key, 'the index names it and the store does not have it');
  return { key, checksum, bytes: ownBuffer(bytes) };
};

/** The buffer moves to a worker: it must hold this chunk alone. */
const ownBuffer = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
