import { CommandError } from './cli-error.ts';

export interface ServerOptions {
  /** `http://127.0.0.1:3100` */
  readonly addr: string;
  readonly tenant: string | undefined;
}

export type Labels = Readonly<Record<string, string>>;

export interface StreamAnswer {
  readonly stream: Labels;
  readonly values: readonly (readonly [timeNs: string, line: string])[];
}

export interface SeriesAnswer {
  readonly metric: Labels;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export interface VectorAnswer {
  readonly metric: Labels;
  readonly value: readonly [seconds: number, value: string];
}

export type QueryAnswer = { readonly stats?: unknown } & (
  | { readonly resultType: 'streams'; readonly result: readonly StreamAnswer[] }
  | { readonly resultType: 'matrix'; readonly result: readonly SeriesAnswer[] }
  | { readonly resultType: 'vector'; readonly result: readonly VectorAnswer[] }
  | { readonly resultType: 'scalar'; readonly result: readonly [seconds: number, value: string] }
);

const API = '/loki/api/v1';
/** Longer than any query may take on the server. */
const ANSWER_TIMEOUT_MS = 10 * 60 * 1000;

/** The address with a scheme and without a trailing slash. */
export const baseUrl = (addr: string): string =>
  (/^[a-z]+:\/\//i.test(addr) ? addr : `http://${addr}`).replace(/\/+$/, '');

/** Asks a ringlog (or Loki) over HTTP. Errors are CommandErrors with the server's own text. */
export class LokiClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ addr, tenant }: ServerOptions) {
    this.#base = baseUrl(addr);
    this.#headers = tenant === undefined ? {} : { 'x-scope-orgid': tenant };
  }

  query(endpoint: 'query' | 'query_range', parameters: URLSearchParams): Promise<QueryAnswer> {
    return this.#get(`/${endpoint}`, parameters) as Promise<QueryAnswer>;
  }

  async labels(name: string | undefined, parameters: URLSearchParams): Promise<readonly string[]> {
    const path = name === undefined ? '/labels' : `/label/${encodeURIComponent(name)}/values`;
    return ((await this.#get(path, parameters)) ?? []) as readonly string[];
  }

  async series(parameters: URLSearchParams): Promise<readonly Labels[]> {
    return ((await this.#get('/series', parameters)) ?? []) as readonly Labels[];
  }

  async #get(path: string, parameters: URLSearchParams): Promise<unknown> {
    const url = `${this.#base}${API}${path}?${parameters}`;
    let status: number;
    let text: string;
    const { request } = await import('undici');
    try {
      const response = await request(url, {
        headers: this.#headers,
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      throw new CommandError(`cannot reach ${this.#base}: ${reasonOf(error)}`, { cause: error });
    }
    if (status < 200 || status > 299) throw new CommandError(`${status} from ${this.#base}: ${text.trim()}`);
    try {
      return (JSON.parse(text) as { data?: unknown }).data;
    } catch (error) {
      throw new CommandError(`${this.#base} answered something that is not JSON`, { cause: error });
    }
  }
}

/** Node wraps several connection attempts into an error without a text. */
const reasonOf = (error: unknown): string => {
  const { message, code, errors } = error as { message?: string; code?: string; errors?: readonly Error[] };
  return message || errors?.[0]?.message || code || String(error);
};
