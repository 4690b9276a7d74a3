import { expect } from 'chai';
import { type Outcome, runSchedule } from '../support/simulation/run-schedule.ts';
import { FAULTS } from '../support/simulation/schedule-actions.ts';
import { runSchedules, type SchedulesDone } from '../support/simulation/schedule-processes.ts';

/**
 * SEED=n replays one schedule; SIM_SCHEDULES sets how many are tried (CI: more), SIM_FROM the first of them, SIM_SECONDS after how long no more are
 * begun (CI: a machine that needs longer for all of them has other tests to run), SIM_BAIL=1 ends soon after one that fails.
 */
const only = process.env['SEED'];
const schedules = Number(process.env['SIM_SCHEDULES'] ?? (process.env['CI'] ? 5_000 : 200));
const from = Number(process.env['SIM_FROM'] ?? 0);
const seconds = Number(process.env['SIM_SECONDS'] ?? (process.env['CI'] ? 200 : Number.POSITIVE_INFINITY));
/** Of all, however slow the machine is. */
const SHARE_MIN = 1 / 10;
/** Whole nodes. Measured: about 0.1 s each, on a busy machine several times that. */
const MS_PER_SCHEDULE = 4_000;
const COMPILE_MS = 60_000;
const HISTORY_LINES = 150;
const SHOWN = 3;

const RESIZES = ['join', 'leave', 'restart', 'weight'];

const textOf = ({ seed, profile, violations, history }: Outcome): string =>
  [
    `SEED=${seed} (${profile}) npm test -- simulation`,
    ...violations,
    ...history.slice(-HISTORY_LINES).map((line) => `  ${line}`),
  ].join('\n');

const expectSound = (outcomes: readonly Outcome[]): void => {
  const broken = outcomes.filter(({ violations }) => violations.length > 0);
  const seeds = broken.map(({ seed }) => seed).join(' ');
  expect(broken.length, `SEED ${seeds}\n${broken.slice(0, SHOWN).map(textOf).join('\n')}`).to.equal(0);
};

describe('a simulated cluster', () => {
  if (only !== undefined) {
    it(`keeps its promises in schedule ${only}`, async function () {
      this.timeout(COMPILE_MS);
      expectSound([await runSchedule(Number(only))]);
    });
    return;
  }

  it('does the same for the same seed', async function () {
    this.timeout(COMPILE_MS);
    for (const seed of [2, 3]) {
      const [first, again] = [await runSchedule(seed), await runSchedule(seed)];
      expect(again.trace, `seed ${seed}`).to.equal(first.trace);
      expect(again.history).to.deep.equal(first.history);
    }
  });

  let done: SchedulesDone | undefined;

  it(`loses, doubles and invents nothing in schedules ${from} to ${from + schedules - 1}`, async function () {
    this.timeout(COMPILE_MS + schedules * MS_PER_SCHEDULE);
    const limits = { isBailing: process.env['SIM_BAIL'] === '1', withinMs: 1000 * seconds };
    done = await runSchedules({ from, end: from + schedules }, limits);
    process.stdout.write(`${summaryOf(done)}\n`);
    expectSound(done.broken);
    expect(done.schedules).to.be.at.least(done.tookMs < limits.withinMs ? schedules : schedules * SHARE_MIN);
    if (done.schedules < schedules) process.stdout.write(`      of ${schedules}: the ${seconds} s are over\n`);
  });

  if (schedules < 100) return;

  it('had faults to stand, and answers to check', () => {
    if (!done) throw new Error('the schedules did not end');
    const { figures, schedules: count } = done;
    for (const what of [...RESIZES, ...FAULTS]) expect(figures.get(what), what).to.be.greaterThan(count / 50);
    expect(figures.get('answers')).to.be.greaterThan(10 * count);
    expect(figures.get('batches')).to.be.greaterThan(10 * count);
  });
});

const summaryOf = ({ schedules: count, figures, processes, rssBytesMax, cpuMs, tookMs }: SchedulesDone): string => {
  const each = (names: readonly string[]): string =>
    (names.reduce((sum, name) => sum + (figures.get(name) ?? 0), 0) / count).toFixed(1);
  return (
    `      ${count} schedules in ${(tookMs / 1000).toFixed(0)} s (${Math.round((count / tookMs) * 60_000)} a minute) in ${processes} processes, each up to ` +
    `${rssBytesMax >> 20} MB\n      each: ${(cpuMs / count).toFixed(0)} ms of CPU, ${each([...FAULTS])} faults, ${each(RESIZES)} resizes, ${each(['flush'])} flushes, ${each(['answers'])} answers checked, ` +
    `${each(['batches'])} batches acknowledged, ${each(['messages'])} messages, ${each(['virtualMs'])} ms`
  );
};
