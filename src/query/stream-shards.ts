import type { IndexStats } from '../protocol/index-messages.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { sortInTurns } from './sort-in-turns.ts';
import { type StreamVolume, statsOf } from './stream-volume.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';

/** Fingerprints from `min` to `max`, both included, and what a range has of their streams. */
export interface StreamShard {
  readonly min: bigint;
  readonly max: bigint;
  readonly stats: IndexStats;
}

interface OpenShard {
  readonly min: bigint;
  readonly stats: { -readonly [Name in keyof IndexStats]: IndexStats[Name] };
}

const FINGERPRINT_MAX = 2n ** 64n - 1n;
/** However few bytes each is to have (chosen): with the shares that large streams leave open at most twice as many, and 250 KB of an answer. */
const SHARDS_MAX = 1024;

/** Shards that cover all fingerprints, each of at most `bytesMax` bytes but where a single stream has more, or they would be too many. */
export const shardsOf = async (
  volumes: readonly StreamVolume[],
  range: TimeRangeNs,
  bytesMax: number,
  turns: Turns,
): Promise<readonly StreamShard[]> => {
  const streams: { readonly fingerprint: bigint; readonly stats: IndexStats }[] = [];
  let total = 0;
  for (const volume of volumes) {
    const stats = statsOf([volume], range);
    total += stats.bytes;
    streams.push({ fingerprint: volume.labels.fingerprint, stats });
    if (streams.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  const most = Math.max(bytesMax, total / SHARDS_MAX);
  let open: OpenShard = openShard(0n);
  const shards = [open];
  let last: bigint | undefined;
  for (const { fingerprint, stats } of await sortInTurns(streams, byFingerprint, turns)) {
    // Streams of one fingerprint cannot be told apart by it.
    if (open.stats.bytes > 0 && open.stats.bytes + stats.bytes > most && fingerprint !== last) {
      open = openShard(fingerprint);
      shards.push(open);
    }
    open.stats.streams += stats.streams;
    open.stats.chunks += stats.chunks;
    open.stats.bytes += stats.bytes;
    open.stats.entries += stats.entries;
    last = fingerprint;
  }
  return shards.map(({ min, stats }, index) => ({
    min,
    max: (shards[index + 1]?.min ?? FINGERPRINT_MAX + 1n) - 1n,
    stats,
  }));
};

const openShard = (min: bigint): OpenShard => ({ min, stats: { streams: 0, chunks: 0, bytes: 0, entries: 0 } });

const byFingerprint = (a: { readonly fingerprint: bigint }, b: { readonly fingerprint: bigint }): number =>
  a.fingerprint < b.fingerprint ? -1 : Number(a.fingerprint > b.fingerprint);
