import { expect } from 'chai';
import type { Stage } from '../../../src/logql/ast.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { HiddenEntries } from '../../../src/query/scan/hidden-entries.ts';
import { type ReadSources, sourceMarks } from '../../../src/query/source-marks.ts';
import { Turns } from '../../../src/query/turns.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { ManualClock } from '../../support/clock.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';

const MS_NS = 1_000_000n;
const BASE_MS = Number(BASE_NS / MS_NS);

interface Chunk {
  readonly fingerprint?: bigint;
  readonly fromMs: number;
  readonly throughMs: number;
  readonly checksum?: number;
}

interface Sources {
  readonly tenant?: string;
  readonly chunks?: readonly Chunk[];
  readonly memory?: readonly ReturnType<typeof segmentOf>[];
  readonly hidden?: HiddenEntries;
}

/** Times in ms after the base. */
const readSources = async ({ tenant = 't', chunks = [], memory = [], hidden }: Sources): Promise<ReadSources> => {
  const keys = chunks.map(({ fingerprint = 1n, fromMs, throughMs, checksum = 7 }) => {
    const bounds = { fromMs: BASE_MS + fromMs, throughMs: BASE_MS + throughMs };
    return formatChunkKey('v13', { tenant, fingerprint, checksum, ...bounds });
  });
  const refs = await chunkRefsOf(tenant, keys);
  const held = { memory: [{ labels: labelSetOf(['app', 'm']), segments: memory }], refs: undefined };
  const streams = () => [...Array.from(refs.streams(), (stored) => ({ memory: [], refs: stored })), held];
  const gathered = { streams, chunkRefs: keys.length, streamsInMemory: 1, chunksInMemory: memory.length };
  return { tenant, hidden, gathered };
};

const markOf = async (sources: readonly Sources[], startMs = 100, endMs = 200): Promise<string | undefined> => {
  const range = { startNs: BASE_NS + BigInt(startMs) * MS_NS, endNs: BASE_NS + BigInt(endMs) * MS_NS };
  const tenants = await Promise.all(sources.map(readSources));
  const [mark] = await sourceMarks(tenants, [range], new Turns(new ManualClock()));
  return mark;
};

const CHUNK: Chunk = { fromMs: 150, throughMs: 250 };
const OTHER: Chunk = { fingerprint: 2n, fromMs: 50, throughMs: 120 };

const deleteOf = (startMs: number, endMs: number, stages: readonly Stage[] = []): HiddenEntries => ({
  deletes: [
    {
      matchers: [{ name: 'app', op: '=', value: 'a' }],
      stages,
      startNs: BASE_NS + BigInt(startMs) * MS_NS,
      endNs: BASE_NS + BigInt(endMs) * MS_NS,
    },
  ],
  retention: [],
});

const keptFrom = (ms: number | undefined): HiddenEntries => ({
  deletes: [],
  retention: [{ matchers: [], keptFromNs: ms === undefined ? undefined : BASE_NS + BigInt(ms) * MS_NS }],
});

describe('the mark of what a range is read from', () => {
  it('is the same whatever order the store has its chunks in, and whatever lies outside', async () => {
    const mark = await markOf([{ chunks: [CHUNK, OTHER] }]);
    expect(mark).to.be.a('string');
    expect(await markOf([{ chunks: [OTHER, CHUNK] }])).to.equal(mark);
    const outside = [
      { fromMs: 0, throughMs: 99 },
      { fromMs: 201, throughMs: 300 },
    ];
    expect(await markOf([{ chunks: [OTHER, ...outside, CHUNK] }])).to.equal(mark);
    const memory = [segmentOf([[at(300_000_000, 'later')]])];
    expect(await markOf([{ chunks: [CHUNK, OTHER], memory }])).to.equal(mark);
    expect(await markOf([{ chunks: [CHUNK, OTHER], hidden: deleteOf(201, 900) }])).to.equal(mark);
    expect(await markOf([{ chunks: [CHUNK, OTHER], hidden: keptFrom(100) }])).to.equal(mark);
    expect(await markOf([{ chunks: [CHUNK, OTHER], hidden: keptFrom(undefined) }])).to.equal(mark);
  });

  it('is another one for any other chunks, deletes or tenants', async () => {
    const marks = await Promise.all([
      markOf([{ chunks: [] }]),
      markOf([{ chunks: [CHUNK] }]),
      markOf([{ chunks: [CHUNK, OTHER] }]),
      markOf([{ chunks: [{ ...CHUNK, checksum: 8 }] }]),
      markOf([{ chunks: [{ ...CHUNK, fromMs: 151 }] }]),
      markOf([{ chunks: [{ ...CHUNK, throughMs: 251 }] }]),
      markOf([{ chunks: [{ ...CHUNK, fingerprint: 3n }] }]),
      markOf([{ chunks: [CHUNK], hidden: deleteOf(0, 100) }]),
      markOf([{ chunks: [CHUNK], hidden: deleteOf(0, 101) }]),
      markOf([{ chunks: [CHUNK], tenant: 'u' }]),
      markOf([{ chunks: [CHUNK] }, { tenant: 'u' }]),
      markOf([{}, { tenant: 'u', chunks: [CHUNK] }]),
    ]);
    expect(marks).to.not.include(undefined);
    expect(new Set(marks).size).to.equal(marks.length);
  });

  it('is none where entries are not stored yet, or are hidden by their age or the clock', async () => {
    const unflushed = segmentOf([[at(90_000_000, 'before'), at(210_000_000, 'after')]]);
    expect(await markOf([{ chunks: [CHUNK], memory: [unflushed] }])).to.equal(undefined);
    expect(await markOf([{ chunks: [CHUNK], hidden: keptFrom(101) }])).to.equal(undefined);
    const byClock = deleteOf(0, 101, [{ kind: 'lineFormat', template: '{{ now }}' }]);
    expect(await markOf([{ chunks: [CHUNK], hidden: byClock }])).to.equal(undefined);
    expect(await markOf([{ chunks: [CHUNK] }, { tenant: 'u', memory: [unflushed] }])).to.equal(undefined);
  });

  it('takes in many chunks', async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ ...CHUNK, checksum: index }));
    const mark = await markOf([{ chunks: many }]);
    expect(await markOf([{ chunks: many.toReversed() }])).to.equal(mark);
    expect(await markOf([{ chunks: many.slice(1) }])).to.not.equal(mark);
    expect(await markOf([{ chunks: many.slice(0, -1) }])).to.not.equal(mark);
  });

  it('is made in turns, by what there is to hash: each chunk may be in all ranges', async () => {
    const COUNT = 100;
    const chunks = Array.from({ length: COUNT }, (_, index) => ({ ...CHUNK, fingerprint: BigInt(index) }));
    const ranges = Array.from({ length: COUNT }, (_, index) => ({
      startNs: BASE_NS + BigInt(100 + index) * MS_NS,
      endNs: BASE_NS + BigInt(200 + index) * MS_NS,
    }));
    let looks = 0;
    const clock = {
      monotonicMs: () => {
        looks += 1;
        return 0;
      },
    };
    const marks = await sourceMarks([await readSources({ chunks })], ranges, new Turns(clock));
    expect(new Set(marks)).to.have.property('size', 1);
    expect(looks).to.be.above((COUNT * COUNT) / 512);
  });
});
