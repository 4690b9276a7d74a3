/**
 * Every reason to refuse a request. `text` is what Loki would answer (a client sees it); code decides, nobody parses the text.
 * `http-status` of a code stands in one table, src/http/refusal-status.ts.
 */
export type Refusal =
  /** A body or parameter that can never be accepted (400). */
  | { readonly code: 'BAD_REQUEST'; readonly text: string }
  /** Validation of streams or entries; the good part was stored (400). */
  | { readonly code: 'INVALID_ENTRIES'; readonly text: string }
  /** The tenant may not push now (`block_ingestion_until`); the status is what its limits say. */
  | { readonly code: 'INGESTION_BLOCKED'; readonly text: string; readonly status: number }
  | { readonly code: 'TOO_LARGE'; readonly text: string }
  | { readonly code: 'RATE_LIMITED'; readonly text: string; readonly retryAfterMs: number }
  | { readonly code: 'STREAM_LIMIT'; readonly text: string }
  | { readonly code: 'NO_TENANT'; readonly text: string }
  | { readonly code: 'EMPTY_PUSH'; readonly text: string }
  /** A query that does not parse or breaks a limit (400). */
  | { readonly code: 'INVALID_QUERY'; readonly text: string }
  /** Valid LogQL that this version does not evaluate (501). */
  | { readonly code: 'UNSUPPORTED_QUERY'; readonly text: string }
  | { readonly code: 'DEADLINE_EXCEEDED'; readonly text: string }
  | { readonly code: 'CANCELLED'; readonly text: string }
  /** Try again later: a queue or budget is full (429 for queries, 503 for pushes). */
  | { readonly code: 'OVERLOADED'; readonly text: string; readonly retryAfterMs: number }
  | { readonly code: 'STORAGE_UNAVAILABLE'; readonly text: string }
  | { readonly code: 'INTERNAL'; readonly text: string };

export type RefusalCode = Refusal['code'];

/** Carries a Refusal through code that throws. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal.text, options);
    this.name = 'RefusedError';
    this.refusal = refusal;
  }
}
