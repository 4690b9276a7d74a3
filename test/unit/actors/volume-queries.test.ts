import { expect } from 'chai';
import { VolumeQueries } from '../../../src/actors/volume-queries.ts';
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { HeldVolume } from '../../../src/query/stream-volume.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import type { ChunkRef } from '../../../src/storage/index-reader.ts';
import { ManualClock } from '../../support/clock.ts';
import { labelsOf, MS_NS, T0_MS, T0_NS } from '../../support/entries.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';

const LABELS = labelsOf('{app="web"}');
const RANGE = { startNs: T0_NS - 1000n * MS_NS, endNs: T0_NS + 1000n * MS_NS };
const MATCHERS = [{ name: 'app', op: '=' as const, value: 'web' }];

const block = {
  bytes: Uint8Array.of(1, 2, 3),
  encoding: 'none' as const,
  checksum: 0,
  count: 7,
  minTime: T0_NS,
  maxTime: T0_NS + 10n * MS_NS,
  uncompressedSize: 70,
  hasMetadataSections: true,
};
const chunk = encodeChunk({
  tenant: 'tenant',
  fingerprint: LABELS.fingerprint,
  labels: LABELS.pairs,
  version: 4,
  encoding: 'none',
  blocks: [block],
  symbols: [],
});
const identity = {
  tenant: 'tenant',
  fingerprint: LABELS.fingerprint,
  fromMs: T0_MS,
  throughMs: T0_MS + 10,
  checksum: chunk.checksum,
};
const ref: ChunkRef = { ...identity, key: formatChunkKey('v13', identity) };
const held: HeldVolume = {
  labels: LABELS,
  segments: [
    {
      id: { nodeId: 'a', incarnation: 1, counter: 1 },
      startNs: T0_NS,
      endNs: T0_NS + 10n * MS_NS,
      entries: 7,
      bytes: 70,
    },
  ],
};

describe('the volumes of streams', () => {
  let fetches: number;
  let committed: string | undefined;
  let object: Uint8Array<ArrayBuffer> | undefined;
  let queries: VolumeQueries;

  beforeEach(() => {
    fetches = 0;
    committed = undefined;
    object = chunk.bytes;
    queries = new VolumeQueries({
      clock: new ManualClock(),
      memory: { volumes: async () => [held] },
      stored: {
        index: {
          chunkRefs: () => chunkRefsOf('tenant', [ref.key]),
          labelNames: async () => [],
          labelValues: async () => [],
        },
        chunks: {
          get: async () => {
            fetches += 1;
            return object;
          },
          getRange: () => Promise.reject(new Error('nobody asks for a part')),
        },
      },
      index: { committed: async () => committed },
    });
  });

  const ask = (check = (): void => undefined) => queries.volumes('tenant', MATCHERS, RANGE, check);

  it('count a segment once that was stored while they were asked for', async () => {
    committed = ref.key;
    const [stream, ...others] = await ask();
    expect(others).to.deep.equal([]);
    expect(stream?.labels.canonical).to.equal(LABELS.canonical);
    expect(stream?.parts.map(({ entries, bytes }) => [entries, bytes])).to.deep.equal([[7, 70]]);
  });

  it('count a segment beside a chunk of the same time that it is not in', async () => {
    committed = 'tenant/1/2:3:4';
    expect((await ask()).flatMap(({ parts }) => parts.map(({ entries }) => entries))).to.deep.equal([7, 7]);
  });

  it('fetch a chunk once, for it never changes', async () => {
    await ask();
    await ask();
    expect(fetches).to.equal(1);
  });

  it('are refused where the store has not what its index names', async () => {
    object = undefined;
    const refusal = await ask().catch((error: RefusedError) => error.refusal);
    expect(refusal).to.deep.include({ code: 'INTERNAL' });
  });

  it('end as soon as nobody waits for them', async () => {
    const stop = new RefusedError({ code: 'CANCELLED', text: 'gone' });
    const outcome = await ask(() => {
      throw stop;
    }).catch((error: unknown) => error);
    expect(outcome).to.equal(stop);
    expect(fetches).to.equal(0);
  });
});
