import { formatExponent } from '../logql/template/go-float.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { printGroup, printNamespaces, readGroup } from '../ruler/group-yaml.ts';
import { isAlerting, type RuleGroup } from '../ruler/rule-group.ts';
import type { ActiveAlert, GroupStatus, RuleStatus } from '../ruler/rule-status.ts';
import type { RulesService } from '../ruler/rules-service.ts';
import { tenantHeader } from './edge-options.ts';
import type { EdgeState } from './form.ts';
import { badRequest } from './parameters.ts';
import { statusOf } from './refusal-status.ts';
import { readBody } from './request-body.ts';
import type { Exchange, Handler } from './routes.ts';

/** Chosen: some hundred rules; YAML of that size is read in a fraction of a second, whatever it is. */
const GROUP_BYTES_MAX = 128 * 1024;
const YAML_TYPE = 'application/yaml';

/** `/loki/api/v1/rules…`, `/api/prom/rules…` and `/prometheus/api/v1/rules`, `/alerts`, with the statuses and texts of Loki's ruler. */
export class RulesHandlers {
  readonly #rules: RulesService;
  readonly #state: EdgeState;

  constructor(rules: RulesService, state: EdgeState) {
    this.#rules = rules;
    this.#state = state;
  }

  /** All namespaces. */
  readonly all: Handler = (exchange) => this.#asText(exchange, (tenant) => this.#list(exchange, tenant));

  /** One namespace. */
  readonly namespace: Handler = (exchange) =>
    this.#asText(exchange, async (tenant) => {
      const [namespace = ''] = exchange.names;
      switch (exchange.request.method) {
        case 'POST':
          await this.#put(exchange, tenant, namespace);
          return;
        case 'DELETE':
          await this.#delete(exchange, { tenant, namespace }, 'group namespace does not exist');
          return;
        default:
          await this.#list(exchange, tenant, namespace);
      }
    });

  /** One group. */
  readonly group: Handler = (exchange) =>
    this.#asText(exchange, async (tenant) => {
      const [namespace = '', name = ''] = exchange.names;
      const missing = 'group does not exist';
      if (exchange.request.method === 'DELETE') {
        await this.#delete(exchange, { tenant, namespace, name }, missing);
        return;
      }
      const groups = await this.#rules.groups(tenant);
      const found = groups.find((one) => one.namespace === namespace && one.name === name);
      if (found) await exchange.reply.text(200, printGroup(found.group), YAML_TYPE);
      else await answerText(exchange, 404, missing);
    });

  /** Grafana's and Prometheus' view of the rules; the URL may ask for some of them only. */
  readonly prometheusRules: Handler = (exchange) =>
    this.#asJson(exchange, async (tenant) => {
      const filter = filterOf(exchange.search);
      return { groups: (await this.#rules.statuses(tenant)).flatMap((status) => shownGroup(status, filter)) };
    });

  readonly prometheusAlerts: Handler = (exchange) =>
    this.#asJson(exchange, async (tenant) => {
      const groups = await this.#rules.statuses(tenant);
      return { alerts: groups.flatMap(({ rules }) => rules.flatMap(({ alerts }) => alerts.map(shownAlert))) };
    });

  async #list(exchange: Exchange, tenant: string, only?: string): Promise<void> {
    const namespaces = new Map<string, RuleGroup[]>();
    for (const { namespace, group } of await this.#rules.groups(tenant)) {
      if (only !== undefined && namespace !== only) continue;
      const groups = namespaces.get(namespace) ?? [];
      groups.push(group);
      namespaces.set(namespace, groups);
    }
    if (namespaces.size > 0) await exchange.reply.text(200, printNamespaces(namespaces), YAML_TYPE);
    else await answerText(exchange, 404, 'no rule groups found');
  }

  async #put(exchange: Exchange, tenant: string, namespace: string): Promise<void> {
    const body = await readBody(exchange.request, GROUP_BYTES_MAX, this.#state.bodies);
    try {
      await this.#rules.put(tenant, namespace, readGroup(body.bytes.toString()));
    } finally {
      body.release();
    }
    await accepted(exchange);
  }

  async #delete(exchange: Exchange, id: Parameters<RulesService['delete']>[0], missing: string): Promise<void> {
    if (await this.#rules.delete(id)) await accepted(exchange);
    else await answerText(exchange, 404, missing);
  }

  /** Errors as Go's http.Error has them. */
  async #asText(exchange: Exchange, work: (tenant: string) => Promise<void>): Promise<void> {
    const tenant = this.#tenantOf(exchange);
    try {
      await work(tenant);
    } catch (error) {
      if (!(error instanceof RefusedError) || exchange.reply.isStarted) throw error;
      await answerText(exchange, statusOf(error.refusal), error.refusal.text);
    }
  }

  /** Errors as Prometheus' API has them. */
  async #asJson(exchange: Exchange, work: (tenant: string) => Promise<object>): Promise<void> {
    const tenant = this.#tenantOf(exchange);
    const { reply } = exchange;
    try {
      await reply.json(200, envelope('success', await work(tenant)));
    } catch (error) {
      if (!(error instanceof RefusedError) || reply.isStarted) throw error;
      const { text } = error.refusal;
      if (error.refusal.code === 'BAD_REQUEST') await reply.json(400, envelope('error', null, 'bad_data', text));
      else await reply.json(500, envelope('error', null, 'server_error', text));
    }
  }

  #tenantOf({ request }: Exchange): string {
    return this.#state.options.tenantOf(tenantHeader(request.headers));
  }
}

const envelope = (status: string, data: object | null, errorType = '', error = ''): string =>
  JSON.stringify({ status, data, errorType, error });

const answerText = ({ reply }: Exchange, status: number, text: string): Promise<void> =>
  reply.text(status, `${text}\n`, undefined, { 'x-content-type-options': 'nosniff' });

/** It is stored, and evaluated once its node has looked. */
const accepted = ({ reply }: Exchange): Promise<void> => reply.json(202, envelope('success', null));

interface Filter {
  readonly type: 'alert' | 'record' | undefined;
  /** undefined: any. */
  readonly files: ReadonlySet<string> | undefined;
  readonly groups: ReadonlySet<string> | undefined;
  readonly names: ReadonlySet<string> | undefined;
}

/** @throws RefusedError BAD_REQUEST */
const filterOf = (search: URLSearchParams): Filter => {
  const type = (search.get('type') ?? '').toLowerCase();
  if (type !== '' && type !== 'alert' && type !== 'record') throw badRequest(`not supported value "${type}"`);
  const given = (name: string): ReadonlySet<string> | undefined => {
    const values = [...search.getAll(name), ...search.getAll(`${name}[]`)].filter((value) => value !== '');
    return values.length > 0 ? new Set(values) : undefined;
  };
  return { type: type || undefined, files: given('file'), groups: given('rule_group'), names: given('rule_name') };
};

/** The group with the rules that were asked for; nothing if there are none, unless all were. */
const shownGroup = (status: GroupStatus, { type, files, groups, names }: Filter): readonly object[] => {
  const { namespace, name, rules } = status;
  if (files?.has(namespace) === false || groups?.has(name) === false) return [];
  const shown = rules.filter(({ rule }) => {
    if (type !== undefined && isAlerting(rule) !== (type === 'alert')) return false;
    return names?.has(rule.alert || rule.record) !== false;
  });
  if (shown.length === 0 && (type !== undefined || names !== undefined)) return [];
  return [
    {
      name,
      file: namespace,
      rules: shown.map(shownRule),
      interval: status.intervalMs / 1000,
      limit: status.limit,
      lastEvaluation: timeText(status.lastEvaluationMs),
      evaluationTime: status.evaluationMs / 1000,
    },
  ];
};

const shownRule = ({ rule, health, lastError, lastEvaluationMs, evaluationMs, alerts }: RuleStatus): object => {
  const common = {
    query: rule.expr,
    labels: rule.labels,
    health,
    lastError,
    lastEvaluation: timeText(lastEvaluationMs),
    evaluationTime: evaluationMs / 1000,
  };
  if (!isAlerting(rule)) return { name: rule.record, ...common, type: 'recording' };
  return {
    state: stateOf(alerts),
    name: rule.alert,
    duration: rule.forMs / 1000,
    keepFiringFor: rule.keepFiringForMs / 1000,
    annotations: rule.annotations,
    alerts: alerts.map(shownAlert),
    ...common,
    type: 'alerting',
  };
};

/** That of the alert that is furthest. */
const stateOf = (alerts: readonly ActiveAlert[]): string =>
  ['firing', 'pending'].find((state) => alerts.some((alert) => alert.state === state)) ?? 'inactive';

const shownAlert = ({ labels, annotations, state, activeAtMs, keepFiringSinceMs, value }: ActiveAlert): object => ({
  labels: recordOf(labels),
  annotations,
  state,
  activeAt: timeText(activeAtMs),
  ...(keepFiringSinceMs !== undefined && { keepFiringSince: timeText(keepFiringSinceMs) }),
  value: formatExponent(Number(value), -1),
});

const recordOf = (labels: readonly string[]): Readonly<Record<string, string>> => {
  const pairs: [string, string][] = [];
  for (let index = 0; index < labels.length; index += 2) pairs.push([labels[index] ?? '', labels[index + 1] ?? '']);
  return Object.fromEntries(pairs);
};

/** Go's zero time where there is none. */
const timeText = (ms: number): string => (ms > 0 ? new Date(ms).toISOString() : '0001-01-01T00:00:00Z');
