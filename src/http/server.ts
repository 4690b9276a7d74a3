import { createServer, IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { NodeServices } from '../actors/node-services.ts';
import { LazyAbort } from '../protocol/lazy-abort.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { type EdgeOptions, startingError } from './edge-options.ts';
import { pushStatusOf, statusOf } from './refusal-status.ts';
import { Reply } from './reply.ts';
import { ByteBudget } from './request-body.ts';
import { buildRoutes, LEGACY_TAIL_PATH, TAIL_PATHS } from './route-list.ts';
import { cleanedPath, type Route, type RouteTable, routeName } from './routes.ts';
import { refuseUpgrade, TailHandlers } from './tail.ts';

export interface HttpServerOptions extends EdgeOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** A request must have arrived whole within this time. */
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
  /** Requests still running this long after close() are cut off. */
  readonly drainMs: number;
}

export interface RunningHttpServer {
  /** `127.0.0.1:3100` */
  readonly address: string;
  /**
   * Stops accepting, lets requests end, then cuts what is left: after `INCOMPLETE_MS` what has not arrived whole, after `drainMs` the rest.
   */
  close(drainMs?: number): Promise<void>;
}

/** Longer than the idle time of Go's clients (90 s), so that they close first and no push meets a closing connection. */
const KEEP_ALIVE_MS = 120_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** A request that is not whole this long after close() is cut: a client that hangs must not use up the time of those that wait for an answer. */
const INCOMPLETE_MS = 1500;
/** Go's default (http.DefaultMaxHeaderBytes): the path of a GET counts, and a query in it may be longer than node's 16 KB. */
const HEADER_BYTES_MAX = 1 << 20;

/**
 * Only websockets are upgraded. Other offers (Java's HTTP client asks for h2c on every first request) are ordinary requests, as the
 * RFC has it; node would hand over the bare socket for each.
 */
class RequestMessage extends IncomingMessage {
  get upgrade(): boolean {
    return (this as { isUpgradeOffered?: boolean }).isUpgradeOffered === true && this.#isWebSocket();
  }

  set upgrade(isOffered: boolean) {
    (this as { isUpgradeOffered?: boolean }).isUpgradeOffered = isOffered;
  }

  #isWebSocket(): boolean {
    return this.method === 'CONNECT' || /(^|,)\s*websocket\s*(,|$)/i.test(this.headers.upgrade ?? '');
  }
}

const splitUrl = (url: string): { readonly path: string; readonly query: string } => {
  // Absolute form, as proxies send it.
  const target = url.startsWith('/') ? url : url.replace(/^[a-z]+:\/\/[^/?]*/i, '') || '/';
  const mark = target.indexOf('?');
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
};

class HttpEdge {
  readonly #options: HttpServerOptions;
  readonly #routes: RouteTable;
  readonly #tails: TailHandlers;

  constructor(services: NodeServices, options: HttpServerOptions) {
    this.#options = options;
    this.#routes = buildRoutes(services, { options, bodies: new ByteBudget(options.bodyBytesInFlightMax) });
    this.#tails = new TailHandlers(services, options);
  }

  get tails(): TailHandlers {
    return this.#tails;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query } = splitUrl(request.url ?? '/');
    const reply = new Reply(request, response);
    const cleaned = cleanedPath(path);
    if (cleaned !== path) {
      await reply.empty(301, { location: query === '' ? cleaned : `${cleaned}?${query}` });
      return;
    }
    const match = this.#routes.match(path);
    if (!match) {
      await reply.text(404, '404 page not found\n');
      return;
    }
    const { route, labelName, names } = match;
    if (!route.methods.includes(request.method ?? '')) {
      await reply.empty(405);
      return;
    }
    const cancelled = new LazyAbort();
    response.on('close', () => {
      if (!response.writableFinished) cancelled.abort();
    });
    const search = new URLSearchParams(query);
    try {
      if (this.#options.isStarting() && route.isAlwaysOpen !== true) throw startingError();
      await route.handler({
        request,
        reply,
        path,
        search,
        labelName,
        names,
        get signal() {
          return cancelled.signal;
        },
      });
    } catch (error) {
      await this.#fail(error, route, reply, response);
    }
  }

  /** Runs one request and keeps its books; nothing it throws leaves here. */
  observed(request: IncomingMessage, response: ServerResponse): void {
    const started = performance.now();
    const method = request.method ?? '';
    const { path } = splitUrl(request.url ?? '/');
    const match = this.#routes.match(path);
    const route = match ? match.route.name : 'other';
    const { metrics, log } = this.#options;
    metrics.inflight.inc({ method, route });
    response.on('close', () => {
      metrics.inflight.dec({ method, route });
      metrics.observe({
        method,
        route,
        status: response.writableFinished ? String(response.statusCode) : '499',
        isWebSocket: false,
        seconds: (performance.now() - started) / 1000,
        requestBytes: Number(request.headers['content-length'] ?? 0),
        responseBytes: Number(response.getHeader('content-length') ?? 0),
      });
    });
    this.handle(request, response).catch((error: Error) => {
      log.error({ err: error, path }, 'request failed');
      response.destroy();
    });
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const { path, query } = splitUrl(request.url ?? '/');
    if (!TAIL_PATHS.has(path)) {
      refuseUpgrade(socket, 404, 'Not Found', '404 page not found\n');
      return;
    }
    if (this.#options.isStarting()) {
      refuseUpgrade(socket, 503, 'Service Unavailable', startingError().message);
      return;
    }
    const started = performance.now();
    socket.on('close', () =>
      this.#options.metrics.observe({
        method: 'GET',
        route: routeName(path),
        status: '101',
        isWebSocket: true,
        seconds: (performance.now() - started) / 1000,
        requestBytes: 0,
        responseBytes: 0,
      }),
    );
    this.#tails.upgrade(request, socket, head, new URLSearchParams(query), path === LEGACY_TAIL_PATH);
  }

  async #fail(error: unknown, route: Route, reply: Reply, response: ServerResponse): Promise<void> {
    const refusal: Refusal =
      error instanceof RefusedError ? error.refusal : { code: 'INTERNAL', text: (error as Error).message };
    if (refusal.code === 'INTERNAL') this.#options.log.error({ err: error, route: route.name }, 'request failed');
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const status = route.isPush ? pushStatusOf(refusal) : statusOf(refusal);
    const end = route.isPush || refusal.code === 'NO_TENANT' ? '\n' : '';
    await reply.refuse(status, refusal, end);
  }
}

const listen = (server: Server, host: string, port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off('error', reject);
      const { address, family, port: bound } = server.address() as AddressInfo;
      resolve(family === 'IPv6' ? `[${address}]:${bound}` : `${address}:${bound}`);
    });
  });

/** Connections and the request each is at. */
class Connections {
  readonly #requests = new Map<Socket, IncomingMessage | undefined>();

  opened(socket: Socket): void {
    this.#requests.set(socket, undefined);
    socket.on('close', () => this.#requests.delete(socket));
  }

  began(request: IncomingMessage, response: ServerResponse): void {
    this.#at(request.socket, request);
    response.on('close', () => this.#at(request.socket, undefined));
  }

  #at(socket: Socket, request: IncomingMessage | undefined): void {
    if (this.#requests.has(socket)) this.#requests.set(socket, request);
  }

  upgraded(socket: Duplex): void {
    this.#requests.delete(socket as Socket);
  }

  /** Those without a request, or with one that has not arrived whole. */
  cutIncomplete(): void {
    for (const [socket, request] of this.#requests) if (!request?.complete) socket.destroy();
  }
}

const closeServer = (server: Server, tails: TailHandlers, connections: Connections, drainMs: number): Promise<void> =>
  new Promise((resolve) => {
    const cutIncomplete = setTimeout(() => connections.cutIncomplete(), Math.min(INCOMPLETE_MS, drainMs));
    const cut = setTimeout(() => {
      tails.terminate();
      server.closeAllConnections();
    }, drainMs);
    server.close(() => {
      clearTimeout(cut);
      clearTimeout(cutIncomplete);
      resolve();
    });
    tails.close();
    server.closeIdleConnections();
  });

/** Serves Loki's HTTP API. Malformed requests cost their connection and nothing else. */
export const startHttpServer = async (
  services: NodeServices,
  options: HttpServerOptions,
): Promise<RunningHttpServer> => {
  const edge = new HttpEdge(services, options);
  const server = createServer({
    IncomingMessage: RequestMessage,
    maxHeaderSize: HEADER_BYTES_MAX,
    requestTimeout: options.requestTimeoutMs,
    headersTimeout: Math.min(HEADERS_TIMEOUT_MS, options.requestTimeoutMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(5000, options.requestTimeoutMs),
    noDelay: true,
  });
  server.maxConnections = options.connectionsMax;
  const connections = new Connections();
  let isClosing = false;
  server.on('request', (request, response) => {
    if (isClosing) response.shouldKeepAlive = false;
    connections.began(request, response);
    // One that was being answered when the end began stays open otherwise, until its client or the deadline ends it.
    response.on('close', () => {
      if (isClosing) setImmediate(() => server.closeIdleConnections());
    });
    edge.observed(request, response);
  });
  server.on('upgrade', (request, socket, head) => {
    connections.upgraded(socket);
    edge.upgrade(request, socket, head);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') refuseUpgrade(socket, 408, 'Request Timeout', '');
    else if (error.code === 'HPE_HEADER_OVERFLOW') refuseUpgrade(socket, 431, 'Request Header Fields Too Large', '');
    else refuseUpgrade(socket, 400, 'Bad Request', '400 Bad Request');
  });
  server.on('connection', (socket) => {
    connections.opened(socket);
    options.metrics.tcpConnections.inc({ protocol: 'http' });
    socket.on('close', () => options.metrics.tcpConnections.dec({ protocol: 'http' }));
  });
  const address = await listen(server, options.host, options.port);
  return {
    address,
    close: (drainMs = options.drainMs) => {
      isClosing = true;
      return closeServer(server, edge.tails, connections, drainMs);
    },
  };
};
