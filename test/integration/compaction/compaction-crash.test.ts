import { expect } from 'chai';
import { BlockCursor } from '../../../src/chunk/block-reader.ts';
import { decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { ChunkRemoval } from '../../../src/compaction/chunk-removal.ts';
import { Compaction, type PassOutcome } from '../../../src/compaction/compaction.ts';
import { DeleteRequests } from '../../../src/compaction/delete-requests.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { readLimits } from '../../../src/protocol/limits.ts';
import { rewriteChunk } from '../../../src/query/scan/rewrite-chunk.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { ChunkMarks } from '../../../src/storage/chunk-marks.ts';
import { chunkEntries, chunkKeyOfCell, seriesIdOf } from '../../../src/storage/index-row.ts';
import { COMPACTOR_TABLE } from '../../../src/storage/own-tables.ts';
import { createSchemaConfig, DAY_MS } from '../../../src/storage/schema-config.ts';
import { SeriesLabels } from '../../../src/storage/series-labels.ts';
import { ManualClock } from '../../support/clock.ts';
import { refOf } from '../../support/copy-sides.ts';
import { eventually } from '../../support/eventually.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';
import { at, BASE_NS, segmentOf } from '../../unit/query/test-blocks.ts';

const BASE_MS = Number(BASE_NS / 1_000_000n);
const schema = createSchemaConfig([
  { from: '2023-01-01', schema: 'v12', prefix: 'index_', periodHours: 24, rowShards: 2 },
]);
const WEB = labelSetOf(['app', 'web']);

/** The process ends here: nothing after this step is done. */
class Crash extends Error {}

/** Stores that outlive their users, who end at the step that is asked for. */
class World {
  readonly index = new MemoryIndexStore();
  readonly chunks = new MemoryChunkStore();
  readonly clock = new ManualClock(BASE_MS + 10 * DAY_MS);
  readonly requests = new DeleteRequests(this.index, schema);
  /** Rows without their object, found after any step. */
  readonly dangling: string[] = [];
  steps = 0;
  crashAt = Number.POSITIVE_INFINITY;
  isDone = false;

  constructor() {
    this.index.before = (operation) => (operation === 'read' ? undefined : this.#step());
    this.chunks.before = (operation) => (operation === 'get' ? undefined : this.#step());
  }

  #step(): void {
    if (!this.isDone) return;
    this.check();
    this.steps += 1;
    if (this.steps > this.crashAt) throw new Crash();
  }

  check(): void {
    for (const key of this.keys()) if (!this.chunks.objects.has(key)) this.dangling.push(key);
  }

  keys(): readonly string[] {
    return [
      ...new Set(
        this.index.entries().flatMap(({ table, rangeValue }) => {
          const key = table.startsWith('index_') ? chunkKeyOfCell(rangeValue) : undefined;
          return key === undefined ? [] : [key];
        }),
      ),
    ];
  }

  /** Lines that are stored and indexed, of all chunks. */
  async store(lines: readonly (readonly [number, string])[], labels = WEB): Promise<void> {
    const segment = segmentOf([lines.map(([time, line]) => at(time, line))]);
    const { bytes, fromMs, throughMs, checksum } = encodeChunk({
      tenant: 't',
      fingerprint: labels.fingerprint,
      labels: labels.pairs,
      version: 4,
      encoding: 'snappy',
      blocks: segment.blocks,
      symbols: segment.symbols,
    });
    const key = chunkKey(schema, { tenant: 't', fingerprint: labels.fingerprint, fromMs, throughMs, checksum });
    await this.chunks.put(key, bytes);
    await this.index.write(chunkEntries(schema, { tenant: 't', labels, fromMs, throughMs, key }));
  }

  removal(): ChunkRemoval {
    const { index, chunks, clock } = this;
    const series = new SeriesLabels(index);
    return new ChunkRemoval({
      index,
      chunks,
      schema,
      marks: new ChunkMarks(index, schema),
      labels: series,
      clock,
      delayMs: 1000,
    });
  }

  compaction(isHere: (name: string) => boolean = () => true, limits: object = {}, overlapMs = 0): Compaction {
    const { index, chunks, clock, requests } = this;
    const series = new SeriesLabels(index);
    return new Compaction(
      { cancelPeriodMs: 1000, chunksPerSecond: 1e6 },
      {
        index,
        chunks,
        schema,
        labels: series,
        removal: this.removal(),
        requests,
        clock,
        limits: readLimits(limits),
        rewrite: rewriteChunk,
        report: (_problem, error) => {
          throw error;
        },
        overlapMs,
        restMs: 0,
        isDryRun: false,
        isHere,
      },
    );
  }

  /** Passes until nothing changes, the clock moved on between them. */
  async settle(compaction = this.compaction()): Promise<PassOutcome> {
    let outcome = await compaction.run(SIGNAL);
    for (let passes = 0; passes < 3; passes += 1) {
      this.clock.advance(2000);
      outcome = await compaction.run(SIGNAL);
    }
    return outcome;
  }
}

const SIGNAL = new AbortController().signal;
const DAY_NS = DAY_MS * 1_000_000;

/** Three chunks over two days each, one of them wholly within the request, and one outside. */
const newWorld = async (): Promise<World> => {
  const world = new World();
  await world.store([
    [0, 'a secret'],
    [DAY_NS, 'a plain'],
  ]);
  await world.store([
    [1_000_000, 'b secret'],
    [2_000_000, 'b too, secret'],
  ]);
  await world.store([
    [DAY_NS + 5_000_000, 'c plain'],
    [DAY_NS + 6_000_000, 'c secret'],
  ]);
  await world.store([[5 * DAY_NS, 'd secret']]);
  await world.requests.add({
    tenant: 't',
    requestId: '00000001',
    query: '{app="web"} |= "secret"',
    startMs: BASE_MS - DAY_MS,
    endMs: BASE_MS + 2 * DAY_MS,
    createdMs: BASE_MS + 3 * DAY_MS,
  });
  world.isDone = true;
  return world;
};

const indexed = (world: World): readonly string[] => {
  const found: string[] = [];
  for (const key of world.keys()) {
    const bytes = world.chunks.objects.get(key);
    const view = decodeChunk(bytes ?? new Uint8Array());
    for (const block of view.blocks.keys()) {
      const plain = view.inflateBlock(block);
      const cursor = new BlockCursor(plain, true);
      while (cursor.next()) found.push(plain.toString('utf8', cursor.lineStart, cursor.lineEnd));
    }
  }
  return [...new Set(found)].sort();
};

const LEFT = ['a plain', 'c plain', 'd secret'];

describe('a compaction that is cut', function () {
  this.timeout(60_000);

  it('goes on after a crash at any step: nothing that is kept is lost, no row is ever without its object, nothing is left behind', async () => {
    const whole = await newWorld();
    await whole.settle();
    const steps = whole.steps;
    expect(steps).to.be.greaterThan(15);
    for (let crashAt = 0; crashAt < steps; crashAt += 1) {
      const world = await newWorld();
      world.crashAt = crashAt;
      await world.settle().then(
        () => expect.fail(`no crash at step ${crashAt}`),
        (error: unknown) => expect(error).to.be.instanceOf(Crash),
      );
      for (const line of LEFT) expect(indexed(world), `after step ${crashAt}`).to.include(line);
      world.crashAt = Number.POSITIVE_INFINITY;
      await world.settle();
      expect(world.dangling, `crash at step ${crashAt}`).to.deep.equal([]);
      expect(indexed(world), `crash at step ${crashAt}`).to.deep.equal(LEFT);
      expect([...world.chunks.objects.keys()].sort(), `crash at step ${crashAt}`).to.deep.equal(
        [...world.keys()].sort(),
      );
      expect((await world.requests.ofTenant('t')).map(({ isProcessed }) => isProcessed)).to.deep.equal([true]);
    }
  });

  it('does no harm when two nodes both take a table for theirs', async () => {
    const world = await newWorld();
    const [one, two] = [world.compaction(), world.compaction()];
    await Promise.all([one.run(SIGNAL), two.run(SIGNAL)]);
    await world.settle(one);
    expect(indexed(world)).to.deep.equal(LEFT);
    expect([...world.chunks.objects.keys()].sort()).to.deep.equal([...world.keys()].sort());
    expect(world.dangling).to.deep.equal([]);
  });

  it('is done table by table by those nodes that have them, and a request is processed once all are done', async () => {
    const world = await newWorld();
    const tables = (await world.index.tables()).filter((table) => table.startsWith('index_')).sort();
    const mine = (name: string): boolean => name === tables[0];
    const first = await world.compaction(mine).run(SIGNAL);
    expect(first).to.include({ tables: 1, pending: 1 });
    expect((await world.requests.ofTenant('t')).map(({ doneTables }) => [...doneTables])).to.deep.equal([[tables[0]]]);
    const second = await world.compaction((name) => !mine(name)).run(SIGNAL);
    expect(second.processed.map(({ requestId }) => requestId)).to.deep.equal(['00000001']);
    expect(indexed(world)).to.deep.equal(LEFT);
  });

  it('applies a request to a chunk of two tables though one of them was done before', async () => {
    const world = await newWorld();
    const [first = '', second = ''] = (await world.index.tables()).filter((table) => table.startsWith('index_')).sort();
    const [request] = await world.requests.ofTenant('t');
    await world.requests.markDone(request!, first);
    await world.requests.add({ ...request!, requestId: '00000002', query: '{app="other"}' });
    expect(await world.compaction().run(SIGNAL)).to.include({ rewritten: 2, pending: 0 });
    expect(second).to.not.equal('');
    expect(indexed(world)).to.not.include('a secret');
    expect(indexed(world), 'what lies in the table that was done').to.include('b secret');
  });

  it('keeps an object for as long as queries may read it after its rows are gone', async () => {
    const world = await newWorld();
    const before = [...world.chunks.objects.keys()];
    await world.compaction().run(SIGNAL);
    for (const key of before) expect(world.chunks.objects.has(key), key).to.equal(true);
    world.clock.advance(999);
    await world.compaction().run(SIGNAL);
    for (const key of before) expect(world.chunks.objects.has(key), key).to.equal(true);
    world.clock.advance(1);
    await world.compaction().run(SIGNAL);
    expect(before.filter((key) => world.chunks.objects.has(key)).length).to.equal(1);
  });

  it('keeps old rows of chunks written anew while queries may be between two parts of a row, and goes on meanwhile', async () => {
    const world = await newWorld();
    await world.store(
      [
        [1_000_000, 'e plain'],
        [2_000_000, 'e secret'],
      ],
      labelSetOf(['app', 'web', 'env', 'prod']),
    );
    const old = world.keys();
    const running = world.compaction(() => true, {}, 60_000).run(SIGNAL);
    const written = (): readonly string[] => world.keys().filter((key) => !old.includes(key));
    // Two of the first table.
    await eventually('both are written anew', () => written().length === 2, written);
    expect(world.keys()).to.include.members([...old]);
    world.clock.advance(59_999);
    expect(world.keys()).to.include.members([...old]);
    world.clock.advance(1);
    await eventually('the chunk of the next table is written anew', () => written().length === 3, written);
    world.clock.advance(60_000);
    await running;
    expect(world.keys()).to.have.length(4);
    expect(indexed(world)).to.deep.equal(['a plain', 'c plain', 'd secret', 'e plain']);
  });

  it('removes the rows first of a chunk that was only marked, and lets its object wait again', async () => {
    const world = await newWorld();
    const [key = ''] = world.keys();
    await new ChunkMarks(world.index, schema).add([{ key, series: seriesIdOf(WEB), markedMs: world.clock.nowMs() }]);
    world.clock.advance(1000);
    expect(await world.removal().sweep(SIGNAL)).to.equal(0);
    expect([world.keys().includes(key), world.chunks.objects.has(key)]).to.deep.equal([false, true]);
    world.clock.advance(999);
    expect(await world.removal().sweep(SIGNAL)).to.equal(0);
    world.clock.advance(1);
    expect(await world.removal().sweep(SIGNAL)).to.equal(1);
    expect(world.chunks.objects.has(key)).to.equal(false);
  });

  it('looks into no table that the schema does not name', async () => {
    const world = await newWorld();
    for (const table of ['index_x', 'index_', 'other_19675', 'my-index_19675']) {
      await world.index.write([{ table, hashValue: 'row', rangeValue: '\0\0\0\x003\0', value: '-' }]);
    }
    const outcome = await world.compaction(() => true, { retention_period: '1d' }).run(SIGNAL);
    expect(outcome.tables).to.equal(3);
  });

  it('leaves a request alone that may still be cancelled, and one of a tenant whose deletes only filter', async () => {
    const world = await newWorld();
    const filtering = world.compaction(() => true, { deletion_mode: 'filter-only' });
    expect(await filtering.run(SIGNAL)).to.include({ tables: 0, pending: 1, deleted: 0, rewritten: 0 });
    const [request] = await world.requests.ofTenant('t');
    await world.requests.add({ ...request!, createdMs: world.clock.nowMs() - 999 });
    expect(await world.compaction().run(SIGNAL)).to.include({ tables: 0, pending: 1, deleted: 0, rewritten: 0 });
    world.clock.advance(1);
    expect(await world.compaction().run(SIGNAL)).to.include({ pending: 0, deleted: 1, rewritten: 2 });
  });

  it('takes them off a young day too, once it is old enough', async () => {
    const world = await newWorld();
    world.clock.advance(-9 * DAY_MS);
    const labelRows = (): number => world.index.entries().filter(({ hashValue }) => hashValue.includes(':logs')).length;
    const gone = world.keys().map((key) => ({ ref: refOf(key), series: seriesIdOf(WEB) }));
    await world.removal().remove(gone);
    expect(labelRows(), 'kept: a flush may take them for written').to.be.greaterThan(0);
    world.clock.advance(2000);
    await world.removal().sweep(SIGNAL);
    expect(labelRows()).to.be.greaterThan(0);
    world.clock.advance(9 * DAY_MS);
    await world.removal().sweep(SIGNAL);
    expect(labelRows()).to.equal(0);
    expect(world.index.entries().filter(({ table }) => table === COMPACTOR_TABLE).length, 'notes').to.equal(1);
  });

  it('leaves label rows of a series that has chunks again on its young day', async () => {
    const world = await newWorld();
    world.clock.advance(-9 * DAY_MS);
    const before = world.index.entries().filter(({ hashValue }) => hashValue.includes(':logs'));
    await world.removal().remove(world.keys().map((key) => ({ ref: refOf(key), series: seriesIdOf(WEB) })));
    await world.store([[0, 'again']]);
    world.clock.advance(9 * DAY_MS);
    await world.removal().sweep(SIGNAL);
    const after = world.index.entries().filter(({ hashValue }) => hashValue.includes(':logs'));
    expect(after.map(({ hashValue }) => hashValue)).to.have.length(2);
    expect(before.length).to.be.greaterThan(2);
  });

  it('takes label rows off that a crash left behind', async () => {
    const world = await newWorld();
    const [key = ''] = world.keys();
    const labelRows = (): number => world.index.entries().filter(({ hashValue }) => hashValue.includes(':logs')).length;
    const chunks = world.keys().map((one) => ({ ref: refOf(one), series: seriesIdOf(WEB) }));
    // Marks and rows of chunks: two steps.
    world.crashAt = 2;
    world.steps = 0;
    await world
      .removal()
      .remove(chunks)
      .then(
        () => expect.fail('no crash'),
        (error: unknown) => expect(error).to.be.instanceOf(Crash),
      );
    world.crashAt = Number.POSITIVE_INFINITY;
    expect([world.keys(), labelRows() > 0]).to.deep.equal([[], true]);
    world.clock.advance(2000);
    await world.removal().sweep(SIGNAL);
    expect(labelRows(), key).to.equal(0);
  });

  it('takes the last label rows of a series off a day that is long ago, and leaves those of other days', async () => {
    const world = await newWorld();
    const days = (): readonly string[] =>
      [
        ...new Set(
          world.index.entries().flatMap(({ table, hashValue }) => (hashValue.includes(':logs') ? [table] : [])),
        ),
      ].sort();
    const before = days();
    await world.settle();
    expect(before.length).to.equal(3);
    // `b` is gone, and what is left of `a` begins a day later.
    expect(days()).to.deep.equal(before.slice(1));
  });
});
