import { expect } from 'chai';
import fc from 'fast-check';
import { type FlusherEffect, newFlusherState, stepFlusher } from '../../../src/actors/flusher-state.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

interface TestJob {
  readonly stream: object;
  readonly name: string;
}

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

  const placedJobs = (count: number, concurrency: number) => {
    const state = newFlusherState<TestJob>(concurrency, BACK_OFF);
    const jobs = Array.from({ length: count }, (_, index) => ({ stream: {}, name: `${index}` }));
    for (const job of jobs) stepFlusher(state, { type: 'enqueue', job });
    return { state, jobs };
  };
  const written = (effects: readonly FlusherEffect<TestJob>[]) =>
    effects.flatMap((effect) => (effect.type === 'write-rows' ? effect.jobs.map(({ name }) => name) : []));

  it('lets the next job start once an object is durable, and writes rows when no other object is on its way', () => {
    const { state, jobs } = placedJobs(3, 1);
    expect(started(stepFlusher(state, { type: 'placed', job: jobs[0]! }))).to.deep.equal(['1']);
    expect(written(stepFlusher(state, { type: 'placed', job: jobs[1]! }))).to.deep.equal([]);
    expect(written(stepFlusher(state, { type: 'placed', job: jobs[2]! }))).to.deep.equal(['0', '1', '2']);
  });

  it('writes the rows that wait when the last object on its way fails', () => {
    const { state, jobs } = placedJobs(2, 2);
    stepFlusher(state, { type: 'placed', job: jobs[0]! });
    expect(written(stepFlusher(state, { type: 'settled', job: jobs[1]!, ok: false, chance: 0 }))).to.deep.equal(['0']);
  });

  it('writes rows after a while although objects are on their way', () => {
    const { state, jobs } = placedJobs(3, 3);
    const effects = stepFlusher(state, { type: 'placed', job: jobs[0]! });
    expect(effects).to.deep.equal([{ type: 'rows-later', delayMs: 50 }]);
    expect(stepFlusher(state, { type: 'placed', job: jobs[1]! })).to.deep.equal([]);
    expect(written(stepFlusher(state, { type: 'rows-due' }))).to.deep.equal(['0', '1']);
    expect(stepFlusher(state, { type: 'rows-due' })).to.deep.equal([]);
  });

  it('writes rows when enough wait, and starts no more than may wait for their rows', () => {
    const { state, jobs } = placedJobs(2_000, 16);
    const groups: number[] = [];
    let startedCount = 16;
    for (const job of jobs) {
      if (!state.running) break;
      const effects = stepFlusher(state, { type: 'placed', job });
      startedCount += started(effects).length;
      if (written(effects).length > 0) groups.push(written(effects).length);
    }
    expect(groups).to.deep.equal(Array(8).fill(128));
    expect(startedCount).to.equal(1_024);
    expect(started(stepFlusher(state, { type: 'settled', job: jobs[0]!, ok: true, chance: 0 }))).to.deep.equal([
      '1024',
    ]);
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
        const writing: TestJob[] = [];
        const done: string[] = [];
        const perform = (effects: readonly FlusherEffect<TestJob>[]): void => {
          for (const effect of effects) {
            if (effect.type === 'start') running.push(effect.job);
            if (effect.type === 'retry-later') perform(stepFlusher(state, { type: 'retry', stream: effect.stream }));
            if (effect.type === 'write-rows') writing.push(...effect.jobs);
          }
          expect(running.length).to.be.at.most(concurrency);
        };
        const all = jobs.map((stream, index) => ({ stream: streams[stream]!, name: `${stream}:${index}` }));
        for (const job of all) perform(stepFlusher(state, { type: 'enqueue', job }));
        for (let round = 0; running.length + writing.length > 0; round += 1) {
          // Fails at random at first; in the end the store is back.
          const ok = round > 100 || outcomes.next().value === true;
          const placed = outcomes.next().value === true ? running.shift() : undefined;
          if (placed && ok) perform(stepFlusher(state, { type: 'placed', job: placed }));
          const job = placed ?? writing.shift() ?? running.shift()!;
          if (placed && ok) continue;
          if (!placed && ok && !state.placed.has(job)) {
            perform(stepFlusher(state, { type: 'placed', job }));
            continue;
          }
          if (ok) done.push(job.name);
          perform(stepFlusher(state, { type: 'settled', job, ok, chance: 0 }));
        }
        for (const stream of streams) {
          const of = (names: readonly string[]) => names.filter((name) => name.startsWith(`${stream.id}:`));
          expect(of(done)).to.deep.equal(of(all.map(({ name }) => name)));
        }
        expect(state.streams.size).to.equal(0);
      }),
      { numRuns: propertyRuns(20) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
