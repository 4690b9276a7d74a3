import { expect } from 'chai';
import { Registry } from 'prom-client';
import { addRulerMetrics } from '../../../src/http/ruler-metrics.ts';
import type { RulerFigures } from '../../../src/ruler/ruler-figures.ts';

const GROUP: RulerFigures['groups'][number] = {
  tenant: 't',
  namespace: 'ns',
  name: 'g',
  evaluations: 7,
  failures: 2,
  iterations: 4,
  missed: 1,
  intervalMs: 60_000,
  lastEvaluationMs: 1_700_000_000_000,
  evaluationMs: 250,
  rules: 3,
};

describe('metrics of the ruler', () => {
  let registry: Registry;
  let reads: number;

  beforeEach(() => {
    registry = new Registry();
    reads = 0;
    addRulerMetrics(registry, () => ({
      get groups() {
        reads += 1;
        return [{ ...GROUP, evaluations: 7 * reads }];
      },
      notifications: [['http://am', { delivered: 5, failed: 0, dropped: 0, retried: 0, waiting: 6 }]],
      notificationsMax: 10,
      samples: [],
    }));
  });

  it('show each group, as it was at one moment of the scrape', async () => {
    const lines = (await registry.metrics()).split('\n').filter((line) => line.includes('rule_group='));
    const labels = '{user="t",rule_group="ns;g"}';
    expect(lines).to.deep.equal([
      `loki_prometheus_rule_evaluations_total${labels} 7`,
      `loki_prometheus_rule_evaluation_failures_total${labels} 2`,
      `loki_prometheus_rule_group_iterations_total${labels} 4`,
      `loki_prometheus_rule_group_iterations_missed_total${labels} 1`,
      `loki_prometheus_rule_group_last_duration_seconds${labels} 0.25`,
      `loki_prometheus_rule_group_last_evaluation_timestamp_seconds${labels} 1700000000`,
      `loki_prometheus_rule_group_interval_seconds${labels} 60`,
      `loki_prometheus_rule_group_rules${labels} 3`,
    ]);
    expect(reads).to.equal(1);
    expect(await registry.metrics()).to.include(`loki_prometheus_rule_evaluations_total${labels} 14`);
    expect(reads).to.equal(2);
  });

  it('of what is sent read no groups', async () => {
    const text = await registry.getSingleMetricAsString('loki_prometheus_notifications_queue_length');
    expect(text).to.include('{alertmanager="http://am"} 6');
    expect(reads).to.equal(0);
  });

  it('have a turn of the event loop each', async () => {
    let isOver = false;
    let turns = 0;
    const scrape = registry.metrics().finally(() => {
      isOver = true;
    });
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
    await scrape;
    expect(turns).to.be.at.least(8);
  });
});
