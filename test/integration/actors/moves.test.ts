import { expect } from 'chai';
import type { OfferedSegment } from '../../../src/actors/stream-moves.ts';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';
import { segmentName } from '../../../src/chunk/memory-format.ts';
import { decodeSegmentPart } from '../../../src/log/segment-part.ts';
import type { HandOver } from '../../../src/node.ts';
import { defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { linesOf, startTestNode, type TestNode } from '../../support/cluster.ts';
import { SkippingClock } from '../../support/crash/skipping-clock.ts';
import { entryAt, labelsOf, pushOf } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { bytesOfPart } from '../../support/log/test-log.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const STREAM = '{app="web"}';
const LABELS = labelsOf(STREAM);
const UIDS = ['00112233445566778899aabbccddeeff', 'ffeeddccbbaa99887766554433221100'];
const lineOf = (index: number): string => `line ${String(index).padStart(4, '0')} ${'x'.repeat(40)}`;

const movedOf = (offered: readonly OfferedSegment[]) =>
  offered.map((segment) => ({ ...segment, epoch: segment.log.epoch + 1 }));

/** Two nodes over the same stores, each with a disk of its own. */
class Pair {
  readonly disks = [new PowerLossFiles(), new PowerLossFiles()];
  readonly chunks = new MemoryChunkStore();
  readonly index = new MemoryIndexStore();
  readonly clock = new SkippingClock();
  readonly nodes: TestNode[] = [];
  readonly pushed: string[] = [];
  #incarnation = 0;

  async start(number: number): Promise<void> {
    this.#incarnation += 1;
    const identity = { uid: UIDS[number]!, incarnation: this.#incarnation };
    const { chunks, index, clock } = this;
    const settings = { ingester: { chunk_block_size: 8192, chunk_target_size: 64 << 10 } };
    this.nodes[number] = await startTestNode(settings, {
      chunks,
      index,
      clock,
      logDisk: { files: this.disks[number]!.process(), identity },
    });
  }

  async stop(number: number): Promise<void> {
    this.disks[number]!.kill();
    await this.nodes[number]?.node.stop({ deadlineMs: 1000 }).catch(() => undefined);
  }

  node(number: number) {
    return this.nodes[number]!.node;
  }

  side(number: number): HandOver {
    return this.node(number).handOver!;
  }

  async push(number: number, count: number): Promise<void> {
    const first = this.pushed.length;
    const entries = Array.from({ length: count }, (_, at) => entryAt(first + at, lineOf(first + at)));
    const { refusal } = await this.node(number).services.push('tenant', pushOf({ [STREAM]: entries }));
    expect(refusal).to.equal(undefined);
    this.pushed.push(...entries.map(({ line }) => line));
  }

  async sendAll(from: number, to: number, offered: readonly OfferedSegment[]): Promise<void> {
    const { log, logged } = this.side(to);
    for (const { log: segment, finalCount } of offered) {
      const { id, epoch, open } = segment;
      for await (const run of this.side(from).log.records(segment)) {
        await log.adopt(decodeSegmentPart(bytesOfPart({ id, epoch, open, runs: [run] })));
      }
      await log.takeCustody(log.find(id)!, epoch + 1, finalCount);
      logged.add(log.find(id)!);
    }
  }

  async move(from: number, to: number): Promise<void> {
    const { moves } = this.side(from);
    const offered = await moves.moveOut('tenant', LABELS);
    await this.check('while it moves');
    await this.sendAll(from, to, offered);
    await this.check('while both have it');
    moves.moved('tenant', LABELS, movedOf(offered));
    await eventually(
      'the giver lets go',
      () => this.node(from).figures().recoveredSegments === 0 && this.node(from).figures().log?.liveBytes === 0,
      this.node(from).figures,
    );
    await this.check('after the move');
  }

  /** Both nodes together have everything. */
  async check(when: string): Promise<void> {
    const found = await Promise.all(this.nodes.map(({ node }) => linesOf(node, STREAM)));
    expect([...new Set(found.flat())].sort(), when).to.deep.equal([...this.pushed].sort());
  }

  async flush(number: number): Promise<void> {
    await this.node(number).services.flush();
    const { figures } = this.node(number);
    await eventually('the log is told', () => figures().log?.liveBytes === 0, figures);
    expect(figures()).to.deep.include({ unflushedBytes: 0, recoveredSegments: 0 });
  }

  get counts(): readonly number[] {
    return [...this.chunks.objects.values()].map(countOf);
  }

  /** Of the chunks that the index names. */
  async indexedCounts(): Promise<readonly number[]> {
    const reader = new SchemaIndexReader(this.index, defaultSchemaConfig());
    const everything = { startNs: 0n, endNs: 2_000_000_000_000_000_000n };
    const refs = await reader.chunkRefs('tenant', [{ name: 'app', op: '=', value: 'web' }], everything);
    return Array.from(refs, ({ key }) => countOf(this.chunks.objects.get(key) as Uint8Array));
  }
}

const countOf = (chunk: Uint8Array): number => decodeChunk(chunk).blocks.reduce((sum, { count }) => sum + count, 0);

describe('a stream that moves to another node', () => {
  let pair: Pair;
  beforeEach(async () => {
    pair = new Pair();
    await pair.start(0);
    await pair.start(1);
  });
  afterEach(async () => {
    await pair.stop(0);
    await pair.stop(1);
  });

  for (const place of ['memory', 'the log']) {
    it(`is stored or let go here though its actor lost the claim on what it has in ${place}`, async () => {
      await pair.push(0, 10);
      if (place === 'the log') {
        await pair.stop(0);
        await pair.start(0);
      }
      const { moves, log } = pair.side(0);
      expect(await moves.moveOut('tenant', LABELS)).to.have.lengthOf(1);
      moves.reclaim('tenant', LABELS, () => true);
      expect(await moves.moveOut('tenant', LABELS), 'claimed').to.have.lengthOf(0);
      moves.reclaim('tenant', LABELS, () => false);
      const offered = await moves.moveOut('tenant', LABELS);
      expect(offered, 'free again').to.have.lengthOf(1);
      await pair.sendAll(0, 1, offered);
      for (const segment of movedOf(offered)) log.releasing(segment.log, segment.epoch);
      moves.reclaim('tenant', LABELS, () => false);
      moves.reclaim('tenant', LABELS, () => false);
      await eventually('the log lets go', () => pair.node(0).figures().log?.liveBytes === 0, pair.node(0).figures);
      expect(pair.node(0).figures()).to.deep.include({ unflushedBytes: 0, recoveredSegments: 0 });
      await pair.check('moved');
    });
  }

  it('is in every answer all the while, and leaves no extra chunk', async () => {
    await pair.push(0, 20);
    await pair.move(0, 1);
    await pair.push(1, 20);
    await pair.check('after a push to its new node');
    await pair.flush(1);
    await pair.check('after the flush');
    expect(pair.counts).to.deep.equal([40]);
  });

  it('goes on taking pushes while it moves, at both ends', async () => {
    await pair.push(0, 20);
    const { moves } = pair.side(0);
    const offered = await moves.moveOut('tenant', LABELS);
    await pair.push(0, 5);
    await pair.push(1, 5);
    await pair.sendAll(0, 1, offered);
    await pair.push(1, 5);
    await pair.check('both have it');
    moves.moved('tenant', LABELS, movedOf(offered));
    await pair.move(0, 1);
    await pair.flush(1);
    await pair.check('after the flush');
    expect(pair.counts).to.deep.equal([35]);
  });

  it('moves what lies in the log too, and back', async () => {
    await pair.push(0, 10);
    await pair.stop(0);
    await pair.start(0);
    await pair.move(0, 1);
    await pair.stop(1);
    await pair.start(1);
    await pair.check('after the restart of its new node');
    await pair.push(1, 10);
    await pair.move(1, 0);
    await pair.push(0, 10);
    await pair.flush(0);
    await pair.check('after the flush');
    expect(pair.counts).to.deep.equal([30]);
  });

  it('makes one chunk with what comes later if the move fails', async () => {
    await pair.push(0, 10);
    const { moves } = pair.side(0);
    const offered = await moves.moveOut('tenant', LABELS);
    moves.failed('tenant', LABELS, offered);
    await pair.check('after it failed');
    await pair.push(0, 10);
    await pair.flush(0);
    await pair.check('after the flush');
    expect(pair.counts).to.deep.equal([20]);
  });

  it('is stored once where both flush it, and its commit is kept', async () => {
    await pair.push(0, 10);
    const { moves } = pair.side(0);
    const offered = await moves.moveOut('tenant', LABELS);
    await pair.sendAll(0, 1, offered);
    // Nobody heard of the custody.
    moves.failed('tenant', LABELS, offered);
    await pair.push(0, 10);
    await pair.push(1, 10);
    await Promise.all([pair.flush(0), pair.flush(1)]);
    await pair.check('after both flushed');
    expect((await pair.indexedCounts()).reduce((sum, count) => sum + count, 0)).to.equal(30);
    const kept: string[] = [];
    for await (const { segment, isShared } of pair.index.commits()) if (isShared) kept.push(segment);
    expect(kept).to.deep.equal(offered.map(({ log }) => segmentName(log.id)));
  });
});
