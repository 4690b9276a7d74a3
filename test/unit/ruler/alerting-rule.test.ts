import { expect } from 'chai';
import {
  type Alert,
  type Alerts,
  alertSample,
  alertSamples,
  alertsToSend,
  compileAlertingRule,
  EvaluationError,
  stepAlerts,
} from '../../../src/ruler/alerting-rule.ts';
import type { Rule } from '../../../src/ruler/rule-group.ts';
import type { Sample } from '../../../src/ruler/sample.ts';

const MINUTE = 60_000;
const T0 = Date.UTC(2024, 2, 10);
const SURROUNDINGS = { externalUrl: 'https://grafana.example/x', externalLabels: { cluster: 'c1' } };

const ruleOf = (fields: Partial<Rule> = {}): Rule => ({
  alert: 'Slow',
  record: '',
  expr: 'vector(1)',
  forMs: 2 * MINUTE,
  keepFiringForMs: 0,
  labels: {},
  annotations: {},
  ...fields,
});

const web = (value = 1): Sample => ({ labels: ['app', 'web'], value });
const api = (value = 1): Sample => ({ labels: ['app', 'api'], value });

/** Evaluates a rule at minutes after T0, on and on. */
const timeline = (rule: Rule, groupLabels = {}, limit = 0) => {
  const compiled = compileAlertingRule(rule, groupLabels);
  let alerts: Alerts = new Map();
  return {
    at: (minute: number, samples: readonly Sample[], activeSinceMs?: ReadonlyMap<string, number>): readonly Alert[] => {
      const nowMs = T0 + minute * MINUTE;
      const made = samples.map((sample) => alertSample(compiled, sample, SURROUNDINGS));
      alerts = stepAlerts(rule, alerts, { samples: made, nowMs, limit, activeSinceMs });
      return [...alerts.values()];
    },
    sent: (minute: number, resendMinutes: number): readonly string[] => {
      const told = alertsToSend(alerts, T0 + minute * MINUTE, resendMinutes * MINUTE);
      alerts = told.alerts;
      return told.due.map(({ state, labels }) => `${state} ${labels.join(' ')}`);
    },
    samples: (): readonly Sample[] => alertSamples(alerts),
  };
};

const states = (alerts: readonly Alert[]): readonly string[] => alerts.map(({ state }) => state);

describe('an alerting rule', () => {
  it('is pending for `for`, then fires, then is inactive for 15 minutes', () => {
    const rule = timeline(ruleOf());
    expect(states(rule.at(0, []))).to.deep.equal([]);
    expect(states(rule.at(1, [web()]))).to.deep.equal(['pending']);
    expect(states(rule.at(2, [web()]))).to.deep.equal(['pending']);
    const [fired] = rule.at(3, [web(7)]);
    expect(fired).to.deep.include({ state: 'firing', value: 7, activeAtMs: T0 + MINUTE, firedAtMs: T0 + 3 * MINUTE });
    expect(states(rule.at(4, [web()]))).to.deep.equal(['firing']);
    const [resolved] = rule.at(5, []);
    expect(resolved).to.deep.include({ state: 'inactive', resolvedAtMs: T0 + 5 * MINUTE });
    expect(states(rule.at(20, []))).to.deep.equal(['inactive']);
    expect(states(rule.at(21, []))).to.deep.equal([]);
  });

  it('forgets what was pending at once, and begins anew', () => {
    const rule = timeline(ruleOf());
    rule.at(1, [web()]);
    expect(rule.at(2, [])).to.deep.equal([]);
    const [pending] = rule.at(3, [web()]);
    expect(pending).to.deep.include({ state: 'pending', activeAtMs: T0 + 3 * MINUTE });
  });

  it('fires at once without `for`', () => {
    expect(states(timeline(ruleOf({ forMs: 0 })).at(0, [web()]))).to.deep.equal(['firing']);
  });

  it('goes on firing for `keep_firing_for`, and longer if a sample comes meanwhile', () => {
    const rule = timeline(ruleOf({ forMs: 0, keepFiringForMs: 3 * MINUTE }));
    rule.at(0, [web()]);
    expect(rule.at(1, [])[0]).to.deep.include({ state: 'firing', keepFiringSinceMs: T0 + MINUTE });
    expect(states(rule.at(3, []))).to.deep.equal(['firing']);
    expect(rule.at(3.5, [web()])[0]).to.deep.include({ state: 'firing', keepFiringSinceMs: undefined });
    expect(rule.at(4, [])[0]).to.deep.include({ state: 'firing', keepFiringSinceMs: T0 + 4 * MINUTE });
    expect(states(rule.at(6, []))).to.deep.equal(['firing']);
    expect(rule.at(7, [])[0]).to.deep.include({ state: 'inactive', resolvedAtMs: T0 + 7 * MINUTE });
  });

  it('is pending again when a resolved one comes back', () => {
    const rule = timeline(ruleOf({ forMs: MINUTE }));
    rule.at(0, [web()]);
    rule.at(1, [web()]);
    rule.at(2, []);
    const [again] = rule.at(3, [web()]);
    expect(again).to.include({ state: 'pending', activeAtMs: T0 + 3 * MINUTE });
    expect([again?.resolvedAtMs, again?.lastSentMs, again?.firedAtMs]).to.deep.equal([undefined, undefined, undefined]);
  });

  it('cuts annotations that are longer than those of an alert may be together, and says so', () => {
    const long = 'é'.repeat(40_000);
    const compiled = compileAlertingRule(ruleOf({ annotations: { a: long, b: `{{ "x" }}${long}`, c: 'c' } }), {});
    const { annotations } = alertSample(compiled, web(), SURROUNDINGS);
    expect(annotations['a']).to.equal(long);
    expect(annotations['b']).to.match(
      /^xé{25000,25600} <cut: labels and annotations of an alert may be 65536 characters>$/,
    );
    expect(annotations).to.not.have.property('c');
  });

  it('has labels of so many characters and no more', () => {
    const long = compileAlertingRule(ruleOf({ labels: { a: '{{ printf "%65536d" 1 }}' } }), {});
    expect(() => alertSample(long, web(), SURROUNDINGS)).to.throw(EvaluationError, 'more than 65536 characters');
    const sample = { labels: ['msg', 'x'.repeat(65_536)], value: 1 };
    expect(() => alertSample(compileAlertingRule(ruleOf(), {}), sample, SURROUNDINGS)).to.throw(EvaluationError);
  });

  describe('whose alerts are new each time', () => {
    const fresh = (minute: number): readonly Sample[] =>
      Array.from({ length: 4000 }, (_, index) => ({ labels: ['at', `${minute}-${index}`], value: 1 }));

    it('fails beyond 10,000 that are active, and comes to itself', () => {
      const rule = timeline(ruleOf({ forMs: 0, keepFiringForMs: 5 * MINUTE }));
      rule.at(0, fresh(0));
      expect(rule.at(1, fresh(1))).to.have.length(8000);
      const failed = (): unknown => rule.at(2, fresh(2));
      expect(failed).to.throw(EvaluationError, 'exceeded limit of 10000 with 12000 alerts');
      expect(rule.at(6, fresh(6)).filter(({ state }) => state === 'firing')).to.have.length(8000);
    });

    it('tells no more of the oldest that are resolved', () => {
      const rule = timeline(ruleOf({ forMs: 0 }));
      for (const minute of [0, 1, 2]) rule.at(minute, fresh(minute));
      const alerts = rule.at(3, fresh(3));
      expect(alerts).to.have.length(10_000);
      const since = [0, 1, 2, 3].map((at) => alerts.filter(({ activeAtMs }) => activeAtMs === T0 + at * MINUTE).length);
      expect(since).to.deep.equal([0, 2000, 4000, 4000]);
    });
  });

  it('has an alert for each label set', () => {
    const rule = timeline(ruleOf({ forMs: MINUTE }));
    rule.at(0, [web()]);
    expect(rule.at(1, [web(), api()]).map(({ labels, state }) => [labels, state])).to.deep.equal([
      [['alertname', 'Slow', 'app', 'web'], 'firing'],
      [['alertname', 'Slow', 'app', 'api'], 'pending'],
    ]);
  });

  it('has the labels of its group, its own in their place, and texts made from the sample', () => {
    const labels = { app: 'all of {{ $labels.app }}', gone: '{{ if false }}x{{ end }}', severity: 'page' };
    const annotations = { text: '{{ $value }} at {{ $externalLabels.cluster }}, {{ $externalURL }}' };
    const rule = timeline(ruleOf({ labels, annotations }), { severity: 'none', team: 'a' });
    const [alert] = rule.at(0, [{ labels: ['__name__', 'x', 'app', 'web'], value: 2.5 }]);
    expect(alert?.labels).to.deep.equal(['alertname', 'Slow', 'app', 'all of web', 'severity', 'page', 'team', 'a']);
    expect(alert?.annotations).to.deep.equal({ text: '2.5 at c1, https://grafana.example/x' });
    expect(rule.at(1, [web(3)])[0]?.annotations).to.deep.equal({ text: '3 at c1, https://grafana.example/x' });
  });

  it('refuses samples that become one alert, and too many alerts', () => {
    const same = timeline(ruleOf({ labels: { app: 'one' } }));
    expect(() => same.at(0, [web(), api()])).to.throw(
      EvaluationError,
      'vector contains metrics with the same labelset after applying alert labels',
    );
    const few = timeline(ruleOf(), {}, 1);
    expect(() => few.at(0, [web(), api()])).to.throw(EvaluationError, 'exceeded limit of 1 with 2 alerts');
  });

  it('goes on where another node was: what was active `for` ago fires', () => {
    const rule = timeline(ruleOf());
    const before = new Map([[JSON.stringify(['alertname', 'Slow', 'app', 'web']), T0 - 2 * MINUTE]]);
    expect(rule.at(0, [web(), api()], before).map(({ state, activeAtMs }) => [state, activeAtMs])).to.deep.equal([
      ['firing', T0 - 2 * MINUTE],
      ['pending', T0],
    ]);
  });

  it('tells of what fires, again after the delay, and of the end at once', () => {
    const rule = timeline(ruleOf({ forMs: MINUTE }));
    rule.at(0, [web()]);
    expect(rule.sent(0, 2)).to.deep.equal([]);
    rule.at(1, [web()]);
    expect(rule.sent(1, 2)).to.deep.equal(['firing alertname Slow app web']);
    rule.at(2, [web()]);
    expect(rule.sent(2, 2)).to.deep.equal([]);
    rule.at(3, [web()]);
    expect(rule.sent(3, 2)).to.deep.equal(['firing alertname Slow app web']);
    rule.at(4, []);
    expect(rule.sent(4, 2)).to.deep.equal(['inactive alertname Slow app web']);
    rule.at(5, []);
    expect(rule.sent(5, 2)).to.deep.equal([]);
    rule.at(6, []);
    expect(rule.sent(6, 2)).to.deep.equal(['inactive alertname Slow app web']);
  });

  it('has the series ALERTS and ALERTS_FOR_STATE of what is active', () => {
    const rule = timeline(ruleOf({ forMs: MINUTE }));
    rule.at(0, [web()]);
    rule.at(1, [web(), api()]);
    const since = T0 / 1000;
    expect(rule.samples()).to.deep.equal([
      { labels: ['__name__', 'ALERTS', 'alertname', 'Slow', 'alertstate', 'firing', 'app', 'web'], value: 1 },
      { labels: ['__name__', 'ALERTS_FOR_STATE', 'alertname', 'Slow', 'app', 'web'], value: since },
      { labels: ['__name__', 'ALERTS', 'alertname', 'Slow', 'alertstate', 'pending', 'app', 'api'], value: 1 },
      { labels: ['__name__', 'ALERTS_FOR_STATE', 'alertname', 'Slow', 'app', 'api'], value: since + 60 },
    ]);
    rule.at(2, []);
    expect(rule.samples()).to.deep.equal([]);
  });
});
