import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { NodeServices, RunningTail, TailFrame } from '../actors/node-services.ts';
import { parseExpr } from '../logql/parser.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { entryJson, labelsJson } from './answer-json.ts';
import { type EdgeOptions, nowNsOf, tenantHeader } from './edge-options.ts';
import { encodingFlagsOf, requireSingleTenant } from './form.ts';
import { legacyFrameJson } from './legacy-json.ts';
import { withRegexp } from './legacy-query.ts';
import { parseBounds, parseDelaySeconds, parseLimit } from './parameters.ts';
import { readableTail } from './query-checks.ts';
import { statusOf } from './refusal-status.ts';

const PING_INTERVAL_MS = 1000;
/** Pings without a sign of life after which the connection is given up; chosen: longer than a laptop's short sleep of its radio. */
const SILENT_PINGS_MAX = 60;
const FRAME_ENTRIES_MAX = 100;
const ABNORMAL = 1011;
const GOING_AWAY = 1001;

const droppedJson = (dropped: TailFrame['dropped']): string =>
  dropped.map(({ timeNs, labels }) => `{"timestamp":"${timeNs}","labels":${labelsJson(labels)}}`).join(',');

/** One text frame: an element per entry, `dropped_entries` only when there are some, flags only when asked for. */
const frameJson = ({ streams, dropped }: TailFrame, flags: readonly string[]): string => {
  const isCategorized = flags.includes('categorize-labels');
  const elements: string[] = [];
  for (const { labels, entries } of streams) {
    const stream = labelsJson(labels);
    for (const entry of entries) elements.push(`{"stream":${stream},"values":[${entryJson(entry, isCategorized)}]}`);
  }
  const droppedPart = dropped.length > 0 ? `,"dropped_entries":[${droppedJson(dropped)}]` : '';
  const flagsPart = flags.length > 0 ? `,"encodingFlags":${JSON.stringify(flags)}` : '';
  return `{"streams":[${elements.join(',')}]${droppedPart}${flagsPart}}`;
};

/** A frame holds at most 100 entries; the first of several names the dropped ones. */
export function* frameTexts(frame: TailFrame, textOf: (frame: TailFrame) => string): Generator<string> {
  const singles = frame.streams.flatMap(({ labels, entries }) =>
    entries.map((entry) => ({ labels, entries: [entry] })),
  );
  let dropped = frame.dropped;
  for (let first = 0; first < singles.length || dropped.length > 0; first += FRAME_ENTRIES_MAX) {
    yield textOf({ streams: singles.slice(first, first + FRAME_ENTRIES_MAX), dropped });
    dropped = [];
  }
}

/** Close reasons hold at most 123 bytes; cut at a character. */
const closeReason = (text: string): string => {
  const bytes = Buffer.from(text);
  if (bytes.length <= 123) return text;
  return bytes.subarray(0, 123).toString('utf8').replace(/�+$/, '');
};

/** Writes an answer on a socket that asked for an upgrade and does not get it. */
export const refuseUpgrade = (socket: Duplex, status: number, statusText: string, body: string): void => {
  const head = [
    `HTTP/1.1 ${status} ${statusText}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
};

interface TailParameters {
  readonly tenant: string;
  readonly query: string;
  readonly startNs: bigint;
  readonly limit: number;
  readonly delayMs: number;
  readonly isLog: boolean;
  readonly categorizeLabels: boolean;
  readonly frameText: (frame: TailFrame) => string;
}

/** `/loki/api/v1/tail` and `/api/prom/tail`: one query actor per websocket, frames as fast as the client takes them. */
export class TailHandlers {
  readonly #services: NodeServices;
  readonly #options: EdgeOptions;
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 64 * 1024 });
  readonly #tailsOf = new Map<string, number>();
  readonly #open = new Set<WebSocket>();

  constructor(services: NodeServices, options: EdgeOptions) {
    this.#services = services;
    this.#options = options;
  }

  /** Takes the socket: errors found before the upgrade are plain HTTP, later ones close frames. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, search: URLSearchParams, isLegacy = false): void {
    let parameters: TailParameters;
    try {
      parameters = this.#parse(request, search, isLegacy);
    } catch (error) {
      const refusal: Refusal =
        error instanceof RefusedError ? error.refusal : { code: 'INTERNAL', text: (error as Error).message };
      const status = statusOf(refusal);
      refuseUpgrade(socket, status, status === 401 ? 'Unauthorized' : 'Bad Request', refusal.text);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#serve(webSocket, parameters));
  }

  /** Ends every tail: the node is stopping. */
  close(): void {
    for (const webSocket of this.#open) webSocket.close(GOING_AWAY, 'Application is stopping');
    this.#server.close();
  }

  /** Cuts the connections whose clients did not answer the close. */
  terminate(): void {
    for (const webSocket of this.#open) webSocket.terminate();
  }

  #parse(request: IncomingMessage, search: URLSearchParams, isLegacy: boolean): TailParameters {
    const tenant = requireSingleTenant(this.#options.tenantOf(tenantHeader(request.headers)));
    const asked = search.get('query') ?? '';
    const query = isLegacy ? withRegexp(asked, search.get('regexp') ?? '') : asked;
    const { startNs } = parseBounds(search, nowNsOf(this.#options));
    const delayMs = parseDelaySeconds(search) * 1000;
    const limit = parseLimit(search);
    const flags = encodingFlagsOf(request.headers['x-loki-response-encoding-flags']);
    return {
      tenant,
      query,
      startNs,
      limit,
      delayMs,
      isLog: parseExpr(query).kind === 'log',
      categorizeLabels: !isLegacy && flags.includes('categorize-labels'),
      frameText: isLegacy ? legacyFrameJson : (frame) => frameJson(frame, flags),
    };
  }

  #serve(webSocket: WebSocket, parameters: TailParameters): void {
    const { frameText, ...asked } = parameters;
    const { tenant } = asked;
    const limits = this.#options.limitsOf(tenant);
    const tailsMax = limits.maxConcurrentTailRequests;
    const count = (this.#tailsOf.get(tenant) ?? 0) + 1;
    this.#tailsOf.set(tenant, count);
    this.#open.add(webSocket);
    this.#options.metrics.tailActive.inc();
    let tail: RunningTail | undefined;
    const stopPings = this.#keepAlive(webSocket);
    const lifetime = setTimeout(
      () => webSocket.close(ABNORMAL, 'reached tail max duration limit'),
      this.#options.tailMaxDurationMs,
    );
    webSocket.on('error', () => webSocket.terminate());
    webSocket.on('close', () => {
      stopPings();
      clearTimeout(lifetime);
      tail?.cancel();
      this.#open.delete(webSocket);
      this.#options.metrics.tailActive.dec();
      const left = (this.#tailsOf.get(tenant) ?? 1) - 1;
      if (left > 0) this.#tailsOf.set(tenant, left);
      else this.#tailsOf.delete(tenant);
    });
    if (!asked.isLog) {
      webSocket.close(ABNORMAL, 'only log selector is supported');
      return;
    }
    if (tailsMax > 0 && count > tailsMax) {
      webSocket.close(ABNORMAL, `max concurrent tail requests limit exceeded, count > limit (${count} > ${tailsMax})`);
      return;
    }
    try {
      const startNs = readableTail(asked, limits, nowNsOf(this.#options));
      tail = this.#services.tail({ ...asked, startNs });
    } catch (error) {
      webSocket.close(ABNORMAL, closeReason((error as Error).message));
      return;
    }
    this.#pump(webSocket, tail, frameText).catch((error: Error) => {
      if (!(error instanceof RefusedError)) this.#options.log.error({ err: error }, 'tail failed');
      webSocket.close(ABNORMAL, closeReason(error.message));
    });
  }

  /** The next frame is taken only once the last one left this process: a slow client makes the tail drop, not the node grow. */
  async #pump(webSocket: WebSocket, tail: RunningTail, frameText: TailParameters['frameText']): Promise<void> {
    for await (const frame of tail.frames) {
      for (const text of frameTexts(frame, frameText)) {
        if (webSocket.readyState !== webSocket.OPEN) return;
        await new Promise<void>((resolve) => webSocket.send(text, () => resolve()));
        this.#options.metrics.tailBytes.inc(text.length);
      }
    }
    webSocket.close(1000);
  }

  #keepAlive(webSocket: WebSocket): () => void {
    let silentPings = 0;
    const onLife = (): void => {
      silentPings = 0;
    };
    webSocket.on('pong', onLife);
    webSocket.on('message', onLife);
    const timer = setInterval(() => {
      silentPings += 1;
      if (silentPings > SILENT_PINGS_MAX) webSocket.terminate();
      else if (webSocket.readyState === webSocket.OPEN) webSocket.ping();
    }, PING_INTERVAL_MS);
    return () => clearInterval(timer);
  }
}
