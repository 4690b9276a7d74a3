/** Answers of Bigtable that are none: what they mean for the caller. */
import { status } from '@grpc/grpc-js';
import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { within } from '../protocol/within.ts';
import { RetryBudget, type RetryDeps } from './retry-budget.ts';

/** A call or a row that failed, by its gRPC status. */
export class BigtableError extends Error {
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BigtableError';
    this.code = code;
  }
}

/** All that ringlog writes may be written twice, so whatever may pass by itself is worth another try. */
const TRANSIENT: ReadonlySet<number> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.RESOURCE_EXHAUSTED,
  // A connection that breaks in the middle of an answer.
  status.INTERNAL,
  status.UNKNOWN,
  status.CANCELLED,
]);

export const isTransient = ({ code }: BigtableError): boolean => TRANSIENT.has(code);

/** For reads and writes: the table is not there (the store looks for the instance when it opens). */
export const isNoTable = ({ code }: BigtableError): boolean => code === status.NOT_FOUND;

/** @param error of the gRPC or of Google's client */
export const bigtableErrorOf = (error: unknown): BigtableError => {
  if (error instanceof BigtableError) return error;
  const { code, details, message } = error as { code?: unknown; details?: string; message?: string };
  const text = details || message || String(error);
  return new BigtableError(typeof code === 'number' ? code : status.UNKNOWN, text, { cause: error });
};

/** @param what the sentence's beginning: `cannot write the index` */
export const refusalOf = (what: string, error: BigtableError): RefusedError => {
  const text = `${what}: Bigtable: ${status[error.code] ?? error.code}: ${error.message}`;
  // Bigtable will never take it: a value or a key that is too large.
  if (error.code === status.INVALID_ARGUMENT) return new RefusedError({ code: 'BAD_REQUEST', text }, { cause: error });
  if (error.code === status.RESOURCE_EXHAUSTED) {
    return new RefusedError({ code: 'OVERLOADED', text, retryAfterMs: 1_000 }, { cause: error });
  }
  return new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
};

/** Chosen: eight tries pass over 5 s or so, longer than a tablet takes to move. */
const RETRY_RULE = { triesMax: 8, firstMs: 50, lastMs: 2_000, shareMin: 0.5 };

export const bigtableRetries = (deps: RetryDeps, timeoutMs: number): RetryBudget =>
  new RetryBudget(deps, timeoutMs, RETRY_RULE);

/** @throws BigtableError DEADLINE_EXCEEDED if `work` takes longer; it is not ended */
export const withinMs = <T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T> =>
  within(
    clock,
    timeoutMs,
    work,
    () => new BigtableError(status.DEADLINE_EXCEEDED, `no answer within ${Math.round(timeoutMs)} ms`),
  );
