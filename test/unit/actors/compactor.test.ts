import { expect } from 'chai';
import { Registry } from 'prom-client';
import { Compactor } from '../../../src/actors/compactor.ts';
import { newFigures, type PassOutcome } from '../../../src/compaction/compaction.ts';
import { addCompactionMetrics } from '../../../src/http/compaction-metrics.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';
import { eventually } from '../../support/eventually.ts';

const OUTCOME: PassOutcome = { ...newFigures(), expired: 2, tables: 1, processed: [], pending: 1, oldestPendingMs: 5 };

describe('the compactor', () => {
  let clock: ManualClock;
  let passes: { readonly signal: AbortSignal; readonly end: (outcome: PassOutcome | Error) => void }[];
  let problems: string[];
  let compactor: Compactor;

  beforeEach(() => {
    clock = new ManualClock();
    passes = [];
    problems = [];
    compactor = new Compactor({
      clock,
      chance: () => 0.5,
      intervalMs: 1000,
      pass: (signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
          passes.push({ signal, end: (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)) });
        }),
      passed: () => undefined,
      report: (problem) => problems.push(problem),
    });
  });

  afterEach(() => compactor.stop());

  const begun = (count: number): Promise<void> =>
    eventually(
      `pass ${count} begins`,
      () => passes.length === count,
      () => passes.length,
    );

  /** What the alert of passes that never succeed goes by. */
  const lastSuccess = async (): Promise<number> => {
    const registry = new Registry();
    addCompactionMetrics(registry, () => compactor.figures);
    const text = await registry.getSingleMetricAsString('ringlog_compactor_last_success_timestamp_seconds');
    return Number(/ (\S+)$/.exec(text.trim())?.[1]);
  };

  const rests = (): Promise<void> => eventually('it rests', () => clock.timers === 1);

  it('passes, rests for the interval, and passes again; a first time after a part of it', async () => {
    clock.advance(499);
    expect(clock.timers).to.equal(1);
    clock.advance(1);
    await begun(1);
    expect(clock.timers, 'no second one meanwhile').to.equal(0);
    passes[0]?.end(OUTCOME);
    await rests();
    clock.advance(1000);
    await begun(2);
    passes[1]?.end(OUTCOME);
    await rests();
    expect(compactor.figures).to.deep.include({ passes: 2, expired: 4, pending: 1, lastPassMs: clock.nowMs() });
    expect(await lastSuccess()).to.equal(clock.nowMs() / 1000);
  });

  it('goes on after a pass that failed, and says so', async () => {
    clock.advance(500);
    await begun(1);
    passes[0]?.end(new Error('no store'));
    await rests();
    expect([problems.length, compactor.figures.failures, compactor.figures.passes]).to.deep.equal([1, 1, 0]);
    expect(await lastSuccess(), 'as old as the node').to.equal((clock.nowMs() - 500) / 1000);
    clock.advance(1000);
    await begun(2);
  });

  it('begins a whole pass for who asks while another runs', async () => {
    const first = compactor.compact();
    await begun(1);
    const second = compactor.compact();
    passes[0]?.end(OUTCOME);
    expect(await first).to.equal(OUTCOME);
    await begun(2);
    passes[1]?.end({ ...OUTCOME, expired: 7 });
    expect((await second).expired).to.equal(7);
  });

  it('ends the pass that runs when it is stopped, tells who waits, and touches nothing any more', async () => {
    const asked = compactor.compact().catch((error: unknown) => error);
    await begun(1);
    await compactor.stop();
    expect(passes[0]?.signal.aborted).to.equal(true);
    expect(await asked).to.be.instanceOf(RefusedError);
    clock.advance(10_000);
    expect([passes.length, problems.length, clock.timers]).to.deep.equal([1, 0, 0]);
  });
});
