import { expect } from 'chai';
import { collectGarbage } from '../support/collect-garbage.ts';
import { type Outcome, runSchedule } from '../support/simulation/run-schedule.ts';

/** SEED=n replays one schedule; SIM_SCHEDULES sets how many are tried (CI: more), SIM_BAIL=1 ends at the first that fails. */
const only = process.env['SEED'];
const schedules = Number(process.env['SIM_SCHEDULES'] ?? (process.env['CI'] ? 400 : 100));
/** Whole nodes, in one thread. Measured: about 0.3 s each, on a busy machine several times that. */
const MS_PER_SCHEDULE = 4_000;
const BATCH = 20;
const HISTORY_LINES = 150;

const textOf = ({ seed, profile, violations, history }: Outcome): string =>
  [
    `SEED=${seed} (${profile}) npm test -- simulation`,
    ...violations,
    ...history.slice(-HISTORY_LINES).map((line) => `  ${line}`),
  ].join('\n');

const expectSound = (outcome: Outcome): void => {
  expect(outcome.violations.length, textOf(outcome)).to.equal(0);
};

describe('a simulated cluster', () => {
  if (only !== undefined) {
    it(`keeps its promises in schedule ${only}`, async function () {
      this.timeout(10 * MS_PER_SCHEDULE);
      expectSound(await runSchedule(Number(only)));
    });
    return;
  }

  it('does the same for the same seed', async function () {
    this.timeout(20 * MS_PER_SCHEDULE);
    for (const seed of [2, 3]) {
      const [first, again] = [await runSchedule(seed), await runSchedule(seed)];
      expect(again.trace, `seed ${seed}`).to.equal(first.trace);
      expect(again.history).to.deep.equal(first.history);
    }
  });

  const totals = new Map<string, number>();
  for (let from = 0; from < schedules; from += BATCH) {
    const end = Math.min(schedules, from + BATCH);
    it(`loses, doubles and invents nothing in schedules ${from} to ${end - 1}`, async function () {
      this.timeout(BATCH * MS_PER_SCHEDULE);
      for (let seed = from; seed < end; seed += 1) {
        const outcome = await runSchedule(seed);
        for (const [what, count] of Object.entries(outcome.figures)) totals.set(what, (totals.get(what) ?? 0) + count);
        expectSound(outcome);
      }
      collectGarbage();
    });
  }

  it('had faults to stand', function () {
    if (schedules < 100) this.skip();
    for (const fault of [
      'crash',
      'pause',
      'partition',
      'cut-link',
      'store-outage',
      'members-outage',
      'leave',
      'join',
    ]) {
      expect(totals.get(fault), fault).to.be.greaterThan(0);
    }
    expect(totals.get('answers')).to.be.greaterThan(10 * schedules);
  });
});
