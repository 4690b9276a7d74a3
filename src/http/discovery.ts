import type { NodeServices } from '../actors/node-services.ts';
import { parseLogExpr, parseMatchers } from '../logql/parser.ts';
import { type DetectedField, DetectedFields } from '../query/detected-fields.ts';
import { detectedLabelsOf } from '../query/detected-labels.ts';
import { LinePatterns } from '../query/line-patterns.ts';
import { queryLimitsOf } from '../query/query-limits.ts';
import type { LogEntry } from '../query/query-messages.ts';
import { Turns } from '../query/turns.ts';
import { type AskedRange, readAskedRange } from './asked-range.ts';
import type { EdgeState } from './form.ts';
import { checkResolution, EVERY_STREAM, parseLimit, parseStep } from './parameters.ts';
import { checkQueryLimits } from './query-checks.ts';
import type { Exchange, Handler } from './routes.ts';

/** Lines that fields are looked for in, and fields or values that are shown, where nothing is asked for. */
const LINES = 100;
const FIELDS = 1000;
/** Lines that patterns are made of: the newest. Chosen: as many as a log query may ask for, if the tenant's limit allows. */
const PATTERN_LINES = 5000;

/** `/loki/api/v1/detected_labels`, `detected_fields`, `detected_field/{name}/values`, `patterns`. */
export class DiscoveryHandlers {
  readonly #services: Pick<NodeServices, 'queryAll' | 'series'>;
  readonly #state: EdgeState;

  constructor(services: Pick<NodeServices, 'queryAll' | 'series'>, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly labels: Handler = async (exchange) => {
    const { tenant, form, range } = await readAskedRange(exchange, this.#state);
    const query = form.get('query') ?? '';
    const matchers = query === '' || EVERY_STREAM.test(query) ? [] : parseMatchers(query, { mayBeUnselective: true });
    const values = new Map<string, Set<string>>();
    const turns = this.#turns();
    for (const { pairs } of range ? await this.#services.series(tenant, [matchers], range) : []) {
      for (let index = 0; index < pairs.length; index += 2) {
        const name = pairs[index] as string;
        const known = values.get(name) ?? new Set();
        values.set(name, known.add(pairs[index + 1] as string));
      }
      await turns.breathe();
    }
    const labels = detectedLabelsOf(values);
    await exchange.reply.json(200, labels.length > 0 ? JSON.stringify({ detectedLabels: labels }) : '{}');
  };

  readonly fields: Handler = async (exchange) => {
    const { fields, limit } = await this.#fieldsOf(exchange);
    const shown = fields.map(({ label, type, values, parsers, jsonPath }) => ({
      label,
      type,
      cardinality: values.size,
      parsers: parsers.length > 0 ? parsers : null,
      ...(jsonPath && { jsonPath }),
    }));
    await exchange.reply.json(200, shown.length > 0 ? JSON.stringify({ fields: shown, limit }) : '{}');
  };

  readonly fieldValues: Handler = async (exchange) => {
    const { fields, limit } = await this.#fieldsOf(exchange);
    const field = fields.find(({ label }) => label === exchange.labelName);
    const values = [...(field?.values ?? [])].slice(0, limit);
    await exchange.reply.json(200, values.length > 0 ? JSON.stringify({ values, limit }) : '{}');
  };

  readonly patterns: Handler = async (exchange) => {
    const asked = await readAskedRange(exchange, this.#state);
    const stepNs = parseStep(asked.form, asked.bounds);
    checkResolution(asked.bounds, stepNs);
    const patterns = new LinePatterns(stepNs);
    const entriesMax = asked.limits.maxEntriesLimitPerQuery;
    const lines = entriesMax > 0 ? Math.min(PATTERN_LINES, entriesMax) : PATTERN_LINES;
    await this.#eachEntry(exchange, asked, lines, (_stream, entry) => patterns.add(entry));
    await exchange.reply.json(200, JSON.stringify({ status: 'success', data: patterns.list() }));
  };

  #turns(): Turns {
    return new Turns({ monotonicMs: this.#state.options.nowMs });
  }

  async #fieldsOf(exchange: Exchange): Promise<{ readonly fields: readonly DetectedField[]; readonly limit: number }> {
    const asked = await readAskedRange(exchange, this.#state);
    const { form } = asked;
    const lines = parseLimit(form, LINES, 'line_limit');
    const limit = parseLimit(form, FIELDS, form.has('limit') ? 'limit' : 'field_limit');
    const fields = new DetectedFields(Math.max(limit, FIELDS));
    await this.#eachEntry(exchange, asked, lines, (stream, entry) => fields.add(stream, entry));
    const list = fields.list();
    return { fields: exchange.labelName === '' ? list.slice(0, limit) : list, limit };
  }

  /** The newest lines that the query finds, stream by stream. */
  async #eachEntry(
    exchange: Exchange,
    { tenant, form, limits, range, bounds }: AskedRange,
    limit: number,
    visit: (stream: readonly string[], entry: LogEntry) => void,
  ): Promise<void> {
    const query = form.get('query') ?? '';
    const expr = parseLogExpr(query);
    checkQueryLimits(expr, { ...bounds, limit, isInstant: false }, limits);
    if (!range) return;
    const request = {
      ...range,
      tenant,
      query,
      limit,
      stepNs: 0n,
      isInstant: false,
      direction: 'backward' as const,
      intervalNs: 0n,
      categorizeLabels: true,
      limits: queryLimitsOf(limits),
    };
    const result = await this.#services.queryAll(request, exchange.signal);
    if (result.type !== 'streams') return;
    const turns = this.#turns();
    for (const { labels, entries } of result.streams) {
      for (const entry of entries) {
        visit(labels, entry);
        await turns.breathe();
      }
    }
  }
}
