/**
 * Asks as Grafana's Loki data source does, and reads answers as strictly as its parser, which takes JSON as it comes: the type and the flags
 * before the result, the statistics behind it, labels before values, nothing else in a stream.
 */
import { expect } from 'chai';
import { request } from 'undici';

export interface Frame {
  readonly labels: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

export interface Row {
  /** Nanoseconds of an entry, milliseconds of a sample; as text. */
  readonly time: string;
  /** A line, or a sample's value. */
  readonly value: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly parsed: Readonly<Record<string, string>>;
}

export interface Asked {
  /** `X-Query-Tags`. */
  readonly source?: string;
  readonly isCategorized?: boolean;
}

export interface Answer {
  readonly type: string;
  readonly frames: readonly Frame[];
  readonly warnings: readonly string[];
}

const FLAG = 'categorize-labels';

export class GrafanaSource {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async text(path: string, parameters: Readonly<Record<string, string>> = {}, asked: Asked = {}) {
    const { source, isCategorized = false } = asked;
    const { statusCode, body } = await request(`${this.#url}${path}?${new URLSearchParams(parameters)}`, {
      headers: {
        'accept-encoding': 'identity',
        ...(source && { 'x-query-tags': `Source=${source}` }),
        ...(isCategorized && { 'x-loki-response-encoding-flags': FLAG }),
      },
    });
    return { status: statusCode, text: await body.text() };
  }

  async json(path: string, parameters: Readonly<Record<string, string>> = {}, asked: Asked = {}): Promise<unknown> {
    const { status, text } = await this.text(path, parameters, asked);
    expect(status, `${path} ${text}`).to.equal(200);
    return JSON.parse(text);
  }

  /** `query_range` of logs: with labels by their kind, a thousand lines. */
  logs(query: string, range: object, more: Readonly<Record<string, string>> = {}, source?: string): Promise<Answer> {
    const parameters = { query, direction: 'backward', limit: '1000', step: '1000ms', ...range, ...more };
    return this.frames('query_range', parameters, { isCategorized: true, ...(source && { source }) });
  }

  /** `query_range` of a metric, without a limit. */
  matrix(query: string, range: object, source?: string): Promise<Answer> {
    const parameters = { query, direction: 'backward', step: '10000ms', ...range };
    return this.frames('query_range', parameters, { isCategorized: true, ...(source && { source }) });
  }

  async frames(endpoint: string, parameters: Readonly<Record<string, string>>, asked: Asked = {}): Promise<Answer> {
    const answer = (await this.json(`/loki/api/v1/${endpoint}`, parameters, asked)) as Record<string, unknown>;
    expect(answer['status']).to.equal('success');
    const data = answer['data'] as Record<string, unknown>;
    const isLog = data['resultType'] === 'streams';
    const hasFlags = isLog && asked.isCategorized === true;
    const keys = ['resultType', ...(hasFlags ? ['encodingFlags'] : []), 'result', 'stats'];
    expect(Object.keys(data)).to.deep.equal(keys);
    if (hasFlags) expect(data['encodingFlags']).to.deep.equal([FLAG]);
    const result = data['result'] as readonly Record<string, unknown>[];
    const frames = result.map((one) => (isLog ? streamFrame(one, hasFlags) : seriesFrame(one)));
    return { type: String(data['resultType']), frames, warnings: (answer['warnings'] as string[] | undefined) ?? [] };
  }
}

const textsOf = (labels: unknown): Readonly<Record<string, string>> => {
  for (const value of Object.values(labels as object)) expect(value).to.be.a('string');
  return labels as Record<string, string>;
};

export const streamFrame = (stream: Record<string, unknown>, isCategorized: boolean): Frame => {
  expect(Object.keys(stream)).to.deep.equal(['stream', 'values']);
  const rows = (stream['values'] as readonly unknown[][]).map((value) => {
    expect(value).to.have.length(isCategorized ? 3 : 2);
    const [time, line, categories = {}] = value;
    expect(time).to.match(/^\d{19}$/);
    expect(line).to.be.a('string');
    const { structuredMetadata = {}, parsed = {}, ...others } = categories as Record<string, unknown>;
    expect(others).to.deep.equal({});
    return {
      time: time as string,
      value: line as string,
      metadata: textsOf(structuredMetadata),
      parsed: textsOf(parsed),
    };
  });
  return { labels: textsOf(stream['stream']), rows };
};

const seriesFrame = (series: Record<string, unknown>): Frame => {
  const [first, second] = Object.keys(series);
  expect(first).to.equal('metric');
  expect(second).to.be.oneOf(['value', 'values']);
  const samples = (second === 'value' ? [series['value']] : series['values']) as readonly [number, string][];
  const rows = samples.map(([seconds, value]) => {
    expect(seconds).to.be.a('number');
    expect(value).to.be.a('string');
    return { time: String(Math.round(seconds * 1000)), value, metadata: {}, parsed: {} };
  });
  return { labels: textsOf(series['metric']), rows };
};
