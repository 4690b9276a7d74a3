import { setImmediate as immediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import sinon from 'sinon';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { WorkerPool } from '../../../src/workers/worker-pool.ts';
import type { ObedientTask } from '../../support/workers/obedient-worker.ts';

/** A task that runs until it is told to end. */
const holding = (): { readonly task: ObedientTask; readonly end: () => void } => {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const end = (): void => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  };
  return { task: { kind: 'hold', gate }, end };
};

const errorOf = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('nothing was thrown'),
    (error: Error) => error,
  );

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await errorOf(promise);
  return error instanceof RefusedError ? error.refusal.code : error.message;
};

describe('a worker pool', function () {
  // Threads start; slowly on a busy machine.
  this.timeout(60_000);
  let pool: WorkerPool<ObedientTask, number>;

  const start = (size: number, queueMax: number): void => {
    pool = new WorkerPool({ entry: '../../test/support/workers/obedient-worker', size, queueMax });
  };
  afterEach(() => pool.close());

  it('gives its threads a young generation of the size asked for', async () => {
    const entry = '../../test/support/workers/obedient-worker';
    pool = new WorkerPool({ entry, size: 1, queueMax: 1, youngGenerationMb: 3 });
    expect(await pool.run({ kind: 'young-generation' })).to.equal(3);
  });

  it('gives each thread one task at a time, first come first served', async () => {
    start(2, 10);
    const [first, second] = [holding(), holding()];
    const running = [pool.run(first.task), pool.run(second.task)];
    const third = pool.run({ kind: 'thread' });
    expect([pool.running, pool.queued]).to.deep.equal([2, 1]);
    second.end();
    expect(await third).to.equal(await running[1]);
    first.end();
    expect(await running[0]).not.to.equal(await third);
    expect([pool.running, pool.queued]).to.deep.equal([0, 0]);
  });

  it('gives tenants their turns, and those of one in their order', async () => {
    const tenants = ['b', 'a', 'a', 'a', 'b'];
    const held = holding();
    pool = new WorkerPool({
      entry: '../../test/support/workers/obedient-worker',
      size: 1,
      queueMax: 10,
      tenantOf: (task) => (task.kind === 'thread' ? (tenants.shift() ?? '') : ''),
    });
    const running = pool.run(held.task);
    const ended: string[] = [];
    const all = ['b1', 'a1', 'a2', 'a3', 'b2'].map((name) =>
      pool.run({ kind: 'thread' }).then(() => void ended.push(name)),
    );
    held.end();
    await Promise.all([running, ...all]);
    expect(ended).to.deep.equal(['b1', 'a1', 'b2', 'a2', 'a3']);
  });

  it('refuses OVERLOADED when its queue is full', async () => {
    start(1, 1);
    const held = holding();
    const running = pool.run(held.task);
    const queued = pool.run({ kind: 'thread' });
    expect(await codeOf(pool.run({ kind: 'thread' }))).to.equal('OVERLOADED');
    held.end();
    expect(await queued).to.equal(await running);
  });

  it('fails the task of a thread that crashed, and goes on with a new thread', async () => {
    start(1, 10);
    const before = await pool.run({ kind: 'thread' });
    const crashed = errorOf(pool.run({ kind: 'crash' }));
    const next = pool.run({ kind: 'thread' });
    expect((await crashed).message).to.match(/^worker .*obedient-worker crashed: crashed$/);
    expect(await next).not.to.equal(before);
    expect([pool.running, pool.size]).to.deep.equal([0, 1]);
  });

  it('hands on what a task throws, a refusal as one', async () => {
    start(1, 10);
    expect((await errorOf(pool.run({ kind: 'throw' }))).message).to.equal('thrown');
    expect(await codeOf(pool.run({ kind: 'refuse' }))).to.equal('INVALID_QUERY');
  });

  it('fails a task that cannot be cloned, and gives its thread to the next one', async () => {
    start(1, 10);
    const held = holding();
    const running = pool.run(held.task);
    const uncloneable = codeOf(pool.run({ kind: 'thread', callback: () => undefined } as ObedientTask));
    const next = pool.run({ kind: 'thread' });
    held.end();
    expect(await uncloneable).to.match(/could not be cloned/);
    expect(await next).to.equal(await running);
  });

  describe('whose threads cannot be started', () => {
    const entry = '../../test/support/workers/obedient-worker';
    let fails: boolean;

    /** As where the machine has no thread to give: what is to be sent along is asked for at each start. */
    const startOf = (size: number): void => {
      fails = false;
      const workerData = {
        get number() {
          if (fails) throw new Error('no thread left');
          return 1;
        },
      };
      pool = new WorkerPool({ entry, size, queueMax: 10, workerData });
    };

    it('leaves tasks to the threads that there are', async () => {
      startOf(2);
      await pool.run({ kind: 'thread' });
      fails = true;
      const held = holding();
      const running = pool.run(held.task);
      const others = [pool.run({ kind: 'thread' }), pool.run({ kind: 'thread' })];
      held.end();
      const thread = await running;
      expect(await Promise.all(others)).to.deep.equal([thread, thread]);
    });

    it('fails a task if there is none, once, and starts one for the next', async () => {
      startOf(1);
      fails = true;
      expect((await errorOf(pool.run({ kind: 'thread' }))).message).to.match(/could not be started: no thread left$/);
      expect([pool.running, pool.queued]).to.deep.equal([0, 0]);
      fails = false;
      expect(await pool.run({ kind: 'thread' })).to.be.a('number');
    });

    it('goes on when the only one crashes and there is none for those that wait', async () => {
      startOf(1);
      await pool.run({ kind: 'thread' });
      fails = true;
      const messages = await Promise.all(
        [pool.run({ kind: 'crash' }), pool.run({ kind: 'thread' }), pool.run({ kind: 'thread' })].map(errorOf),
      );
      expect(messages.map(({ message }) => message.replace(/^worker \S+ /, ''))).to.deep.equal([
        'crashed: crashed',
        'could not be started: no thread left',
        'could not be started: no thread left',
      ]);
    });

    it('waits for none that hangs for longer than a minute', async () => {
      const starts = new Int32Array(new SharedArrayBuffer(8));
      const timers = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        pool = new WorkerPool({ entry, size: 1, queueMax: 10, workerData: { starts } });
        const failed = errorOf(pool.run({ kind: 'thread' }));
        const next = pool.run({ kind: 'thread' });
        while (Atomics.load(starts, 0) === 0) await immediate();
        timers.tick(60_000);
        expect((await failed).message).to.match(/could not be started: it was not ready within 60000 ms$/);
        expect(await next).to.be.a('number');
        expect(timers.countTimers()).to.equal(0);
      } finally {
        timers.restore();
      }
    });

    it('sends nothing to one that ends before it takes messages', async () => {
      pool = new WorkerPool({ entry: '../../test/support/workers/nothing', size: 2, queueMax: 10 });
      const buffer = new ArrayBuffer(8);
      const { message } = await errorOf(pool.run({ kind: 'thread' }, [buffer]));
      expect(message).to.match(/nothing could not be started: Cannot find module/);
      expect(buffer.byteLength).to.equal(8);
    });
  });

  describe('that sends light tasks together', () => {
    /** How many messages the thread gets from now on. */
    const posts = async (weightOf: (task: ObedientTask) => number): Promise<() => number> => {
      pool = new WorkerPool({ entry: '../../test/support/workers/obedient-worker', size: 1, queueMax: 100, weightOf });
      await pool.run({ kind: 'thread' });
      const post = sinon.spy(Worker.prototype, 'postMessage');
      return () => post.callCount;
    };
    afterEach(() => sinon.restore());

    it('puts those that wait into one message, up to the weight of one', async () => {
      const sent = await posts(({ kind }) => (kind === 'thread' ? 0.25 : 1));
      const held = holding();
      const running = pool.run(held.task);
      const light = Array.from({ length: 9 }, () => pool.run({ kind: 'thread' }));
      held.end();
      expect(new Set(await Promise.all(light))).to.deep.equal(new Set([await running]));
      expect(sent()).to.equal(1 + 3);
    });

    it('answers each for itself', async () => {
      await posts(() => 0.1);
      const held = holding();
      const running = pool.run(held.task);
      const outcomes = [errorOf(pool.run({ kind: 'throw' })), codeOf(pool.run({ kind: 'refuse' }))];
      const fine = pool.run({ kind: 'thread' });
      held.end();
      expect([((await outcomes[0]) as Error).message, await outcomes[1]]).to.deep.equal(['thrown', 'INVALID_QUERY']);
      expect(await fine).to.equal(await running);
    });

    it('fails all of a message when their thread crashes', async () => {
      await posts(() => 0.1);
      const held = holding();
      const running = pool.run(held.task);
      const outcomes = [pool.run({ kind: 'thread' }), pool.run({ kind: 'crash' }), pool.run({ kind: 'thread' })];
      held.end();
      await running;
      const messages = (await Promise.all(outcomes.map(errorOf))).map(({ message }) => message);
      expect(new Set(messages).size).to.equal(1);
      expect(messages[0]).to.match(/crashed: crashed$/);
      expect(await pool.run({ kind: 'thread' })).to.be.a('number');
    });
  });

  describe('and the signal of its caller', () => {
    it('drops a task that still waits', async () => {
      start(1, 10);
      const held = holding();
      const running = pool.run(held.task);
      const abort = new AbortController();
      const waiting = codeOf(pool.run({ kind: 'crash' }, [], abort.signal));
      abort.abort();
      expect(await waiting).to.equal('CANCELLED');
      expect(pool.queued).to.equal(0);
      expect(await codeOf(pool.run({ kind: 'crash' }, [], abort.signal))).to.equal('CANCELLED');
      held.end();
      await running;
    });

    it('ends the thread of a running task that does not come to its end in time', async () => {
      pool = new WorkerPool({
        entry: '../../test/support/workers/obedient-worker',
        size: 1,
        queueMax: 10,
        abortGraceMs: 1,
      });
      const before = await pool.run({ kind: 'thread' });
      const abort = new AbortController();
      const stuck = codeOf(pool.run(holding().task, [], abort.signal));
      const next = pool.run({ kind: 'thread' });
      abort.abort();
      expect(await stuck).to.equal('CANCELLED');
      expect(await next).not.to.equal(before);
    });

    it('gives nothing to a thread that it ends, when the answer comes as its time is over', async () => {
      const entry = '../../test/support/workers/obedient-worker';
      pool = new WorkerPool({ entry, size: 1, queueMax: 10, abortGraceMs: 1 });
      await pool.run({ kind: 'thread' });
      const abort = new AbortController();
      const held = holding();
      const late = codeOf(pool.run(held.task, [], abort.signal));
      const next = pool.run({ kind: 'thread' });
      // The event loop is held up until the answer is there and the timer is due; after the phase of immediates the timer goes first.
      await immediate();
      abort.abort();
      held.end();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      await late;
      expect(await next).to.be.a('number');
    });

    it('lets a running task end where no time is set', async () => {
      start(1, 10);
      await pool.run({ kind: 'thread' });
      const abort = new AbortController();
      const held = holding();
      const running = pool.run(held.task, [], abort.signal);
      abort.abort();
      held.end();
      expect(await running).to.be.a('number');
    });

    it('takes its listener off when the task is settled, however it ends', async () => {
      start(1, 10);
      const { signal } = new AbortController();
      const added = sinon.spy(signal, 'addEventListener');
      const removed = sinon.spy(signal, 'removeEventListener');
      await pool.run({ kind: 'thread' }, [], signal);
      await errorOf(pool.run({ kind: 'throw' }, [], signal));
      await errorOf(pool.run({ kind: 'crash' }, [], signal));
      await errorOf(pool.run({ kind: 'thread', callback: () => undefined } as ObedientTask, [], signal));
      expect(added.args.map(([type, listener]) => [type, listener])).to.deep.equal(removed.args);
      expect(added.callCount).to.equal(4);
    });
  });

  it('cancels what waits and what runs when it closes, and takes no more', async () => {
    start(1, 10);
    const outcomes = [codeOf(pool.run(holding().task)), codeOf(pool.run({ kind: 'thread' }))];
    await pool.close();
    expect(await Promise.all(outcomes)).to.deep.equal(['CANCELLED', 'CANCELLED']);
    expect(await codeOf(pool.run({ kind: 'thread' }))).to.equal('CANCELLED');
  });
});
