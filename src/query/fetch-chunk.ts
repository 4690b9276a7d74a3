import { crc32c } from '../chunk/checksum.ts';
import { decodeChunk } from '../chunk/chunk-object.ts';
import { outlineGaps } from '../chunk/chunk-outline.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { QueryContext } from './query-context.ts';
import { isWanted } from './scan/block-sources.ts';
import { HEAD_SIZE, ROUNDS_MAX, tailSizeOf } from './scan/chunk-parts.ts';
import type { ChunkBytes, ChunkFile, ChunkSource } from './scan/scan-messages.ts';
import type { SkipStream, SkipTest } from './scan/skip-test.ts';
import { missingChunk } from './scan/unreadable-chunk.ts';
import { boundsOfRef } from './slice-plan.ts';
import { SparseObject } from './sparse-object.ts';

/** What a scan needs of chunks. */
export interface ChunkWant {
  readonly range: TimeRangeNs;
  /** Rules out blocks; undefined if it wants them whatever they hold. */
  readonly mayPass: SkipTest | undefined;
}

type WantedRef = Pick<ChunkRef, 'key' | 'checksum' | 'fromMs' | 'throughMs'>;

/** Of a chunk's time: with less than this wanted of it, its metas are read first, and then blocks. Above it one request is cheaper than three. */
const WANTED_SHARE_MAX = 1 / 3;

/** The chunk for a task of this query. @throws RefusedError INTERNAL as `readChunk` */
export const fetchChunk = async (context: QueryContext, ref: ChunkRef, want: ChunkWant): Promise<ChunkSource> => {
  const { chunks } = context.sources.stored;
  const chunk = fileForPart(chunks, ref, want) ?? (await context.orStop(readChunk(chunks, ref, want)));
  context.chunksDownloaded += 1;
  return chunk;
};

/** Of chunks their filters are read first, by the thread that scans: tens of microseconds each. */
export const readsEnds = ({ sources }: QueryContext, mayPass: SkipTest | undefined): boolean =>
  mayPass !== undefined && sources.stored.chunks.fileOf !== undefined;

/** For a thread to read by itself: where little is wanted of a chunk, and it is a file. undefined: it is to be read for it. */
export const fileForPart = (chunks: ChunkReader, ref: WantedRef, want: ChunkWant): ChunkFile | undefined => {
  if (!chunks.fileOf || !wantsPart(ref, want)) return undefined;
  const { key, checksum } = ref;
  return { key, checksum, path: chunks.fileOf(key) };
};

/**
 * The chunk, or of one of which little is wanted that part. A part that does not fit, by its own checksums, or is of another object, is not
 * used: then the whole is read, which has a checksum in its key.
 * @throws RefusedError INTERNAL for a chunk that the index names and the store has not: the answer would be silently short
 */
export const readChunk = async (chunks: ChunkReader, ref: WantedRef, want: ChunkWant): Promise<ChunkBytes> => {
  const { key, checksum } = ref;
  const part = wantsPart(ref, want) ? await readPart(chunks, ref, want) : undefined;
  if (part) return part;
  const bytes = await chunks.get(key);
  if (!bytes) throw missingChunk(key);
  return { key, checksum, bytes: ownBuffer(bytes), isPart: false };
};

const wantsPart = (ref: WantedRef, { mayPass, range }: ChunkWant): boolean =>
  mayPass !== undefined || shareOf(ref, range) < WANTED_SHARE_MAX;

/** How much of the chunk's time lies in the range. */
const shareOf = (ref: Pick<ChunkRef, 'fromMs' | 'throughMs'>, range: TimeRangeNs): number => {
  const { startNs, endNs } = boundsOfRef(ref);
  const first = startNs > range.startNs ? startNs : range.startNs;
  const last = endNs < range.endNs ? endNs : range.endNs;
  return Number(last - first) / Math.max(1, Number(endNs - startNs));
};

/** undefined: read the whole. */
const readPart = async (
  chunks: ChunkReader,
  { key, checksum }: Pick<ChunkRef, 'key' | 'checksum'>,
  want: ChunkWant,
): Promise<ChunkBytes | undefined> => {
  const tail = tailSizeOf(want.mayPass !== undefined);
  const object = await SparseObject.open(chunks, key, { head: HEAD_SIZE, tail });
  if (!object) return undefined;
  const { bytes, isWhole } = object;
  if (isWhole) return crc32c(bytes) === checksum >>> 0 ? { key, checksum, bytes, isPart: false } : undefined;
  try {
    return (await readBlocks(object, want)) ? { key, checksum, bytes, isPart: true } : undefined;
  } catch (error) {
    if (error instanceof CorruptChunkError) return undefined;
    throw error;
  }
};

/** Everything but the blocks, and of these the wanted ones, checked. False if the object is another one by now. @throws CorruptChunkError */
const readBlocks = async (object: SparseObject, { range, mayPass }: ChunkWant): Promise<boolean> => {
  const bytes = Buffer.from(object.bytes.buffer);
  for (let round = 0; ; round += 1) {
    const gaps = outlineGaps(bytes, (span) => object.isRead(span), mayPass !== undefined);
    if (gaps.length === 0) break;
    if (round === ROUNDS_MAX || !(await object.read(gaps))) return false;
  }
  const view = decodeChunk(bytes);
  // Which names there are is for the worker to find out, in texts that may be megabytes inflated: it wants no more than this.
  const stream: SkipStream = { labels: view.labels, mayHaveMetadata: () => view.hasMetadata };
  const wanted = [...view.blocks.keys()].filter((index) => {
    const filter = view.skipFilter(index);
    return isWanted(view.blocks[index]!, range) && (!mayPass || !filter || mayPass(filter, stream));
  });
  if (!(await object.read(wanted.map((index) => view.blockSpan(index))))) return false;
  for (const index of wanted) view.blockBytes(index);
  return true;
};

/** The buffer moves to a worker: it must hold this chunk alone. */
const ownBuffer = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
