import { expect } from 'chai';
import fc from 'fast-check';
import { type FlusherEffect, newFlusherState, stepFlusher } from '../../../src/actors/flusher-state.ts';

interface TestJob {
  readonly stream: object;
  readonly name: string;
}

const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 500);
const BACK_OFF = { firstMs: 100, lastMs: 1000 };
const started = (effects: readonly FlusherEffect<TestJob>[]) =>
  effects.flatMap((effect) => (effect.type === 'start' ? [effect.job.name] : []));

describe('stepFlusher', () => {
  it('starts as many jobs as it may, of different streams', () => {
    const state = newFlusherState<TestJob>(2, BACK_OFF);
    const [a, b, c] = [{}, {}, {}];
    expect(started(stepFlusher(state, { type: 'enqueue', job: { stream: a, name: 'a1' } }))).to.deep.equal(['a1']);
    expect(started(stepFlusher(state, { type: 'enqueue', job: { stream: b, name: 'b1' } }))).to.deep.equal(['b1']);
    expect(started(stepFlusher(state, { type: 'enqueue', job: { stream: c, name: 'c1' } }))).to.deep.equal([]);
  });

  it('stores the segments of one stream one after another', () => {
    const state = newFlusherState<TestJob>(8, BACK_OFF);
    const stream = {};
    const first = { stream, name: 'first' };
    stepFlusher(state, { type: 'enqueue', job: first });
    expect(started(stepFlusher(state, { type: 'enqueue', job: { stream, name: 'second' } }))).to.deep.equal([]);
    expect(started(stepFlusher(state, { type: 'settled', job: first, ok: true, chance: 0 }))).to.deep.equal(['second']);
  });

  it('waits longer after each failure, with jitter, up to the limit, and tries the same job again', () => {
    const state = newFlusherState<TestJob>(1, BACK_OFF);
    const job = { stream: {}, name: 'job' };
    stepFlusher(state, { type: 'enqueue', job });
    const delays: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      const [effect] = stepFlusher(state, { type: 'settled', job, ok: false, chance: round % 2 });
      if (effect?.type === 'retry-later') delays.push(effect.delayMs);
      expect(started(stepFlusher(state, { type: 'retry', stream: job.stream }))).to.deep.equal(['job']);
    }
    expect(delays).to.deep.equal([50, 200, 200, 800, 500, 1000]);
  });

  it('lets other streams go on while one backs off', () => {
    const state = newFlusherState<TestJob>(1, BACK_OFF);
    const job = { stream: {}, name: 'stuck' };
    stepFlusher(state, { type: 'enqueue', job });
    stepFlusher(state, { type: 'enqueue', job: { stream: {}, name: 'fine' } });
    expect(started(stepFlusher(state, { type: 'settled', job, ok: false, chance: 0 }))).to.deep.equal(['fine']);
  });

  it('starts every job until it succeeds, in order per stream, within its concurrency, whatever fails', () => {
    const scenario = fc.record({
      concurrency: fc.integer({ min: 1, max: 4 }),
      jobs: fc.array(fc.nat(3), { minLength: 1, maxLength: 30 }),
      outcomes: fc.infiniteStream(fc.boolean()),
    });
    fc.assert(
      fc.property(scenario, ({ concurrency, jobs, outcomes }) => {
        const streams = [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }];
        const state = newFlusherState<TestJob>(concurrency, BACK_OFF);
        const running: TestJob[] = [];
        const done: string[] = [];
        const perform = (effects: readonly FlusherEffect<TestJob>[]): void => {
          for (const effect of effects) {
            if (effect.type === 'start') running.push(effect.job);
            else perform(stepFlusher(state, { type: 'retry', stream: effect.stream }));
          }
          expect(running.length).to.be.at.most(concurrency);
        };
        const all = jobs.map((stream, index) => ({ stream: streams[stream]!, name: `${stream}:${index}` }));
        for (const job of all) perform(stepFlusher(state, { type: 'enqueue', job }));
        for (let round = 0; running.length > 0; round += 1) {
          const job = running.shift()!;
          // Fails at random at first; in the end the store is back.
          const ok = round > 100 || outcomes.next().value === true;
          if (ok) done.push(job.name);
          perform(stepFlusher(state, { type: 'settled', job, ok, chance: 0 }));
        }
        for (const stream of streams) {
          const of = (names: readonly string[]) => names.filter((name) => name.startsWith(`${stream.id}:`));
          expect(of(done)).to.deep.equal(of(all.map(({ name }) => name)));
        }
        expect(state.streams.size).to.equal(0);
      }),
      { numRuns: RUNS },
    );
  });
});
