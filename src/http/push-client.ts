import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { PUSH_PATH, statusCodeOfDetails } from './grpc-messages.ts';
import { PushBatch } from './push-batch.ts';
import { type RetryOptions, RetryPolicy } from './retry-policy.ts';

export interface PushClientOptions {
  /** `127.0.0.1:9095`, of a node's gRPC listener. */
  readonly address: string;
  /** Sent as x-scope-orgid. */
  readonly tenant?: string;
  /** A batch is sent at this size … (default 1 MiB; the server takes 4 MiB) */
  readonly batchBytesMax?: number;
  /** … or when its first entry is this old (default 1000). */
  readonly batchAgeMsMax?: number;
  /** Default 4. */
  readonly batchesInFlightMax?: number;
  /** Of one attempt (default 10,000). */
  readonly deadlineMs?: number;
  readonly retry?: Partial<RetryOptions>;
  /** Called once a batch is settled, in any order. */
  readonly onBatch?: (outcome: BatchOutcome) => void;
}

/** Why the server did not take a batch, or not all of it. */
export interface BatchRefusal {
  /** HTTP number as Loki would answer it; 0 when the server could not be reached. */
  readonly status: number;
  readonly text: string;
}

export interface BatchOutcome {
  readonly lines: number;
  readonly lineBytes: number;
  readonly attempts: number;
  readonly refusal: BatchRefusal | undefined;
}

export interface PushTotals {
  /** Lines of batches that were taken whole, and those of others that the refusal's text says were taken. */
  readonly acceptedLines: number;
  /** Of batches that were taken whole. */
  readonly acceptedBytes: number;
  /** All lines of batches that were refused, wholly or in part; where the refusal's text counts its lines, only those. */
  readonly refusedLines: number;
}

const asIs = (bytes: Buffer): Buffer => bytes;

const CHANNEL_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** gRPC's own codes that say nothing about the batch. HTTP numbers arrive in the details. */
const UNREACHED = new Set<number>([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]);
const RETRYABLE_HTTP = new Set([429, 500, 502, 503, 504]);

const refusalOf = (error: ServiceError): BatchRefusal & { readonly isRetryable: boolean } => {
  const details = error.metadata?.get('grpc-status-details-bin')[0];
  const http = details instanceof Uint8Array ? statusCodeOfDetails(details) : undefined;
  const text = error.details;
  if (http !== undefined) return { status: http, text, isRetryable: RETRYABLE_HTTP.has(http) };
  if (UNREACHED.has(error.code)) return { status: 0, text, isRetryable: true };
  return { status: 500, text, isRetryable: false };
};

/** Loki's words are all that gRPC carries. They count all of a batch only if it is of one stream that looked at every line. */
const countedLines = (text: string, lines: number): number | undefined => {
  const [only, ...others] = text.matchAll(/total ignored: (\d+) out of (\d+) /g);
  return only && others.length === 0 && Number(only[2]) === lines ? Number(only[1]) : undefined;
};

/**
 * Pushes log lines over gRPC: gathers them into batches, sends a few at a time, sends again what could not be stored for now. An attempt
 * whose answer was lost may have stored its batch; the store drops the equal entries of the second one.
 */
export class PushClient {
  readonly #options: Required<Omit<PushClientOptions, 'tenant' | 'retry' | 'onBatch'>> & PushClientOptions;
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #retry: RetryPolicy;
  readonly #inFlight = new Set<Promise<void>>();
  #batch = new PushBatch();
  #cancelAge: (() => void) | undefined;
  #isClosed = false;
  #acceptedLines = 0;
  #acceptedBytes = 0;
  #refusedLines = 0;

  constructor(options: PushClientOptions) {
    this.#options = {
      batchBytesMax: 1024 * 1024,
      batchAgeMsMax: 1000,
      batchesInFlightMax: 4,
      deadlineMs: 10_000,
      ...options,
    };
    this.#retry = new RetryPolicy(options.retry);
    if (options.tenant !== undefined) this.#metadata.set('x-scope-orgid', options.tenant);
    this.#client = new Client(options.address, credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  get totals(): PushTotals {
    return {
      acceptedLines: this.#acceptedLines,
      acceptedBytes: this.#acceptedBytes,
      refusedLines: this.#refusedLines,
    };
  }

  /** Takes an entry; the bytes are copied. False: more than enough is under way, await `room` before the next one. */
  push(labels: string, timeNs: bigint, line: Uint8Array | string, metadata?: readonly string[]): boolean {
    if (this.#isClosed) throw new Error('the push client is closed');
    this.#batch.add(labels, timeNs, line, metadata);
    if (this.#batch.lines === 1) this.#startAge();
    if (this.#batch.size >= this.#options.batchBytesMax) this.#send();
    return this.#inFlight.size < this.#options.batchesInFlightMax;
  }

  /** Resolves when another batch may be sent. */
  async room(): Promise<void> {
    while (this.#inFlight.size >= this.#options.batchesInFlightMax) await Promise.race(this.#inFlight);
  }

  /** Sends what is waiting and resolves when every batch is settled. */
  async flush(): Promise<PushTotals> {
    this.#send();
    while (this.#inFlight.size > 0) await Promise.race(this.#inFlight);
    return this.totals;
  }

  /** Flushes and hangs up. */
  async close(): Promise<PushTotals> {
    this.#isClosed = true;
    const totals = await this.flush();
    this.#client.close();
    return totals;
  }

  #startAge(): void {
    const timer = setTimeout(() => this.#send(), this.#options.batchAgeMsMax);
    this.#cancelAge = () => clearTimeout(timer);
  }

  #send(): void {
    this.#cancelAge?.();
    if (this.#batch.lines === 0) return;
    const batch = this.#batch;
    this.#batch = new PushBatch();
    const sent = this.#deliver(batch).finally(() => this.#inFlight.delete(sent));
    this.#inFlight.add(sent);
  }

  async #deliver(batch: PushBatch): Promise<void> {
    const bytes = batch.encode();
    let attempts = 0;
    let refusal: BatchRefusal | undefined;
    for (let isTrying = true; isTrying; ) {
      attempts += 1;
      const refused = await this.#attempt(bytes);
      refusal = refused && { status: refused.status, text: refused.text };
      isTrying = refused?.isRetryable === true && (await this.#retry.again(attempts));
    }
    if (refusal) {
      const refusedLines = countedLines(refusal.text, batch.lines) ?? batch.lines;
      this.#refusedLines += refusedLines;
      this.#acceptedLines += batch.lines - refusedLines;
    } else {
      this.#retry.succeeded();
      this.#acceptedLines += batch.lines;
      this.#acceptedBytes += batch.lineBytes;
    }
    this.#options.onBatch?.({ lines: batch.lines, lineBytes: batch.lineBytes, attempts, refusal });
  }

  #attempt(bytes: Buffer): Promise<(BatchRefusal & { readonly isRetryable: boolean }) | undefined> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        PUSH_PATH,
        asIs,
        asIs,
        bytes,
        this.#metadata,
        { deadline: Date.now() + this.#options.deadlineMs },
        (error) => resolve(error ? refusalOf(error) : undefined),
      );
    });
  }
}
