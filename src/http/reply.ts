import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { constants, createGzip, gzip } from 'node:zlib';
import { encodeStatus } from '../protocol/logproto.ts';
import type { Refusal } from '../protocol/refusal.ts';
import { retryAfterSecondsOf } from './refusal-status.ts';

const gzipAsync = promisify(gzip);
/** Answers are read once, on a fast network: the cheapest level (220 MB/s, a seventh of the size). */
const GZIP_OPTIONS = { level: constants.Z_BEST_SPEED };
/** Below this a gzip header costs more than it saves. */
const GZIP_BYTES_MIN = 1024;

/** Of these an answer ends with its head, and says no length: some clients would wait for that much, or take it for the next answer. */
const LENGTHLESS = new Set([204, 304]);
/** A client that is told 205 takes what comes behind the head for its next answer, but is told a length of 0 (RFC 9110). */
const BODILESS = new Set([...LENGTHLESS, 205]);

const JSON_TYPE = 'application/json; charset=UTF-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const OCTETS_TYPE = 'application/octet-stream';

const acceptsGzip = (request: IncomingMessage): boolean =>
  /(^|,)\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*(,|$))[^,]*)?(,|$)/i.test(String(request.headers['accept-encoding'] ?? ''));

/** One request's answer: sent once. Bodies over 1 KB are gzipped off the event loop when the client takes it. */
export class Reply {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  bytesSent = 0;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  get status(): number {
    return this.#response.statusCode;
  }

  get isStarted(): boolean {
    return this.#response.headersSent;
  }

  empty(status: number, headers: Record<string, string> = {}): Promise<void> {
    this.#response.writeHead(status, LENGTHLESS.has(status) ? headers : { ...headers, 'content-length': '0' });
    this.#response.end();
    return Promise.resolve();
  }

  text(status: number, text: string, type = TEXT_TYPE, headers: Record<string, string> = {}): Promise<void> {
    return this.#whole(status, Buffer.from(text), { 'content-type': type, ...headers });
  }

  json(status: number, text: string): Promise<void> {
    return this.#whole(status, Buffer.from(text), { 'content-type': JSON_TYPE });
  }

  /** An error as Loki gives it: the bare text. */
  refuse(status: number, refusal: Refusal, end: '' | '\n'): Promise<void> {
    return this.#refuse(status, refusal, Buffer.from(refusal.text + end), TEXT_TYPE);
  }

  /** An error as Loki gives it to exporters of OTLP: a google.rpc.Status with its message alone, to JSON too. */
  refuseOtlp(status: number, refusal: Refusal): Promise<void> {
    return this.#refuse(status, refusal, encodeStatus({ message: refusal.text }), OCTETS_TYPE);
  }

  #refuse(status: number, refusal: Refusal, body: Buffer, type: string): Promise<void> {
    const retryAfter = retryAfterSecondsOf(refusal);
    const headers: Record<string, string> = { 'content-type': type, 'x-content-type-options': 'nosniff' };
    if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
    // What is left of the body is not worth reading: the connection ends after the answer.
    if (!this.#request.complete) headers['connection'] = 'close';
    return this.#whole(status, body, headers);
  }

  /** JSON in pieces: one piece is sent whole, more are streamed, at the pace of the client. */
  async jsonPieces(pieces: Iterator<string>): Promise<void> {
    const first = pieces.next();
    const second = pieces.next();
    if (second.done || first.done) return this.json(200, first.done ? '' : first.value);
    const isGzipped = acceptsGzip(this.#request);
    const encoding = isGzipped ? { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } : {};
    this.#response.writeHead(200, { 'content-type': JSON_TYPE, ...encoding });
    const sink = isGzipped ? createGzip(GZIP_OPTIONS) : this.#response;
    if (sink !== this.#response) sink.pipe(this.#response);
    await this.#write(sink, first.value);
    await this.#write(sink, second.value);
    for (let next = pieces.next(); !next.done; next = pieces.next()) await this.#write(sink, next.value);
    sink.end();
  }

  async #whole(status: number, body: Buffer, headers: Record<string, string>): Promise<void> {
    if (BODILESS.has(status)) return this.empty(status, headers);
    const isGzipped = body.length > GZIP_BYTES_MIN && acceptsGzip(this.#request);
    const bytes = isGzipped ? await gzipAsync(body, GZIP_OPTIONS) : body;
    if (this.#response.destroyed) return;
    const encoding = isGzipped ? { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } : {};
    this.bytesSent = bytes.length;
    this.#response.writeHead(status, { ...headers, ...encoding, 'content-length': String(bytes.length) });
    this.#response.end(bytes);
  }

  /** Resolves when there is room for more; also when the client has gone, which the caller's signal tells. */
  #write(sink: NodeJS.WritableStream, piece: string): Promise<void> {
    this.bytesSent += piece.length;
    if (this.#response.destroyed || sink.write(piece)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        sink.off('drain', done);
        this.#response.off('close', done);
        resolve();
      };
      sink.on('drain', done);
      this.#response.on('close', done);
    });
  }
}
