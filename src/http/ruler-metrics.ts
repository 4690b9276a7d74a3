import { setImmediate as nextTurn } from 'node:timers/promises';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { DeliveryFigures } from '../ruler/delivery-queue.ts';
import type { RulerFigures } from '../ruler/ruler-figures.ts';

type Row = readonly [labels: Readonly<Record<string, string>>, value: number];
/** May wait for its turn: 10,000 groups are some 50 ms a metric. */
type Read = () => readonly Row[] | Promise<readonly Row[]>;

const addGauge = (registry: Registry, name: string, help: string, labelNames: readonly string[], read: Read): void => {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    async collect() {
      const rows = await read();
      this.reset();
      for (const [labels, value] of rows) this.set(labels, value);
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
    async collect() {
      const rows = await read();
      this.reset();
      for (const [labels, value] of rows) this.inc(labels, value);
    },
  });
};

/** Adds what is evaluated and sent, under the names of Loki's ruler. Groups that move to another node are counted there. */
export const addRulerMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const groups = oncePerTurn(() =>
    figures().groups.map((one) => ({
      labels: { user: one.tenant, rule_group: `${one.namespace};${one.name}` },
      one,
    })),
  );
  const turns = new Turns();
  const ofGroups =
    (value: (group: RulerFigures['groups'][number]) => number): Read =>
    async () => {
      // A scrape asks all metrics in one turn.
      const all = groups();
      await turns.next();
      return all.map(({ labels, one }) => [labels, value(one)]);
    };
  const group = ['user', 'rule_group'];
  const prefix = 'loki_prometheus_rule';
  type Row = readonly [string, string, (group: RulerFigures['groups'][number]) => number];
  const counters: readonly Row[] = [
    ['evaluations_total', 'Rules evaluated.', (one) => one.evaluations],
    ['evaluation_failures_total', 'Of them failed.', (one) => one.failures],
    ['group_iterations_total', 'Groups evaluated.', (one) => one.iterations],
    ['group_iterations_missed_total', 'Times that passed while a group was still evaluated.', (one) => one.missed],
  ];
  for (const [name, help, value] of counters) addCounter(registry, `${prefix}_${name}`, help, group, ofGroups(value));
  const gauges: readonly Row[] = [
    ['group_last_duration_seconds', 'Of the last evaluation.', (one) => one.evaluationMs / 1000],
    ['group_last_evaluation_timestamp_seconds', 'Of the last evaluation.', (one) => one.lastEvaluationMs / 1000],
    ['group_interval_seconds', 'Between two evaluations.', (one) => one.intervalMs / 1000],
    ['group_rules', 'Rules in the group.', (one) => one.rules],
  ];
  for (const [name, help, value] of gauges) addGauge(registry, `${prefix}_${name}`, help, group, ofGroups(value));
  addNotificationMetrics(registry, figures);
  addRemoteWriteMetrics(registry, figures);
};

const oncePerTurn = <Value>(read: () => Value): (() => Value) => {
  let known: { readonly value: Value } | undefined;
  return () => {
    if (known) return known.value;
    known = { value: read() };
    setImmediate(() => {
      known = undefined;
    });
    return known.value;
  };
};

/** Who waits gets a turn of the event loop for itself. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  next(): Promise<unknown> {
    this.#last = this.#last.then(() => nextTurn());
    return this.#last;
  }
}

type DeliveryRow = readonly [string, string, (delivery: DeliveryFigures) => number];

const addNotificationMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const of =
    (value: DeliveryRow[2]): Read =>
    () =>
      figures().notifications.map(([alertmanager, delivery]) => [{ alertmanager }, value(delivery)]);
  const labels = ['alertmanager'];
  const prefix = 'loki_prometheus_notifications';
  const counters: readonly DeliveryRow[] = [
    ['sent_total', 'Alerts sent.', ({ delivered }) => delivered],
    ['errors_total', 'Alerts that could not be sent.', ({ failed }) => failed],
    ['dropped_total', 'Alerts for which there was no room.', ({ dropped }) => dropped],
  ];
  for (const [name, help, value] of counters) addCounter(registry, `${prefix}_${name}`, help, labels, of(value));
  const waiting = of((delivery) => delivery.waiting);
  addGauge(registry, `${prefix}_queue_length`, 'Alerts that wait.', labels, waiting);
  addGauge(registry, `${prefix}_queue_capacity`, 'Alerts of a tenant that may wait.', [], () => [
    [{}, figures().notificationsMax],
  ]);
};

const addRemoteWriteMetrics = (registry: Registry, figures: () => RulerFigures): void => {
  const of =
    (value: DeliveryRow[2]): Read =>
    () =>
      figures().samples.map(([name, delivery]) => [{ remote_name: name }, value(delivery)]);
  const labels = ['remote_name'];
  const prefix = 'loki_ruler_wal_prometheus_remote_storage_samples';
  const counters: readonly DeliveryRow[] = [
    ['total', 'Samples sent.', ({ delivered }) => delivered],
    ['failed_total', 'Samples that could not be sent.', ({ failed }) => failed],
    ['dropped_total', 'Samples for which there was no room.', ({ dropped }) => dropped],
    ['retried_total', 'Samples sent again.', ({ retried }) => retried],
  ];
  for (const [name, help, value] of counters) addCounter(registry, `${prefix}_${name}`, help, labels, of(value));
  const waiting = of((delivery) => delivery.waiting);
  addGauge(registry, `${prefix}_pending`, 'Samples that wait.', labels, waiting);
};
