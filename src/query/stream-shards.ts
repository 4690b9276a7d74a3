import type { IndexStats } from '../protocol/index-messages.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { type StreamVolume, statsOf } from './stream-volume.ts';

/** Fingerprints from `min` to `max`, both included, and what a range has of their streams. */
export interface StreamShard {
  readonly min: bigint;
  readonly max: bigint;
  readonly stats: IndexStats;
}

const FINGERPRINT_MAX = 2n ** 64n - 1n;

/** Shards that cover all fingerprints, each of at most `bytesMax` bytes but where a single stream has more; those without a stream are part of others. */
export const shardsOf = (
  volumes: readonly StreamVolume[],
  range: TimeRangeNs,
  bytesMax: number,
): readonly StreamShard[] => {
  const inOrder = volumes
    .map((volume) => ({ volume, fingerprint: volume.labels.fingerprint, ...statsOf([volume], range) }))
    .sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
  const shards: { min: bigint; volumes: StreamVolume[] }[] = [{ min: 0n, volumes: [] }];
  let bytes = 0;
  let last: bigint | undefined;
  for (const { volume, fingerprint, bytes: own } of inOrder) {
    // Streams of one fingerprint cannot be told apart by it.
    if (bytes > 0 && bytes + own > bytesMax && fingerprint !== last) {
      shards.push({ min: fingerprint, volumes: [] });
      bytes = 0;
    }
    shards.at(-1)?.volumes.push(volume);
    bytes += own;
    last = fingerprint;
  }
  return shards.map((shard, index) => ({
    min: shard.min,
    max: (shards[index + 1]?.min ?? FINGERPRINT_MAX + 1n) - 1n,
    stats: statsOf(shard.volumes, range),
  }));
};
