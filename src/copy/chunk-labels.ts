import { decodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { DAY_MS } from '../storage/schema-config.ts';

/** Chosen: each day has a row of its own; nobody keeps a chunk open for so long. */
const SPAN_MS_MAX = 1_000 * DAY_MS;

/** Whether the times of the key make a bounded number of rows. */
export const hasSpan = ({ fromMs, throughMs }: ChunkRef): boolean =>
  throughMs >= fromMs && throughMs - fromMs <= SPAN_MS_MAX;

/**
 * The labels of the stream, from the chunk itself.
 * @throws CorruptChunkError if the bytes are not those that the key names, or are of another chunk
 */
export const labelsInChunk = (bytes: Uint8Array, { tenant, fingerprint, checksum }: ChunkRef): LabelSet => {
  const view = decodeChunk(bytes, { checksum });
  if (view.tenant !== tenant) throw new CorruptChunkError(`it belongs to the tenant ${view.tenant}`);
  if (view.fingerprint !== fingerprint) {
    throw new CorruptChunkError(`it belongs to the stream ${view.fingerprint.toString(16)}`);
  }
  return labelSetOf(view.labels);
};
