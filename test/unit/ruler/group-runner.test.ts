import { expect } from 'chai';
import { type Ref, start, stop } from 'nact';
import { TurnBudget } from '../../../src/protocol/turn-budget.ts';
import type { Alert } from '../../../src/ruler/alerting-rule.ts';
import { GroupRunner } from '../../../src/ruler/group-runner.ts';
import { missedSince, nextTime, offsetOf } from '../../../src/ruler/group-schedule.ts';
import { NEW_GROUP, stepGroup } from '../../../src/ruler/group-state.ts';
import { readGroup } from '../../../src/ruler/group-yaml.ts';
import type { StoredGroup } from '../../../src/ruler/rule-group.ts';
import type { Sample } from '../../../src/ruler/sample.ts';
import type { TimedSample } from '../../../src/ruler/write-request.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { ManualClock } from '../../support/clock.ts';

const MINUTE = 60_000;
const ID = { tenant: 't', namespace: 'ns', name: 'g' };

describe('the schedule of a group', () => {
  it('is the multiples of its interval, moved by its name, at every node', () => {
    const offset = offsetOf(ID, MINUTE);
    expect(offset).to.equal(offsetOf({ ...ID }, MINUTE));
    expect(offset).to.be.within(0, MINUTE - 1);
    expect(new Set(['a', 'b', 'c', 'd'].map((name) => offsetOf({ ...ID, name }, MINUTE))).size).to.be.above(1);
    expect(nextTime(1000, 100, 30)).to.equal(1030);
    expect(nextTime(1030, 100, 30)).to.equal(1130);
    expect(nextTime(1029, 100, 30)).to.equal(1030);
    expect([missedSince(1030, 1129, 100), missedSince(1030, 1130, 100), missedSince(1030, 1350, 100)]).to.deep.equal([
      0, 1, 3,
    ]);
  });
});

describe('the state of a group', () => {
  it('evaluates one time after another, and takes a change up between two', () => {
    const due = stepGroup(NEW_GROUP, { type: 'due', atMs: 1 });
    expect(due.effects).to.deep.equal([{ type: 'evaluate', atMs: 1 }]);
    expect(stepGroup(due.state, { type: 'due', atMs: 2 })).to.deep.equal({ state: due.state, effects: [] });
    const changed = stepGroup(due.state, { type: 'changed' });
    expect(changed.effects).to.deep.equal([]);
    const ended = stepGroup(changed.state, { type: 'evaluated' });
    expect(ended).to.deep.equal({ state: NEW_GROUP, effects: [{ type: 'take' }, { type: 'rest' }] });
    expect(stepGroup(due.state, { type: 'evaluated' }).effects).to.deep.equal([{ type: 'rest' }]);
    expect(stepGroup(NEW_GROUP, { type: 'changed' }).effects).to.deep.equal([{ type: 'take' }, { type: 'rest' }]);
  });

  it('is stopped for good', () => {
    const { state, effects } = stepGroup({ phase: 'evaluating', isChanged: false }, { type: 'stop' });
    expect(effects).to.deep.equal([{ type: 'end' }]);
    for (const type of ['evaluated', 'changed', 'stop'] as const) {
      expect(stepGroup(state, { type })).to.deep.equal({ state, effects: [] });
    }
  });
});

describe('the actor of a group', () => {
  let clock: ManualClock;
  let system: Ref<never>;
  let asked: { readonly expr: string; readonly timeMs: number }[];
  let alerts: Alert[];
  let written: TimedSample[];
  let problems: string[];
  /** Of rules. */
  let reports: string[];
  let isHere: boolean;
  let answer: (expr: string, timeMs: number, signal: AbortSignal) => Promise<readonly Sample[]>;
  let runner: GroupRunner;

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const stored = (rules: readonly object[], fields: object = {}): StoredGroup => {
    const group = readGroup(JSON.stringify({ name: 'g', interval: '1m', rules, ...fields }));
    return { ...ID, group, version: JSON.stringify(group) };
  };
  const run = (group: StoredGroup): void => {
    runner = new GroupRunner(group, {
      clock,
      system,
      defaultIntervalMs: MINUTE,
      ofRule: () => ({
        clock,
        query: async (expr, timeMs, signal) => {
          asked.push({ expr, timeMs });
          return await answer(expr, timeMs, signal);
        },
        surroundings: { externalUrl: '', externalLabels: {} },
        turns: new TurnBudget(systemClock, 5),
        resendDelayMs: MINUTE,
        alert: (_expr, due) => void alerts.push(...due),
        write: (samples) => void written.push(...samples),
        report: (problem) => void reports.push(problem),
      }),
      isHere: () => isHere,
      evaluated: () => undefined,
      report: (problem) => void problems.push(problem),
    });
  };
  const minutes = async (count: number): Promise<void> => {
    for (let minute = 0; minute < count; minute++) {
      clock.advance(MINUTE);
      await settle();
    }
  };
  const names = (): readonly string[] => written.map(({ labels, value }) => `${labels[1]} ${labels[3]} ${value}`);

  beforeEach(() => {
    clock = new ManualClock();
    system = start() as Ref<never>;
    [asked, alerts, written, problems, reports, isHere] = [[], [], [], [], [], true];
    answer = async () => [{ labels: ['app', 'web'], value: 1 }];
  });
  afterEach(async () => {
    await runner.stop();
    stop(system);
    expect(clock.timers).to.equal(0);
    expect(problems).to.deep.equal([]);
  });

  it('asks for its rules in order, each minute, at times that all nodes have', async () => {
    run(
      stored(
        [
          { record: 'a', expr: 'vector(1)' },
          { record: 'b', expr: 'vector(2)' },
        ],
        { query_offset: '10s' },
      ),
    );
    await minutes(3);
    expect(asked.map(({ expr }) => expr)).to.deep.equal([
      'vector(1)',
      'vector(2)',
      'vector(1)',
      'vector(2)',
      'vector(1)',
      'vector(2)',
    ]);
    const times = [...new Set(asked.map(({ timeMs }) => timeMs))];
    expect(times.map((timeMs) => (timeMs + 10_000 - offsetOf(ID, MINUTE)) % MINUTE)).to.deep.equal([0, 0, 0]);
    expect(times.map((timeMs) => timeMs - (times[0] ?? 0))).to.deep.equal([0, MINUTE, 2 * MINUTE]);
    expect(names().slice(0, 2)).to.deep.equal(['a web 1', 'b web 1']);
    expect(written[0]?.timeMs).to.equal(times[0]);
    expect(runner.figures).to.deep.equal({
      ...{ evaluations: 6, failures: 0, iterations: 3, missed: 0 },
      ...{ intervalMs: MINUTE, lastEvaluationMs: (times[2] ?? 0) + 10_000, evaluationMs: 0, rules: 2 },
    });
  });

  it('keeps what a rule has come to when an evaluation fails, and says so', async () => {
    run(stored([{ alert: 'A', expr: 'vector(1)' }]));
    await minutes(1);
    answer = () => Promise.reject(new Error('the store is away'));
    await minutes(1);
    const [rule] = runner.status.rules;
    expect(rule).to.include({ health: 'err', lastError: 'the store is away' });
    expect(rule?.alerts[0]).to.include({ state: 'firing' });
    expect(alerts).to.have.length(1);
    answer = async () => [];
    await minutes(1);
    expect(runner.status.rules[0]).to.deep.include({ health: 'ok', lastError: '', alerts: [] });
    expect(alerts.map(({ state }) => state)).to.deep.equal(['firing', 'inactive']);
    expect(runner.figures).to.include({ evaluations: 3, failures: 1 });
  });

  it('takes a template for what it is when it first evaluates it', async () => {
    run(stored([{ alert: 'A', expr: 'vector(1)', annotations: { text: '{{ nothing }}' } }]));
    expect(runner.status.rules[0]).to.include({ health: 'unknown' });
    await minutes(1);
    expect(runner.status.rules[0]).to.include({ health: 'err' });
    expect(runner.status.rules[0]?.lastError).to.include('nothing');
  });

  it('asks once how things stood before it was there: what was active then fires', async () => {
    answer = async (_expr, timeMs) =>
      timeMs < clock.nowMs() - 4 * MINUTE
        ? [{ labels: ['app', 'old'], value: 1 }]
        : [
            { labels: ['app', 'old'], value: 2 },
            { labels: ['app', 'new'], value: 2 },
          ];
    run(stored([{ alert: 'A', expr: 'vector(1)', for: '5m' }]));
    await minutes(2);
    const [now = 0, then = 0, next = 0] = asked.map(({ timeMs }) => timeMs);
    expect([then - now, next - now, asked.length]).to.deep.equal([-5 * MINUTE, MINUTE, 3]);
    expect(runner.status.rules[0]?.alerts.map(({ labels, state }) => `${labels[3]} ${state}`)).to.deep.equal([
      'old firing',
      'new pending',
    ]);
    expect(alerts[0]).to.include({ activeAtMs: then, firedAtMs: now });
  });

  it('goes on where it cannot ask how things stood before, and makes up for it when it can', async () => {
    let failures = 0;
    answer = async (_expr, timeMs) => {
      if (timeMs < clock.nowMs() - MINUTE && failures-- > 0) throw new Error('the old data cannot be parsed');
      return [{ labels: ['app', 'web'], value: 1 }];
    };
    const states = () =>
      runner.status.rules.flatMap((rule) => rule.alerts.map(({ state }) => `${rule.health} ${state}`));
    const problem = 'since when alerts are active cannot be known: they count from now';
    failures = 2;
    run(stored([{ alert: 'A', expr: 'vector(1)', for: '5m' }]));
    await minutes(2);
    expect([states(), reports]).to.deep.equal([['ok pending'], [problem, problem]]);
    await minutes(1);
    expect(states()).to.deep.equal(['ok firing']);
    await runner.stop();
    [asked, reports, failures] = [[], [], Number.POSITIVE_INFINITY];
    run(stored([{ alert: 'A', expr: 'vector(1)', for: '5m' }]));
    await minutes(5);
    expect([states(), reports]).to.deep.equal([['ok pending'], Array(3).fill(problem)]);
    expect(asked).to.have.length(8);
    await minutes(1);
    expect(states()).to.deep.equal(['ok firing']);
  });

  it('goes on with rules that stay when the group changes, and ends the series of those that go', async () => {
    const a = { alert: 'A', expr: 'vector(1)', for: '90s' };
    run(stored([a, { record: 'gone', expr: 'vector(1)' }, { record: 'kept', expr: 'vector(1)' }]));
    answer = async (_expr, timeMs) => (timeMs < clock.nowMs() - MINUTE ? [] : [{ labels: ['app', 'web'], value: 1 }]);
    await minutes(1);
    written = [];
    runner.change(
      stored([
        { record: 'kept', expr: 'vector(3)' },
        { ...a, expr: 'vector(4)' },
      ]),
    );
    await settle();
    expect(names()).to.deep.equal(['gone web stale']);
    await minutes(2);
    expect(asked.slice(-2).map(({ expr }) => expr)).to.deep.equal(['vector(3)', 'vector(4)']);
    expect(runner.status.rules[1]?.alerts[0]).to.include({ state: 'firing' });
    expect(names()).to.not.include('kept web stale');
  });

  it('waits for an evaluation that takes long, counts what it missed, and takes a change up afterwards', async () => {
    let end: () => void = () => undefined;
    answer = () =>
      new Promise((resolve) => {
        end = () => resolve([]);
      });
    run(stored([{ record: 'a', expr: 'vector(1)' }]));
    await minutes(1);
    runner.change(stored([{ record: 'a', expr: 'vector(2)' }]));
    await minutes(2);
    expect(asked.map(({ expr }) => expr)).to.deep.equal(['vector(1)']);
    end();
    await settle();
    expect(runner.figures).to.include({ iterations: 1, missed: 2 });
    await minutes(1);
    expect(asked.map(({ expr }) => expr)).to.deep.equal(['vector(1)', 'vector(2)']);
    end();
    await settle();
  });

  it('ends series on the time of the group, which may lie back', async () => {
    run(
      stored(
        [
          { record: 'a', expr: 'vector(1)' },
          { record: 'b', expr: 'vector(1)' },
        ],
        { query_offset: '10m' },
      ),
    );
    await minutes(1);
    runner.change(stored([{ record: 'a', expr: 'vector(1)' }], { query_offset: '10m' }));
    await settle();
    await runner.stop(true);
    const stale = written.filter(({ value }) => value === 'stale');
    expect(stale.map(({ labels, timeMs }) => [labels[1], clock.nowMs() - timeMs])).to.deep.equal([
      ['b', 10 * MINUTE],
      ['a', 10 * MINUTE],
    ]);
  });

  it('goes on within an interval when the clock is set back', async () => {
    run(stored([{ record: 'a', expr: 'vector(1)' }]));
    await minutes(1);
    clock.stepWall(-3_600_000);
    await minutes(3);
    expect(asked).to.have.length(3);
    const [first = 0, second = 0, third = 0] = asked.map(({ timeMs }) => timeMs);
    expect([(second - first) % MINUTE, third - second]).to.deep.equal([-0, MINUTE]);
    expect(second).to.be.below(first - 50 * MINUTE);
  });

  it('asks for nothing while the group is another node’s', async () => {
    run(stored([{ record: 'a', expr: 'vector(1)' }]));
    isHere = false;
    await minutes(2);
    expect(asked).to.deep.equal([]);
    isHere = true;
    await minutes(1);
    expect(asked).to.have.length(1);
  });

  it('ends what is under way when it stops, and the series only if the group is gone', async () => {
    run(stored([{ record: 'a', expr: 'vector(1)' }]));
    await minutes(1);
    answer = (_expr, _timeMs, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    await minutes(1);
    await runner.stop();
    expect(names()).to.deep.equal(['a web 1']);
    expect(runner.status.rules[0]?.health).to.equal('ok');
    answer = async () => [{ labels: ['app', 'web'], value: 1 }];
    run(stored([{ record: 'a', expr: 'vector(1)' }]));
    await minutes(1);
    await runner.stop(true);
    expect(names()).to.deep.equal(['a web 1', 'a web 1', 'a web stale']);
  });
});
