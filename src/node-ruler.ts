/** Composition of what evaluates rules, and of what the API asks about them. */
import type { NodeServices } from './actors/node-services.ts';
import type { Config } from './config.ts';
import type { RulerSettings } from './config-ruler.ts';
import { checkBlocked } from './http/blocked-queries.ts';
import { checkQueryLimits, withinLookback } from './http/query-checks.ts';
import { parseExpr } from './logql/parser.ts';
import type { ClusterRules } from './member/cluster-rules.ts';
import type { Clock } from './protocol/clock.ts';
import type { Limits } from './protocol/limits.ts';
import { Permits } from './protocol/permits.ts';
import { type RefusalCode, RefusedError } from './protocol/refusal.ts';
import { TurnBudget } from './protocol/turn-budget.ts';
import { queryLimitsOf } from './query/query-limits.ts';
import type { QueryRequest, QueryResult } from './query/query-messages.ts';
import { EvaluationError } from './ruler/alerting-rule.ts';
import { Alertmanager } from './ruler/alertmanager.ts';
import { type HttpReceiver, HttpSender } from './ruler/http-sender.ts';
import { RemoteWrite, type RemoteWriteClient } from './ruler/remote-write.ts';
import { RuleFiles } from './ruler/rule-files.ts';
import type { StoredGroup } from './ruler/rule-group.ts';
import { RuleObjects } from './ruler/rule-objects.ts';
import type { RuleRunnerDeps } from './ruler/rule-runner.ts';
import type { RuleStore } from './ruler/rule-store.ts';
import { Ruler } from './ruler/ruler.ts';
import type { RulerFigures } from './ruler/ruler-figures.ts';
import { RulesService } from './ruler/rules-service.ts';
import type { Sample } from './ruler/sample.ts';
import type { ChunkStore } from './storage/chunk-store.ts';
import { RetryBudget } from './storage/retry-budget.ts';

export interface NodeRulerDeps {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly chance: () => number;
  readonly chunks: ChunkStore;
  readonly services: Pick<NodeServices, 'queryAll'>;
  /** Of a member of a cluster. */
  readonly cluster: ClusterRules | undefined;
  readonly report: (problem: string, error: unknown, about?: object) => void;
  readonly info: (fields: object, text: string) => void;
  /** A rule was evaluated, in so many ms. */
  readonly evaluated: (ms: number, isFine: boolean) => void;
}

export interface NodeRuler {
  /** undefined: no API. */
  readonly rules: RulesService | undefined;
  readonly figures: RulerFigures;
  /** The node can be queried: evaluates, if it is to. */
  start(): void;
  /** No evaluation is under way when it resolves, and none begins: others may take the groups. */
  endEvaluations(): Promise<void>;
  /** The same; alerts and samples that wait have until the deadline. A second call waits for the first. */
  stop(deadlineMs: number): Promise<void>;
}

/** Of each turn of the event loop, for the texts of alerts; one of them may take as long again. Chosen. */
const TEMPLATES_MS = 2;

/** Chosen: what waits for receivers when a node ends. */
const CLOSE_MS_MAX = 5_000;

/** Refusals that the next try may not meet; all tries within the query's own timeout. */
const PASSING: ReadonlySet<RefusalCode> = new Set(['STORAGE_UNAVAILABLE', 'OVERLOADED']);
const RETRIES = { triesMax: 3, firstMs: 250, lastMs: 2_000, shareMin: 0.5 };

export const rulerOf = (config: Config, deps: NodeRulerDeps): NodeRuler => {
  const { ruler: settings, limits } = config;
  const { clock, cluster, report, info, evaluated } = deps;
  const store = storeOf(settings, deps);
  const sender = new HttpSender({ clock, report });
  const alertmanager = alertmanagerOf(settings, sender, deps);
  const remoteWrite = remoteWriteOf(settings, sender, deps);
  const query = queryOf(config, deps);
  const turns = new TurnBudget(clock, TEMPLATES_MS);
  const surroundings = { externalUrl: settings.external_url, externalLabels: settings.external_labels };
  const defaultIntervalMs = settings.evaluation_interval;
  const ofRule = ({ tenant, namespace, name, group }: StoredGroup): RuleRunnerDeps => {
    const periodMs = Math.max(group.intervalMs || defaultIntervalMs, settings.resend_delay);
    return {
      clock,
      query: (expr, timeMs, signal) => query(tenant, expr, timeMs, signal),
      surroundings,
      turns,
      resendDelayMs: settings.resend_delay,
      alert: (expr, alerts) => alertmanager.send(tenant, expr, alerts, periodMs),
      write: (samples) => remoteWrite.send(tenant, samples),
      report: (problem, error, about) => report(problem, error, { tenant, namespace, group: name, ...about }),
    };
  };
  const ruler = new Ruler(
    {
      pollMs: settings.poll_interval,
      defaultIntervalMs,
      enabledTenants: namesIn(settings.enabled_tenants),
      disabledTenants: namesIn(settings.disabled_tenants),
    },
    {
      clock,
      store,
      isHere: (group) => cluster?.isHere(group) ?? true,
      ofRule,
      evaluated,
      report,
      info,
      writesSamples: remoteWrite.isEnabled,
    },
  );
  if (settings.enabled) cluster?.attach(ruler);
  const rules = new RulesService({
    store,
    limits,
    defaultIntervalMs,
    ask: async (tenant) => (cluster ? await cluster.ask(tenant) : ruler.statuses(tenant)),
    changed: () => (cluster ?? ruler).hint(),
  });
  const endEvaluations = (): Promise<void> => ruler.stop();
  const stop = async (deadlineMs: number): Promise<void> => {
    const endMs = clock.monotonicMs() + deadlineMs;
    await endEvaluations();
    const restMs = Math.max(0, Math.min(CLOSE_MS_MAX, endMs - clock.monotonicMs()));
    await Promise.all([alertmanager.close(restMs), remoteWrite.close(restMs)]);
    await sender.close();
  };
  let stopped: Promise<void> | undefined;
  return {
    rules: settings.enable_api ? rules : undefined,
    figures: {
      get groups() {
        return ruler.figures;
      },
      get notifications() {
        return alertmanager.figures;
      },
      notificationsMax: alertmanager.waitingMax,
      get samples() {
        return remoteWrite.figures;
      },
    },
    start: () => {
      if (settings.enabled) ruler.start();
    },
    endEvaluations,
    stop: (deadlineMs) => {
      stopped ??= stop(deadlineMs);
      return stopped;
    },
  };
};

const namesIn = (list: string): readonly string[] =>
  list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

const storeOf = ({ storage }: RulerSettings, { chunks, clock, chance, report }: NodeRulerDeps): RuleStore =>
  storage.type === 'local'
    ? new RuleFiles(storage.local.directory, report)
    : new RuleObjects({ chunks, clock, chance, report });

const alertmanagerOf = (
  settings: RulerSettings,
  sender: HttpSender,
  { clock, chance }: NodeRulerDeps,
): Alertmanager => {
  const receivers = namesIn(settings.alertmanager_url).map(
    (url): HttpReceiver => ({
      url,
      headers: {},
      authorization: settings.alertmanager_client,
      timeoutMs: settings.notification_timeout,
    }),
  );
  return new Alertmanager(
    {
      receivers,
      waitingMax: settings.notification_queue_capacity,
      externalUrl: settings.external_url,
      externalLabels: settings.external_labels,
      datasourceUid: settings.datasource_uid,
    },
    { sender, clock, chance },
  );
};

const remoteWriteOf = (
  { remote_write }: RulerSettings,
  sender: HttpSender,
  { clock, chance }: NodeRulerDeps,
): RemoteWrite => {
  const { enabled, client, clients, add_org_id_header } = remote_write;
  const all = [...(client ? [['', client] as const] : []), ...Object.entries(clients)];
  const used = enabled ? all : [];
  return new RemoteWrite(
    {
      clients: used.map(
        ([name, { url, headers, authorization, remote_timeout, queue_config, ...own }]): RemoteWriteClient => ({
          name: own.name || name || 'default',
          url,
          headers,
          authorization,
          timeoutMs: remote_timeout,
          waitingMax: queue_config.capacity,
          batchMax: queue_config.max_samples_per_send,
          minBackoffMs: queue_config.min_backoff,
          maxBackoffMs: queue_config.max_backoff,
          retriesTooMany: queue_config.retry_on_http_429,
        }),
      ),
      sendsTenant: add_org_id_header,
    },
    { sender, clock, chance },
  );
};

type Query = (tenant: string, expr: string, timeMs: number, signal: AbortSignal) => Promise<readonly Sample[]>;

const NS_PER_MS = 1_000_000n;

/** As a user's instant query, in the turn of its tenant; so many of all tenants at a time. */
const queryOf = ({ ruler, limits }: Config, { services, clock, chance }: NodeRulerDeps): Query => {
  const permits = new Permits(ruler.evaluation.max_concurrent);
  return async (tenant, expr, timeMs, signal) => {
    const own = limits.limitsFor(tenant);
    const request = requestOf(tenant, expr, timeMs, own);
    if (!withinLookback(request, own, BigInt(Math.trunc(clock.nowMs())) * NS_PER_MS)) return [];
    const ask = async (): Promise<readonly Sample[]> => {
      const budget = new RetryBudget({ clock, chance }, own.queryTimeoutMs || DEADLINE_MS, RETRIES);
      for (;;) {
        try {
          return samplesOf(await services.queryAll(request, signal));
        } catch (error) {
          const isPassing = error instanceof RefusedError && PASSING.has(error.refusal.code);
          if (!isPassing || !(await budget.wait(signal))) throw error;
        }
      }
    };
    return await permits.with(signal, ask, tenant);
  };
};

/** Of a tenant whose queries have no timeout. */
const DEADLINE_MS = 60_000;

/** @throws RefusedError; EvaluationError for a log query */
const requestOf = (tenant: string, expr: string, timeMs: number, limits: Limits): QueryRequest => {
  const parsed = parseExpr(expr);
  if (parsed.kind === 'log') throw new EvaluationError(NO_SAMPLES);
  const timeNs = BigInt(timeMs) * NS_PER_MS;
  const request: QueryRequest = {
    tenant,
    query: expr,
    startNs: timeNs,
    endNs: timeNs,
    stepNs: 0n,
    isInstant: true,
    limit: 0,
    direction: 'backward',
    intervalNs: 0n,
    categorizeLabels: false,
    limits: { ...queryLimitsOf(limits), timeoutMs: limits.queryTimeoutMs || DEADLINE_MS },
  };
  checkQueryLimits(parsed, request, limits);
  checkBlocked(expr, parsed, limits.blockedQueries);
  return request;
};

const NO_SAMPLES = 'rule result is not a vector or scalar';

const samplesOf = (result: QueryResult): readonly Sample[] => {
  switch (result.type) {
    case 'vector':
      return result.series.map(({ labels, values: [value = Number.NaN] }) => ({ labels, value }));
    case 'scalar':
      return [{ labels: [], value: result.value }];
    case 'streams':
    case 'matrix':
      throw new EvaluationError(NO_SAMPLES);
  }
};
