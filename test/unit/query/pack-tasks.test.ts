import { expect } from 'chai';
import { packTasks, TaskSize } from '../../../src/query/pack-tasks.ts';
import { type PlannedSlice, SlicePlan } from '../../../src/query/slice-plan.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';

const keyOf = (name: number): string =>
  formatChunkKey('v13', {
    tenant: 't',
    fingerprint: 1n,
    fromMs: 100 * name,
    throughMs: 100 * name + 50,
    checksum: name,
  });

/** Slices of one stream with so many chunks that follow each other, as tasks take them. */
const slicesFor = async (chunkCount: number, size: TaskSize): Promise<Iterable<PlannedSlice>> => {
  const keys = Array.from({ length: chunkCount }, (_, name) => keyOf(name));
  const stream = { memory: [], refs: (await chunkRefsOf('t', keys)).ofStream(1n) };
  return new SlicePlan(stream, {
    startNs: 0n,
    endNs: BigInt(100 * chunkCount) * 1_000_000n,
    get chunksPerSlice() {
      return size.chunksMax;
    },
    direction: 'forward',
  });
};

/** Chunks of each task. */
const tasksOf = async (chunkCount: number, workers: number, readsEnds = false): Promise<number[]> => {
  const size = new TaskSize(chunkCount, workers, readsEnds);
  const tasks = [...packTasks(await slicesFor(chunkCount, size), size)];
  return tasks.map((slices) => slices.reduce((sum, { refs }) => sum + refs.length, 0));
};

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

describe('tasks of chunks', () => {
  it('have several while there are many, and one each towards the end', async () => {
    const counts = await tasksOf(100, 2);
    expect(sum(counts)).to.equal(100);
    expect(counts.slice(0, 19).every((count) => count === 4)).to.equal(true);
    expect(counts.slice(-11).every((count) => count === 1)).to.equal(true);
    expect(counts.length).to.be.below(40);
    expect(counts).to.deep.equal(counts.toSorted((a, b) => b - a));
  });

  it('have one each where there are few for all workers', async () => {
    expect(await tasksOf(11, 2)).to.deep.equal(Array(11).fill(1));
    expect(await tasksOf(3, 64)).to.deep.equal([1, 1, 1]);
  });

  it('have more where only the ends of most are read', async () => {
    const counts = await tasksOf(200, 2, true);
    expect(sum(counts)).to.equal(200);
    expect(counts[0]).to.equal(8);
    expect(counts.at(-1)).to.equal(1);
  });

  it('keep workers busy to the end, however long a chunk takes', async () => {
    // A worker takes the next task when it is free.
    for (const workers of [1, 2, 5]) {
      const busyMs = Array<number>(workers).fill(0);
      for (const [index, count] of (await tasksOf(60, workers)).entries()) {
        const free = busyMs.indexOf(Math.min(...busyMs));
        busyMs[free]! += count * (10 + (index % 3));
      }
      expect(Math.max(...busyMs) - Math.min(...busyMs)).to.be.at.most(12);
    }
  });
});
