import type { NodeServices } from '../actors/node-services.ts';
import { type DetectedField, DetectedFields } from '../query/detected-fields.ts';
import { detectedLabelsOf } from '../query/detected-labels.ts';
import { labelValuesOf } from '../query/label-values.ts';
import { LinePatterns } from '../query/line-patterns.ts';
import type { LogEntry } from '../query/query-messages.ts';
import { Turns } from '../query/turns.ts';
import { type AskedRange, rangeOf, readAskedRange } from './asked-range.ts';
import type { EdgeState } from './form.ts';
import { matchersOf } from './metadata.ts';
import { eachNewestEntry } from './newest-entries.ts';
import { checkResolution, parseLimit, parseStep } from './parameters.ts';
import type { Exchange, Handler } from './routes.ts';

/** Lines that fields are looked for in, and fields or values that are shown, where nothing is asked for. */
export const DETECTED_LINES = 100;
export const DETECTED_FIELDS = 1000;
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
    const asked = await readAskedRange(exchange, this.#state);
    const range = rangeOf(asked);
    const matchers = matchersOf(asked.form.get('query') ?? '');
    const series = range ? await this.#services.series(asked.tenant, [matchers], range) : [];
    const labels = detectedLabelsOf(await labelValuesOf(series, this.#turns()));
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
    const lines = parseLimit(form, DETECTED_LINES, 'line_limit');
    const limit = parseLimit(form, DETECTED_FIELDS, form.has('limit') ? 'limit' : 'field_limit');
    const fields = new DetectedFields(Math.max(limit, DETECTED_FIELDS));
    await this.#eachEntry(exchange, asked, lines, (stream, entry) => fields.add(stream, entry));
    const list = fields.list();
    return { fields: exchange.labelName === '' ? list.slice(0, limit) : list, limit };
  }

  /** The newest lines that the query finds, stream by stream. */
  async #eachEntry(
    exchange: Exchange,
    asked: AskedRange,
    limit: number,
    visit: (stream: readonly string[], entry: LogEntry) => void,
  ): Promise<void> {
    const newest = { ...asked, query: asked.form.get('query') ?? '', limit };
    await eachNewestEntry(this.#services, newest, exchange.signal, this.#turns(), visit);
  }
}
