import { setImmediate as nextTurn } from 'node:timers/promises';
import { isLogged, type UnflushedSegment } from '../chunk/memory-format.ts';
import { type FingerprintShard, isInShard } from '../protocol/fingerprint-shard.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkBound } from '../storage/chunk-bound.ts';
import type { ChunkRefs, StreamRefs } from '../storage/chunk-refs.ts';
import type { MemoryStream, QuerySources } from './query-source.ts';

/** Everything that may hold entries of the streams with one fingerprint: as a rule one stream. */
export interface GatheredStream {
  readonly memory: readonly MemoryStream[];
  /** undefined: nothing of it is stored. */
  readonly refs: StreamRefs | undefined;
}

export const fingerprintOf = ({ memory, refs }: GatheredStream): bigint =>
  memory[0]?.labels.fingerprint ?? refs?.fingerprint ?? 0n;

export interface GatheredCounts {
  /** Stored chunks. */
  readonly chunkRefs: number;
  readonly streamsInMemory: number;
  readonly chunksInMemory: number;
}

export interface Gathered extends GatheredCounts {
  /** Made as they are asked for: there may be 100,000. */
  streams(): Iterable<GatheredStream>;
}

export interface GatherOptions {
  readonly signal: AbortSignal;
  readonly onMissing?: ((reason: string) => void) | undefined;
  readonly bound?: ChunkBound;
}

/** Taken in one turn of the event loop, each about a microsecond: a selector may match 100,000. */
const STREAMS_A_TURN = 4096;

/**
 * Asks memory, then the store. Never the other way: what is flushed in between then shows in both, and the merge drops the second; asked
 * the other way it would show in neither.
 */
export const gatherStreams = async (
  sources: QuerySources,
  tenant: string,
  matchers: readonly LabelMatcher[],
  range: TimeRangeNs,
  { signal, onMissing, bound }: GatherOptions,
): Promise<Gathered> => {
  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);
  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range, bound);
  const inMemory = new Map<bigint, MemoryStream[]>();
  let chunksInMemory = 0;
  for (const [index, stream] of memory.entries()) {
    if (index > 0 && index % STREAMS_A_TURN === 0) await nextTurn();
    const { fingerprint } = stream.labels;
    const known = inMemory.get(fingerprint);
    if (known) known.push(stream);
    else inMemory.set(fingerprint, [stream]);
    chunksInMemory += stream.segments.length;
  }
  return {
    streams: () => unitedStreams(inMemory, refs),
    chunkRefs: refs.count,
    streamsInMemory: memory.length,
    chunksInMemory,
  };
};

/** Those of a shard. The counts stay those of all: they are of what the query matches, however many ask for its parts. */
export const shardOf = (gathered: Gathered, shard: FingerprintShard): Gathered => ({
  ...gathered,
  streams: () => streamsOfShard(gathered, shard),
});

function* streamsOfShard(gathered: Gathered, shard: FingerprintShard): Generator<GatheredStream> {
  for (const stream of gathered.streams()) {
    if (isInShard(shard, fingerprintOf(stream))) yield stream;
  }
}

function* unitedStreams(
  inMemory: ReadonlyMap<bigint, readonly MemoryStream[]>,
  refs: ChunkRefs,
): Generator<GatheredStream> {
  for (const [fingerprint, memory] of inMemory) yield { memory, refs: refs.ofStream(fingerprint) };
  for (const stored of refs.streams()) {
    if (!inMemory.has(stored.fingerprint)) yield { memory: [], refs: stored };
  }
}

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
