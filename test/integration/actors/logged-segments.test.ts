import { expect } from 'chai';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';
import type { ConfigInput } from '../../../src/config.ts';
import { linesOf, startTestNode, type TestNode } from '../../support/cluster.ts';
import { SkippingClock } from '../../support/crash/skipping-clock.ts';
import { entryAt, pushOf, type TestEntry } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { UID } from '../../support/log/test-log.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const STREAM = '{app="web"}';
const SIZES = { chunk_block_size: 4096, chunk_target_size: 16 << 10 };

/** Compresses to about two thirds. */
const lineOf = (index: number): string => {
  let text = `${index}`;
  for (let part = 1; text.length < 90; part += 1)
    text += Math.sin(index * 31 + part)
      .toString(36)
      .slice(3);
  return text;
};

/** One disk and its stores, and one node after the other on them. */
class Restarting {
  readonly disk = new PowerLossFiles();
  readonly chunks = new MemoryChunkStore();
  readonly index = new MemoryIndexStore();
  readonly clock = new SkippingClock();
  readonly pushed: string[] = [];
  ingester: ConfigInput;
  #incarnation = 0;
  running: TestNode | undefined;

  constructor(ingester: ConfigInput = SIZES) {
    this.ingester = ingester;
  }

  get node() {
    return this.running!.node;
  }

  async start(): Promise<void> {
    this.#incarnation += 1;
    const logDisk = { files: this.disk.process(), identity: { uid: UID, incarnation: this.#incarnation } };
    const { chunks, index, clock } = this;
    this.running = await startTestNode({ ingester: this.ingester }, { chunks, index, clock, logDisk });
  }

  async push(count: number, metadata?: (index: number) => readonly string[] | undefined): Promise<void> {
    const entries = Array.from({ length: count }, (_, at): TestEntry => {
      const index = this.pushed.length + at;
      const pairs = metadata?.(index);
      return pairs ? { ...entryAt(index, lineOf(index)), metadata: pairs } : entryAt(index, lineOf(index));
    });
    for (let first = 0; first < count; first += 10) {
      const { refusal } = await this.node.services.push(
        'tenant',
        pushOf({ [STREAM]: entries.slice(first, first + 10) }),
      );
      expect(refusal).to.equal(undefined);
    }
    this.pushed.push(...entries.map(({ line }) => line));
  }

  /** What is full is stored first: an object whose node is killed before the commit is nobody's. */
  async restart(): Promise<void> {
    const { figures } = this.node;
    await eventually('flushes have ended', () => figures().flush.pending === 0 && figures().cutsPending === 0, figures);
    await this.stop();
    await this.start();
    if (this.node.figures().recoveredSegments === 0) return;
    // It guesses until it has looked.
    const isKnown = () => this.node.figures().compressionRatio !== 1 / 6;
    await eventually('it knows how its log compresses', isKnown, this.node.figures);
  }

  async stop(): Promise<void> {
    this.disk.kill();
    await this.running?.node.stop({ deadlineMs: 1000 }).catch(() => undefined);
    this.running = undefined;
  }

  async check(when: string): Promise<void> {
    // Metadata makes streams of an answer, each in order.
    const found = [...(await linesOf(this.node, STREAM))].sort();
    expect(found, when).to.deep.equal([...this.pushed].sort());
  }

  async flush(): Promise<void> {
    await this.node.services.flush();
    await eventually('the log is told', () => this.node.figures().log?.liveBytes === 0, this.node.figures);
    expect(this.node.figures()).to.deep.include({ unflushedBytes: 0, recoveredSegments: 0 });
  }

  get counts(): readonly number[] {
    return [...this.chunks.objects.values()].map((bytes) =>
      decodeChunk(bytes).blocks.reduce((sum, { count }) => sum + count, 0),
    );
  }
}

describe('segments that lie in the log', function () {
  this.timeout(60_000);
  let one: Restarting;
  beforeEach(() => {
    one = new Restarting();
  });
  afterEach(() => one.stop());

  /** @returns how many chunks it left */
  const run = async (pushes: readonly number[], restarts: boolean): Promise<number> => {
    one = new Restarting();
    await one.start();
    for (const [index, count] of pushes.entries()) {
      if (restarts && index > 0) await one.restart();
      await one.push(count);
      // How full a chunk is shows only once its heads are compressed.
      await eventually('the heads are cut', () => one.node.figures().cutsPending === 0);
      await one.check(`after push ${index}`);
    }
    await one.flush();
    await one.check('after the flush');
    const { size } = one.chunks.objects;
    expect(
      one.counts.reduce((sum, count) => sum + count, 0),
      'stored once',
    ).to.equal(one.pushed.length);
    await one.stop();
    return size;
  };

  it('share one chunk with what was pushed after the restart, however many restarts there were', async () => {
    const pushes = [20, 20, 20, 20, 20, 20];
    expect(await run(pushes, false)).to.equal(1);
    expect(await run(pushes, true)).to.equal(1);
  });

  it('leave as many chunks as a node that never restarts, where an active stream fills several', async () => {
    const pushes = Array.from({ length: 12 }, () => 62);
    const never = await run(pushes, false);
    expect(never).to.be.within(3, 8);
    expect(await run(pushes, true)).to.equal(never);
  });

  it('make one chunk of several where nothing is pushed any more', async () => {
    await one.start();
    for (let round = 0; round < 4; round += 1) {
      await one.push(15);
      await one.restart();
    }
    await one.check('after the last restart');
    one.clock.skip(31 * 60_000);
    await one.node.sweep();
    await eventually('it is stored', () => one.node.figures().recoveredSegments === 0, one.node.figures);
    await one.check('after the sweep');
    expect(one.counts).to.deep.equal([60]);
  });

  it('make several chunks of those that are too large for one', async () => {
    one = new Restarting({ ...SIZES, chunk_target_size: 1 << 20 });
    await one.start();
    for (let round = 0; round < 6; round += 1) {
      await one.push(200);
      await one.restart();
    }
    one.ingester = SIZES;
    await one.restart();
    await one.flush();
    await one.check('after the flush');
    expect(one.counts.length).to.be.within(2, 6);
  });

  it('keep their metadata, whose texts each segment numbers for itself', async () => {
    await one.start();
    const metadata = (index: number) => (index % 3 === 0 ? undefined : ['pod', `p${index % 7}`, `k${index % 4}`, 'x']);
    await one.push(20, metadata);
    await one.restart();
    await one.push(20, metadata);
    await one.restart();
    await one.push(20, (index) => ['pod', `other${index % 5}`]);
    const question = '{app="web"} | pod=~"p3|other1"';
    const before = await linesOf(one.node, question);
    expect(before.length).to.be.greaterThan(5);
    await one.flush();
    expect(one.counts).to.deep.equal([60]);
    expect(await linesOf(one.node, question)).to.deep.equal(before);
    await one.check('after the flush');
  });

  it('are stored once where a client sends their last push again', async () => {
    await one.start();
    await one.push(20);
    const last = one.pushed.splice(15);
    await one.restart();
    await one.push(10);
    expect(one.pushed.slice(15, 20)).to.deep.equal(last);
    await one.check('after the push');
    await one.flush();
    await one.check('after the flush');
    expect(one.counts).to.deep.equal([25]);
  });

  it('count for the age of the chunk that they will be in', async () => {
    await one.start();
    await one.push(1);
    await one.restart();
    const { services } = one.node;
    await services.push('tenant', pushOf({ [STREAM]: [entryAt(7_200_001, 'late')] }));
    one.pushed.push('late');
    await one.node.sweep();
    await eventually('it is stored', () => one.node.figures().unflushedBytes === 0, one.node.figures);
    expect(one.counts).to.deep.equal([2]);
    expect(one.node.figures().flush.flushed).to.deep.include({ old: 1, recovered: 0 });
    await one.check('after the sweep');
  });

  it('leave those out that are committed already, and store the others', async () => {
    await one.start();
    await one.push(20);
    // Stored and committed, and the log is not told.
    one.disk.holdSyncs();
    await one.node.services.flush();
    one.disk.kill();
    await one.restart();
    await one.push(20);
    await one.flush();
    expect(one.counts).to.deep.equal([20, 20]);
    await one.check('after the flush');
  });

  it('hold up nobody when they cannot be read', async () => {
    await one.start();
    await one.push(20);
    await one.restart();
    await one.push(20);
    one.disk.inject({ step: 'read', code: 'EIO' });
    await one.node.services.flush().catch(() => undefined);
    expect(one.counts).to.deep.equal([20]);
    expect(one.running?.problems.join('; ')).to.match(/could not be stored/);
    one.disk.clear();
    await one.flush();
    expect(one.counts).to.deep.equal([20, 20]);
    await one.check('after the flush');
  });
});
