import { Counter, Gauge, type Registry } from 'prom-client';
import type { DeliveryFigures } from '../ruler/delivery-queue.ts';
import type { RulerFigures } from '../ruler/ruler-figures.ts';

type Read = () => readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];

const addGauge = (registry: Registry, name: string, help: string, labelNames: readonly string[], read: Read): void => {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.set(labels, value);
    },
  });
};

const addCounter = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: Read,
): void => {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.inc(labels, value);
    },
  });
};

/** Adds what is evaluated and sent, under the names of Loki's ruler. Groups that move to another node are counted there. */
export const addRulerMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const ofGroups =
    (value: (group: RulerFigures['groups'][number]) => number): Read =>
    () =>
      figures().groups.map((group) => [
        { user: group.tenant, rule_group: `${group.namespace};${group.name}` },
        value(group),
      ]);
  const group = ['user', 'rule_group'];
  const prefix = 'loki_prometheus_rule';
  addCounter(
    registry,
    `${prefix}_evaluations_total`,
    'Rules evaluated.',
    group,
    ofGroups((one) => one.evaluations),
  );
  addCounter(
    registry,
    `${prefix}_evaluation_failures_total`,
    'Of them failed.',
    group,
    ofGroups((one) => one.failures),
  );
  addCounter(
    registry,
    `${prefix}_group_iterations_total`,
    'Groups evaluated.',
    group,
    ofGroups((one) => one.iterations),
  );
  addCounter(
    registry,
    `${prefix}_group_iterations_missed_total`,
    'Times that passed while a group was still evaluated.',
    group,
    ofGroups((one) => one.missed),
  );
  const gauges: readonly (readonly [string, string, (group: RulerFigures['groups'][number]) => number])[] = [
    ['group_last_duration_seconds', 'Of the last evaluation.', ({ status }) => status.evaluationMs / 1000],
    [
      'group_last_evaluation_timestamp_seconds',
      'Of the last evaluation.',
      ({ status }) => status.lastEvaluationMs / 1000,
    ],
    ['group_interval_seconds', 'Between two evaluations.', ({ status }) => status.intervalMs / 1000],
    ['group_rules', 'Rules in the group.', ({ status }) => status.rules.length],
  ];
  for (const [name, help, value] of gauges) addGauge(registry, `${prefix}_${name}`, help, group, ofGroups(value));
  addNotificationMetrics(registry, figures);
  addRemoteWriteMetrics(registry, figures);
};

const addNotificationMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const of =
    (value: (delivery: DeliveryFigures) => number): Read =>
    () =>
      figures().notifications.map(([alertmanager, delivery]) => [{ alertmanager }, value(delivery)]);
  const labels = ['alertmanager'];
  const prefix = 'loki_prometheus_notifications';
  addCounter(
    registry,
    `${prefix}_sent_total`,
    'Alerts sent.',
    labels,
    of(({ delivered }) => delivered),
  );
  addCounter(
    registry,
    `${prefix}_errors_total`,
    'Alerts that could not be sent.',
    labels,
    of(({ failed }) => failed),
  );
  addCounter(
    registry,
    `${prefix}_dropped_total`,
    'Alerts for which there was no room.',
    labels,
    of(({ dropped }) => dropped),
  );
  addGauge(
    registry,
    `${prefix}_queue_length`,
    'Alerts that wait.',
    labels,
    of(({ waiting }) => waiting),
  );
  addGauge(registry, `${prefix}_queue_capacity`, 'Alerts of a tenant that may wait.', [], () => [
    [{}, figures().notificationsMax],
  ]);
};

const addRemoteWriteMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const of =
    (value: (delivery: DeliveryFigures) => number): Read =>
    () =>
      figures().samples.map(([name, delivery]) => [{ remote_name: name }, value(delivery)]);
  const labels = ['remote_name'];
  const prefix = 'loki_ruler_wal_prometheus_remote_storage_samples';
  addCounter(
    registry,
    `${prefix}_total`,
    'Samples sent.',
    labels,
    of(({ delivered }) => delivered),
  );
  addCounter(
    registry,
    `${prefix}_failed_total`,
    'Samples that could not be sent.',
    labels,
    of(({ failed }) => failed),
  );
  addCounter(
    registry,
    `${prefix}_dropped_total`,
    'Samples for which there was no room.',
    labels,
    of(({ dropped }) => dropped),
  );
  addCounter(
    registry,
    `${prefix}_retried_total`,
    'Samples sent again.',
    labels,
    of(({ retried }) => retried),
  );
  addGauge(
    registry,
    `${prefix}_pending`,
    'Samples that wait.',
    labels,
    of(({ waiting }) => waiting),
  );
};
