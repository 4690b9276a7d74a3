import { expect } from 'chai';
import { type Delivery, DeliveryQueue } from '../../../src/ruler/delivery-queue.ts';
import { ManualClock } from '../../support/clock.ts';

/** An item that cannot be sent. */
const POISON = -1;

interface Sent {
  readonly lane: string;
  readonly items: readonly number[];
  readonly signal: AbortSignal;
  answer(delivery: Delivery): void;
}

describe('a queue of deliveries', () => {
  let clock: ManualClock;
  let sent: Sent[];
  let problems: object[];
  let queue: DeliveryQueue<number>;

  beforeEach(() => {
    clock = new ManualClock();
    sent = [];
    problems = [];
    queue = new DeliveryQueue<number>(
      {
        waitingMax: 5,
        batchMax: 3,
        waitingBytesMax: 100,
        batchBytesMax: 30,
        bytesOf: (item) => (item === POISON ? 1 : item),
        totalMs: 10_000,
        retries: { triesMax: 3, firstMs: 100, lastMs: 1000, shareMin: 1 },
        deliver: (lane, items, signal) => {
          if (items.includes(POISON)) throw new RangeError('Invalid string length');
          return new Promise((resolve) => sent.push({ lane, items, signal, answer: resolve }));
        },
      },
      {
        clock,
        chance: () => 0.5,
        report: (_problem, error, about) => problems.push({ text: String(error), ...about }),
      },
    );
  });

  /** What was promised is done. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const shown = (): readonly string[] => sent.map(({ lane, items }) => `${lane} ${items.join()}`);
  const answer = async (...deliveries: readonly Delivery[]): Promise<void> => {
    for (const delivery of deliveries) {
      await settle();
      sent.at(-1)?.answer(delivery);
      await settle();
    }
  };

  it('sends what is added in batches, one after another', async () => {
    queue.add('a', [1, 2, 3, 4]);
    await settle();
    expect(shown()).to.deep.equal(['a 1,2,3']);
    queue.add('a', [5]);
    expect(queue.figures).to.deep.equal({ waiting: 5, delivered: 0, retried: 0, failed: 0, dropped: 0 });
    await answer('delivered', 'delivered');
    expect(shown()).to.deep.equal(['a 1,2,3', 'a 4,5']);
    expect(queue.figures).to.deep.equal({ waiting: 0, delivered: 5, retried: 0, failed: 0, dropped: 0 });
    queue.add('a', [6]);
    await answer('delivered');
    expect(shown().at(-1)).to.equal('a 6');
  });

  it('holds no lane up for another', async () => {
    queue.add('a', [1]);
    queue.add('b', [2]);
    await settle();
    expect(shown()).to.deep.equal(['a 1', 'b 2']);
  });

  it('drops the oldest where there is no room', async () => {
    queue.add('a', [1]);
    await settle();
    queue.add('a', [2, 3, 4, 5, 6, 7]);
    expect(queue.figures).to.include({ dropped: 1, waiting: 6 });
    await answer('delivered', 'delivered', 'delivered');
    expect(shown()).to.deep.equal(['a 1', 'a 3,4,5', 'a 6,7']);
  });

  it('tries again, so often and no more, with pauses that grow', async () => {
    queue.add('a', [1]);
    await answer('again');
    clock.advance(99);
    await settle();
    expect(sent).to.have.length(1);
    clock.advance(1);
    await answer('again');
    clock.advance(199);
    await settle();
    expect(sent).to.have.length(2);
    clock.advance(1);
    await answer('again');
    clock.advance(10_000);
    await settle();
    expect(sent).to.have.length(3);
    expect(queue.figures).to.deep.equal({ waiting: 0, delivered: 0, retried: 2, failed: 1, dropped: 0 });
  });

  it('does not try again what was refused, and goes on with the next', async () => {
    queue.add('a', [1, 2, 3, 4]);
    await answer('refused', 'delivered');
    expect(shown()).to.deep.equal(['a 1,2,3', 'a 4']);
    expect(queue.figures).to.include({ failed: 3, delivered: 1, waiting: 0 });
  });

  it('reports what cannot be sent, and goes on with the next', async () => {
    queue.add('a', [POISON, 2, 3, 4]);
    await answer('delivered');
    queue.add('a', [5]);
    await answer('delivered');
    expect(shown()).to.deep.equal(['a 4', 'a 5']);
    expect(problems).to.deep.equal([{ text: 'RangeError: Invalid string length', tenant: 'a', count: 3 }]);
    expect(queue.figures).to.include({ failed: 3, delivered: 2, waiting: 0 });
  });

  it('sends no more bytes together, and lets no more wait, than it may', async () => {
    queue.add('a', [20, 10, 1, 40]);
    await answer('delivered', 'delivered', 'delivered');
    expect(shown()).to.deep.equal(['a 20,10', 'a 1', 'a 40']);
    queue.add('a', [1]);
    await settle();
    queue.add('a', [60, 30, 20]);
    expect(queue.figures).to.include({ dropped: 1, waiting: 3 });
    queue.add('a', [101]);
    expect(queue.figures).to.include({ dropped: 4, waiting: 1 });
    queue.add('a', [100]);
    await answer('delivered', 'delivered');
    expect(shown().slice(3)).to.deep.equal(['a 1', 'a 100']);
  });

  it('lets go out what waits when it closes, until the deadline, and takes no more', async () => {
    queue.add('a', [1, 2, 3, 4]);
    await settle();
    let isClosed = false;
    const closing = queue.close(1000).then(() => {
      isClosed = true;
    });
    await answer('delivered');
    expect(isClosed).to.equal(false);
    clock.advance(1000);
    expect(sent.at(-1)?.signal.aborted).to.equal(true);
    await answer('again');
    await closing;
    queue.add('a', [5]);
    await settle();
    expect(shown()).to.deep.equal(['a 1,2,3', 'a 4']);
    expect(queue.figures).to.include({ delivered: 3, failed: 1, waiting: 0 });
    await queue.close(0);
  });
});
