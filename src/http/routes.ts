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
  /** The decoded `{name}` of a path that has one. */
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

/** A path with a name in it, such as `/loki/api/v1/label/{name}/values`. */
export interface NamedRoute {
  readonly prefix: string;
  readonly suffix: string;
  readonly route: Route;
}

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

/** Path → route. Exact paths, and those with a name in them. */
export class RouteTable {
  readonly #exact: ReadonlyMap<string, Route>;
  readonly #named: readonly NamedRoute[];

  constructor(exact: ReadonlyMap<string, Route>, named: readonly NamedRoute[]) {
    this.#exact = exact;
    this.#named = named;
  }

  match(path: string): RouteMatch | undefined {
    const route = this.#exact.get(path);
    if (route) return { route, labelName: '' };
    const named = this.#named.find(({ prefix, suffix }) => path.startsWith(prefix) && path.endsWith(suffix));
    if (!named) return undefined;
    const encoded = path.slice(named.prefix.length, -named.suffix.length);
    const labelName = encoded.includes('/') ? undefined : decoded(encoded);
    // An encoded slash splits the path in Loki's router too.
    return !labelName || labelName.includes('/') ? undefined : { route: named.route, labelName };
  }
}

/** `/loki/api/v1/push` → `loki_api_v1_push`. */
export const routeName = (path: string): string => path.slice(1).replaceAll('/', '_');
