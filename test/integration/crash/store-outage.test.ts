import { expect } from 'chai';
import { expectRetryLater, Machine } from '../../support/crash/machine.ts';
import { eventually } from '../../support/eventually.ts';

const SECOND_MS = 1000;
const MEMORY_BYTES_MAX = 1 << 20;
const INGESTER = {
  chunk_encoding: 'none',
  flush_backoff_min: '1s',
  flush_backoff_max: '1m',
  flush_op_timeout: '5m',
  unflushed_memory_max: '1MB',
};

describe('a node whose store is away for minutes', function () {
  this.timeout(60_000);
  let machine: Machine;
  /** Calls that failed. */
  let attempts: number;
  let isDown: boolean;

  const fail = (): void => {
    if (!isDown) return;
    attempts += 1;
    throw new Error('the store is away');
  };
  const outages: Readonly<Record<string, () => void>> = {
    'chunk store': () => {
      machine.chunks.before = (operation) => (operation === 'put' ? fail() : undefined);
    },
    index: () => {
      machine.index.before = (operation) => (operation === 'write' ? fail() : undefined);
    },
  };

  /** Threads cut and encode in their own time: they have some. */
  const passSeconds = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) machine.clock.skip(SECOND_MS);
    await eventually('heads are cut', () => machine.node.figures().cutsPending === 0);
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
  };

  const drained = (): Promise<void> =>
    eventually(
      'everything drains',
      () => {
        machine.clock.skip(SECOND_MS);
        const { flush, unflushedBytes, recoveredSegments } = machine.node.figures();
        return flush.pending === 0 && unflushedBytes === 0 && recoveredSegments === 0;
      },
      () => machine.node.figures(),
    );

  beforeEach(async () => {
    machine = new Machine();
    attempts = 0;
    isDown = true;
    await machine.start({ ingester: INGESTER });
    // The threads take a while to start.
    await machine.push(0);
    await machine.node.services.flush();
  });
  afterEach(() => machine.stop());

  for (const [what, fall] of Object.entries(outages)) {
    it(`goes on taking pushes in bounded memory, tries again ever more seldom, and stores all once the ${what} is back`, async () => {
      const { node } = machine;
      fall();
      let refused = 0;
      let highest = 0;
      let next = 1;
      for (let round = 0; round < 50; round += 1) {
        for (const number of [next, next + 1, next + 2]) {
          const { refusal } = await machine.push(number);
          if (refusal) {
            expectRetryLater(refusal);
            refused += 1;
          } else next = number + 1;
        }
        highest = Math.max(highest, node.figures().unflushedBytes);
        await passSeconds(12);
      }
      expect([refused, next], 'refused, and the next push').to.deep.equal([0, 151]);
      expect(highest).to.be.within(0.5 * MEMORY_BYTES_MAX, 1.1 * MEMORY_BYTES_MAX);
      expect(node.figures().log?.liveBytes, 'the log has more than memory may').to.be.greaterThan(
        1.5 * MEMORY_BYTES_MAX,
      );
      // Three streams, ten minutes, a minute at most between two attempts and half of one at least.
      expect(attempts, 'attempts').to.be.within(15, 100);
      await machine.check('meanwhile');
      isDown = false;
      await drained();
      expect((await machine.push(next)).refusal).to.equal(undefined);
      await machine.finish();
    });
  }

  it('starts and serves what the log has while its chunk store is away, and stores it when that is back', async () => {
    for (const fall of Object.values(outages)) fall();
    for (let number = 1; number < 20; number += 1) expect((await machine.push(number)).refusal).to.equal(undefined);
    machine.disk.kill();
    await machine.stop();
    const node = await machine.start({ ingester: INGESTER });
    await machine.check('after a restart without the store');
    const flushed = node.services.flush().then(
      () => 'stored',
      () => 'late',
    );
    await eventually('it tries', () => attempts > 3);
    await passSeconds(301);
    let end: string | undefined;
    void flushed.then((how) => {
      end = how;
    });
    await eventually('a flush has a deadline', () => end !== undefined);
    expect(end).to.equal('late');
    for (let number = 20; number < 30; number += 1) expect((await machine.push(number)).refusal).to.equal(undefined);
    isDown = false;
    const again = node.services.flush();
    await drained();
    await again;
    await machine.finish();
  });
});
