import type { Refusal, RefusalCode } from '../protocol/refusal.ts';

/** Refusal → HTTP status, as Loki answers. The one table: gRPC sends the same numbers. */
const STATUS: Record<Exclude<RefusalCode, 'INGESTION_BLOCKED'>, number> = {
  BAD_REQUEST: 400,
  INVALID_ENTRIES: 400,
  TOO_LARGE: 413,
  RATE_LIMITED: 429,
  STREAM_LIMIT: 429,
  NO_TENANT: 401,
  EMPTY_PUSH: 422,
  INVALID_QUERY: 400,
  UNSUPPORTED_QUERY: 501,
  DEADLINE_EXCEEDED: 504,
  CANCELLED: 499,
  OVERLOADED: 429,
  STORAGE_UNAVAILABLE: 503,
  INTERNAL: 500,
};

export const statusOf = (refusal: Refusal): number =>
  refusal.code === 'INGESTION_BLOCKED' ? refusal.status : STATUS[refusal.code];

/** A push that finds no room is told 503: promtail retries both, but 429 would read as the tenant's own fault. */
export const pushStatusOf = (refusal: Refusal): number => (refusal.code === 'OVERLOADED' ? 503 : statusOf(refusal));

/** An exporter of OTLP does not try again what is answered with 500: it is told 503, as Loki does. */
export const otlpStatusOf = (refusal: Refusal): number => {
  const status = pushStatusOf(refusal);
  return status === 500 ? 503 : status;
};

/** Whole seconds for the Retry-After header; undefined if the refusal gives no hint. */
export const retryAfterSecondsOf = (refusal: Refusal): number | undefined =>
  'retryAfterMs' in refusal ? Math.max(1, Math.ceil(refusal.retryAfterMs / 1000)) : undefined;
