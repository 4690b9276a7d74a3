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
  /** The decoded names at the end of a path that ends in such. */
  readonly names: readonly string[];
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
  readonly names: readonly string[];
}

/** Paths that end in names, such as `/loki/api/v1/rules/{namespace}/{group}`: one route for each number of them. */
export interface NamesRoute {
  readonly prefix: string;
  readonly routes: readonly Route[];
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
  readonly #ended: readonly NamesRoute[];

  constructor(exact: ReadonlyMap<string, Route>, named: readonly NamedRoute[], ended: readonly NamesRoute[] = []) {
    this.#exact = exact;
    this.#named = named;
    this.#ended = ended;
  }

  match(path: string): RouteMatch | undefined {
    const route = this.#exact.get(path);
    if (route) return { route, labelName: '', names: [] };
    const named = this.#named.find(({ prefix, suffix }) => path.startsWith(prefix) && path.endsWith(suffix));
    if (!named) return this.#matchNames(path);
    const encoded = path.slice(named.prefix.length, -named.suffix.length);
    const labelName = encoded.includes('/') ? undefined : decoded(encoded);
    // An encoded slash splits the path in Loki's router too.
    return !labelName || labelName.includes('/') ? undefined : { route: named.route, labelName, names: [] };
  }

  #matchNames(path: string): RouteMatch | undefined {
    const ended = this.#ended.find(({ prefix }) => path.startsWith(prefix));
    if (!ended) return undefined;
    const names = path
      .slice(ended.prefix.length)
      .split('/')
      .map((name) => decoded(name) ?? '');
    const route = ended.routes[names.length - 1];
    return route && !names.includes('') ? { route, labelName: '', names } : undefined;
  }
}

/** `/loki/api/v1/push` → `loki_api_v1_push`. */
export const routeName = (path: string): string => path.slice(1).replaceAll('/', '_');
