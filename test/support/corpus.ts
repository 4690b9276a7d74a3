/**
 * A seeded corpus of realistic log lines: the same seed gives the same lines on every machine. Four systems, one a stream: a web server's
 * access log, a service that writes JSON, one that writes logfmt, and a JVM's text log. About 150 bytes a line, 8 : 1 under gzip.
 */

/** mulberry32: small, fast, good enough to make text vary. Returns [0, 1). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
};

const PATHS = [
  '/api/v1/users',
  '/api/v1/orders',
  '/api/v1/cart',
  '/checkout',
  '/static/app.js',
  '/health',
  '/login',
  '/search',
];
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];
const STATUSES = [200, 304, 201, 404, 500, 301, 400, 503];
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0',
  'Mozilla/5.0 (Macintosh) Safari/605.1.15',
  'curl/8.5.0',
  'kube-probe/1.29',
];
const LEVELS = ['info', 'debug', 'warn', 'error'];
const MESSAGES = [
  'request handled',
  'cache miss, loading from store',
  'payment authorised',
  'retrying upstream call',
  'connection to database lost',
  'user session refreshed',
  'order placed',
  'slow query detected',
];
const CLASSES = [
  'o.a.k.c.NetworkClient',
  'c.e.shop.OrderService',
  'c.e.shop.CartController',
  'o.h.engine.jdbc.SqlHelper',
];
const THREADS = ['main', 'http-nio-8080-exec-1', 'http-nio-8080-exec-7', 'kafka-consumer-3', 'scheduler-2'];

export type System = 'access' | 'json' | 'logfmt' | 'jvm';
export const SYSTEMS: readonly System[] = ['access', 'json', 'logfmt', 'jvm'];

/** Skewed towards the front, as values in real logs are: each next one is about 0.6 times as frequent. */
const skewed = <T>(random: () => number, from: readonly T[]): T =>
  from[Math.min(from.length - 1, Math.floor(Math.log(1 - random()) / Math.log(0.6)))] as T;

/** Who talks to the system: clients come, send a burst of requests, and go. */
interface Session {
  readonly ip: string;
  readonly agent: string;
  readonly user: number;
  readonly path: string;
  remaining: number;
}

/** The lines of one stream, in order. */
export class LineSource {
  readonly #random: () => number;
  readonly #system: System;
  readonly #sessions: Session[] = [];
  #sequence = 0;

  constructor(system: System, seed: number) {
    this.#system = system;
    this.#random = seededRandom(seed);
  }

  /** The next line, written at `timeMs`. */
  next(timeMs: number): string {
    this.#sequence += 1;
    const session = this.#session();
    switch (this.#system) {
      case 'access':
        return this.#access(timeMs, session);
      case 'json':
        return this.#json(timeMs, session);
      case 'logfmt':
        return this.#logfmt(timeMs, session);
      case 'jvm':
        return this.#jvm(timeMs, session);
    }
  }

  #pick<T>(from: readonly T[]): T {
    return skewed(this.#random, from);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** Small times are frequent, large ones rare. */
  #duration(): number {
    return -Math.log(1 - this.#random()) * 30;
  }

  #session(): Session {
    const index = this.#below(6);
    const current = this.#sessions[index];
    if (current && current.remaining > 0) {
      current.remaining -= 1;
      return current;
    }
    const path = this.#pick(PATHS);
    const session = {
      ip: `10.${this.#below(2)}.${this.#below(16)}.${this.#below(250)}`,
      agent: this.#pick(AGENTS),
      user: this.#below(5000),
      path: this.#random() < 0.3 ? `${path}/${this.#below(5000)}` : path,
      remaining: 3 + this.#below(20),
    };
    this.#sessions[index] = session;
    return session;
  }

  #hex(digits: number): string {
    let text = '';
    while (text.length < digits)
      text += Math.floor(this.#random() * 0x100000000)
        .toString(16)
        .padStart(8, '0');
    return text.slice(0, digits);
  }

  #access(timeMs: number, session: Session): string {
    const bytes = this.#random() < 0.7 ? 512 + session.path.length * 64 : this.#below(20_000);
    return (
      `${session.ip} - - [${new Date(timeMs).toISOString()}] "${this.#pick(METHODS)} ${session.path} HTTP/1.1" ` +
      `${this.#pick(STATUSES)} ${bytes} "-" "${session.agent}" ${(this.#duration() / 1000).toFixed(3)}`
    );
  }

  #json(timeMs: number, session: Session): string {
    return (
      `{"ts":"${new Date(timeMs).toISOString()}","level":"${this.#pick(LEVELS)}","msg":"${this.#pick(MESSAGES)}",` +
      `"method":"${this.#pick(METHODS)}","path":"${session.path}","status":${this.#pick(STATUSES)},` +
      `"duration_ms":${this.#duration().toFixed(1)},"user":${session.user},"trace_id":"${this.#hex(8)}"}`
    );
  }

  #logfmt(timeMs: number, session: Session): string {
    return (
      `ts=${new Date(timeMs).toISOString()} level=${this.#pick(LEVELS)} caller=handler.go:${100 + this.#below(9) * 7} ` +
      `msg="${this.#pick(MESSAGES)}" user=${session.user} path=${session.path} duration=${this.#duration().toFixed(1)}ms seq=${this.#sequence}`
    );
  }

  #jvm(timeMs: number, session: Session): string {
    return (
      `${new Date(timeMs).toISOString()} ${this.#pick(LEVELS).toUpperCase().padEnd(5)} [${this.#pick(THREADS)}] ` +
      `${this.#pick(CLASSES)} - ${this.#pick(MESSAGES)} user=${session.user} took ${Math.floor(this.#duration())} ms`
    );
  }
}

export interface CorpusStream {
  readonly labels: Readonly<Record<string, string>>;
  readonly system: System;
}

/** `count` streams of 10 apps: `{app, env, instance, system}`; stream i is of system i mod 4 and app i mod 10. */
export const corpusStreams = (count: number): readonly CorpusStream[] =>
  Array.from({ length: count }, (_, index) => {
    const system = SYSTEMS[index % SYSTEMS.length] as System;
    return {
      system,
      labels: {
        app: `${system}-${Math.floor(index / 4) % 5}`,
        env: index % 3 === 0 ? 'staging' : 'production',
        instance: `host-${index}`,
        system,
      },
    };
  });
