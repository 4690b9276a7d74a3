import { expect } from 'chai';
import { prepareCodec } from '../../../src/chunk/block-codec.ts';
import { decodeChunk, type EncodedChunk } from '../../../src/chunk/chunk-object.ts';
import type { BlockData } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { CutWorkerTask } from '../../../src/workers/cut-worker.ts';
import { WorkerPool } from '../../../src/workers/worker-pool.ts';
import { entriesOf } from '../chunk/chunk-fixtures.ts';
import { type Entry, rangeOf } from '../chunk/entries.ts';

const T = 1_700_000_000_000_000_000n;
const LIMITS = { blockSize: 4000, targetSize: 1 << 20 };

const entriesFrom = (start: number): Entry[] =>
  Array.from({ length: 100 }, (_, n) => ({
    time: T + BigInt(start + n),
    line: `line ${start + n}`.padEnd(40, '.'),
    metadata: ['n', `${(start + n) % 3}`],
  }));

describe('cut worker', function () {
  // Threads start; slowly on a busy machine.
  this.timeout(60_000);
  const pool = new WorkerPool<CutWorkerTask, never>({ entry: 'cut-worker', size: 1, queueMax: 100 });
  before(() => prepareCodec('zstd'));
  after(() => pool.close());

  for (const encoding of ['gzip', 'zstd', 'none'] as const) {
    it(`cuts heads and assembles a chunk: ${encoding}`, async () => {
      const segment = new Segment({ nodeId: 'n', incarnation: 1, counter: 1 }, LIMITS);
      // The second push lies in the middle of the first: the blocks overlap.
      for (const start of [0, 200, 50]) segment.append(rangeOf(entriesFrom(start)));
      const form = { encoding, level: 1, withMetadataSections: true };
      for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) {
        const block: BlockData = await pool.run({ kind: 'cut', head: cut.head, ...form });
        expect(block.bytes.buffer).to.be.instanceOf(SharedArrayBuffer);
        segment.headCut(cut.number, block);
      }
      expect(segment.isOverlapping).to.equal(true);

      const { blocks, symbols } = segment;
      const chunk = { tenant: 'a', fingerprint: 1n, labels: ['app', 'x'], version: 4, symbols, encoding } as const;
      const encoded: EncodedChunk = await pool.run({ kind: 'chunk', blocks, blockSize: 4000, ...chunk });
      const view = decodeChunk(encoded.bytes, { checksum: encoded.checksum });
      const entries = view.blocks.flatMap((_, index) => entriesOf(view.inflateBlock(index), true, view.symbols()));
      expect(new Set(entries.map(({ line }) => line)).size).to.equal(250);
      expect(entries.map(({ time }) => BigInt(time) - T)).to.deep.equal(
        [...Array.from({ length: 150 }, (_, n) => n), ...Array.from({ length: 100 }, (_, n) => 200 + n)].map(BigInt),
      );
      expect([view.fromMs, view.throughMs]).to.deep.equal([1_700_000_000_000, 1_700_000_000_001]);
    });
  }

  it('answers a task that cannot be done with an error, and goes on', async () => {
    const chunk = { tenant: 'a', fingerprint: 1n, labels: [], version: 3, symbols: [], encoding: 'gzip' } as const;
    const failed = await pool.run({ kind: 'chunk', blocks: [], blockSize: 1, ...chunk }).catch((error: Error) => error);
    expect(failed).to.be.instanceOf(Error);
    const segment = new Segment({ nodeId: 'n', incarnation: 1, counter: 1 }, LIMITS);
    segment.append(rangeOf(entriesFrom(0)));
    const head = segment.cutHead()!.head;
    const block: BlockData = await pool.run({ kind: 'cut', head, encoding: 'gzip', withMetadataSections: true });
    expect(block.count).to.equal(100);
  });
});
