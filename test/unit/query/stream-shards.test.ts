import { expect } from 'chai';
import { shardsOf } from '../../../src/query/stream-shards.ts';
import type { StreamVolume } from '../../../src/query/stream-volume.ts';
import { Turns } from '../../../src/query/turns.ts';
import { systemClock } from '../../../src/system-clock.ts';

const RANGE = { startNs: 0n, endNs: 1_000n };
const MAX = 2n ** 64n - 1n;

const volumeOf = (fingerprint: bigint, bytes: number): StreamVolume => ({
  labels: { canonical: '{}', pairs: [], fingerprint },
  parts: [{ ...RANGE, entries: 1, bytes }],
});
const shards = (volumes: readonly StreamVolume[], bytesMax: number) =>
  shardsOf(volumes, RANGE, bytesMax, new Turns(systemClock));

describe('shards of streams', () => {
  it('cover all fingerprints where there is no stream', async () => {
    expect(await shards([], 10)).to.deep.equal([
      { min: 0n, max: MAX, stats: { streams: 0, chunks: 0, bytes: 0, entries: 0 } },
    ]);
  });

  it('are cut where the next stream would be too much, but not between streams of one fingerprint', async () => {
    const volumes = [volumeOf(9n, 6), volumeOf(MAX, 5), volumeOf(9n, 6), volumeOf(2n, 3), volumeOf(1n, 5)];
    const found = await shards(volumes, 10);
    expect(found.map(({ min, max, stats }) => [min, max, stats.streams, stats.bytes])).to.deep.equal([
      [0n, 8n, 2, 8],
      [9n, MAX - 1n, 2, 12],
      [MAX, MAX, 1, 5],
    ]);
  });

  it('are no more than clients can be told of, however little each is to be', async () => {
    const volumes = Array.from({ length: 10_000 }, (_, index) =>
      volumeOf(BigInt(index) * 7n, index === 0 ? 50_000 : 10),
    );
    const found = await shards(volumes, 1);
    expect(found.length).to.be.within(500, 2_048);
    expect(found.reduce((sum, { stats }) => sum + stats.streams, 0)).to.equal(10_000);
    for (const [index, { max }] of found.entries()) expect(max + 1n).to.equal(found[index + 1]?.min ?? MAX + 1n);
  });
});
