import type { ChunkRef } from '../storage/index-reader.ts';
import type { QueryContext } from './query-context.ts';
import type { ChunkBytes } from './scan/scan-messages.ts';
import { unreadableChunk } from './scan/unreadable-chunk.ts';

/** @throws RefusedError INTERNAL for a chunk that the index names and the store has not: the answer would be silently short */
export const fetchChunk = async (context: QueryContext, { key, checksum }: ChunkRef): Promise<ChunkBytes> => {
  const bytes = await context.orStop(context.sources.stored.fetch(key));
  if (!bytes) throw unreadableChunk(key, 'the index names it and the store does not have it');
  context.chunksDownloaded += 1;
  return { key, checksum, bytes: ownBuffer(bytes) };
};

/** The buffer moves to a worker: it must hold this chunk alone. */
const ownBuffer = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
