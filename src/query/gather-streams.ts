import { isLogged, type UnflushedSegment } from '../chunk/memory-format.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { MemoryStream, QuerySources } from './query-source.ts';

/** Everything that may hold entries of the streams with one fingerprint: as a rule one stream. */
export interface GatheredStream {
  readonly fingerprint: bigint;
  readonly memory: MemoryStream[];
  readonly refs: ChunkRef[];
}

export interface Gathered {
  readonly streams: readonly GatheredStream[];
  readonly chunkRefs: number;
  readonly streamsInMemory: number;
  readonly chunksInMemory: number;
}

const NS_PER_MS = 1_000_000n;

/**
 * Asks memory, then the store. Never the other way: what is flushed in between then shows in both, and the merge drops the second; asked
 * the other way it would show in neither.
 */
export const gatherStreams = async (
  sources: QuerySources,
  tenant: string,
  matchers: readonly LabelMatcher[],
  range: TimeRangeNs,
  signal: AbortSignal,
  onMissing?: (reason: string) => void,
): Promise<Gathered> => {
  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);
  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range);
  const streams = new Map<bigint, GatheredStream>();
  const of = (fingerprint: bigint): GatheredStream => {
    const known = streams.get(fingerprint);
    if (known) return known;
    const made = { fingerprint, memory: [], refs: [] };
    streams.set(fingerprint, made);
    return made;
  };
  let chunksInMemory = 0;
  for (const stream of memory) {
    of(stream.labels.fingerprint).memory.push(stream);
    chunksInMemory += stream.segments.length;
  }
  for (const ref of refs) of(ref.fingerprint).refs.push(ref);
  return {
    streams: [...streams.values()],
    chunkRefs: refs.length,
    streamsInMemory: memory.length,
    chunksInMemory,
  };
};

/** Bounds of a stored chunk: its key has whole milliseconds, rounded outwards. */
export const boundsOfRef = ({ fromMs, throughMs }: Pick<ChunkRef, 'fromMs' | 'throughMs'>): TimeRangeNs => ({
  startNs: BigInt(fromMs) * NS_PER_MS,
  endNs: BigInt(throughMs) * NS_PER_MS,
});

/** Bounds of a segment; undefined if it holds nothing. */
export const boundsOfSegment = (segment: UnflushedSegment): TimeRangeNs | undefined => {
  if (isLogged(segment)) return { startNs: segment.minTime, endNs: segment.maxTime };
  const { blocks, heads } = segment;
  let startNs: bigint | undefined;
  let endNs: bigint | undefined;
  for (const { count, minTime, maxTime } of [...blocks, ...heads]) {
    if (count === 0) continue;
    if (startNs === undefined || minTime < startNs) startNs = minTime;
    if (endNs === undefined || maxTime > endNs) endNs = maxTime;
  }
  return startNs === undefined || endNs === undefined ? undefined : { startNs, endNs };
};
