import type { IncomingMessage } from 'node:http';
import type { Reply } from './reply.ts';

/** What a handler gets. It answers through `reply` or throws a RefusedError. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly reply: Reply;
  readonly path: string;
  /** URL parameters. */
  readonly search: URLSearchParams;
  /** Fires when the client goes away. */
  readonly signal: AbortSignal;
  /** The decoded `{name}` of label/{name}/values. */
  readonly labelName: string;
}

export type Handler = (exchange: Exchange) => Promise<void>;

export interface Route {
  /** As metrics name it. */
  readonly name: string;
  readonly methods: readonly string[];
  readonly handler: Handler;
  /** Errors of pushes end with a newline and have their own status for overload. */
  readonly isPush?: boolean;
  /** Answered while the node starts. */
  readonly isAlwaysOpen?: boolean;
}

export interface RouteMatch {
  readonly route: Route;
  readonly labelName: string;
}

const VALUES_PATH = /^\/loki\/api\/v1\/label\/([^/]+)\/values$/;

/** The path as Go's mux cleans it: no `//`, `.` or `..`; a trailing slash stays. */
export const cleanedPath = (path: string): string => {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  const end = path.endsWith('/') && kept.length > 0 ? '/' : '';
  return `/${kept.join('/')}${end}`;
};

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
};

/** Path → route. Exact paths, and the one with a name in it. */
export class RouteTable {
  readonly #exact: ReadonlyMap<string, Route>;
  readonly #values: Route;

  constructor(exact: ReadonlyMap<string, Route>, values: Route) {
    this.#exact = exact;
    this.#values = values;
  }

  match(path: string): RouteMatch | undefined {
    const route = this.#exact.get(path);
    if (route) return { route, labelName: '' };
    const encoded = VALUES_PATH.exec(path)?.[1];
    if (encoded === undefined) return undefined;
    const labelName = decoded(encoded);
    // An encoded slash splits the path in Loki's router too.
    return labelName === undefined || labelName.includes('/') ? undefined : { route: this.#values, labelName };
  }
}

/** `/loki/api/v1/push` → `loki_api_v1_push`. */
export const routeName = (path: string): string => path.slice(1).replaceAll('/', '_');
