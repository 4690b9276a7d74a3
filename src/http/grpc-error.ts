/** Refusals as Loki's gRPC errors: the status code is the HTTP number, the details repeat it as an httpgrpc response. */
import { Metadata, type ServerErrorResponse, status } from '@grpc/grpc-js';
import { encodeHttpGrpcStatus, encodeStatus } from '../protocol/logproto.ts';
import { encodeRetryInfo } from '../protocol/otlp/export-response.ts';
import type { Refusal, RefusalCode } from '../protocol/refusal.ts';
import { pushStatusOf, retryAfterSecondsOf } from './refusal-status.ts';

/** Texts go into HTTP/2 trailers, which are bounded: what is longer is cut. */
const TEXT_CHARS_MAX = 2048;

export const plainError = (code: number, text: string): ServerErrorResponse => ({
  name: 'Error',
  message: text,
  code,
  details: text,
});

export const grpcErrorOf = (refusal: Refusal): ServerErrorResponse => {
  const text = refusal.text.slice(0, TEXT_CHARS_MAX);
  // A missing tenant has no HTTP status in Loki's gRPC.
  if (refusal.code === 'NO_TENANT') return plainError(status.UNKNOWN, text);
  const code = pushStatusOf(refusal);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encodeHttpGrpcStatus(code, text));
  const retryAfter = retryAfterSecondsOf(refusal);
  if (retryAfter !== undefined) metadata.set('retry-after', String(retryAfter));
  return { name: refusal.code, message: text, code, details: text, metadata };
};

/**
 * Refusal → status of OTLP over gRPC. An exporter tries again what is UNAVAILABLE, DEADLINE_EXCEEDED or CANCELLED, and RESOURCE_EXHAUSTED
 * only with a RetryInfo: what the HTTP path answers with 429 or 5xx is one of these.
 */
const OTLP_STATUS: Record<RefusalCode, status> = {
  BAD_REQUEST: status.INVALID_ARGUMENT,
  INVALID_ENTRIES: status.INVALID_ARGUMENT,
  INGESTION_BLOCKED: status.PERMISSION_DENIED,
  TOO_LARGE: status.INVALID_ARGUMENT,
  EMPTY_PUSH: status.INVALID_ARGUMENT,
  INVALID_QUERY: status.INVALID_ARGUMENT,
  UNSUPPORTED_QUERY: status.UNIMPLEMENTED,
  NO_TENANT: status.UNAUTHENTICATED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  STREAM_LIMIT: status.RESOURCE_EXHAUSTED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  OVERLOADED: status.UNAVAILABLE,
  STORAGE_UNAVAILABLE: status.UNAVAILABLE,
  INTERNAL: status.UNAVAILABLE,
};

/** For what has no hint of its own and yet may be tried again (chosen: a second, as everywhere). */
const RETRY_AFTER_MS = 1000;

export const otlpErrorOf = (refusal: Refusal): ServerErrorResponse => {
  const text = refusal.text.slice(0, TEXT_CHARS_MAX);
  const code = OTLP_STATUS[refusal.code];
  const isTriedAgain = code === status.RESOURCE_EXHAUSTED || code === status.UNAVAILABLE;
  const delayMs = 'retryAfterMs' in refusal ? refusal.retryAfterMs : RETRY_AFTER_MS;
  const retry = { type: 'google.rpc.RetryInfo', message: encodeRetryInfo(delayMs) };
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encodeStatus({ code, message: text, details: isTriedAgain ? [retry] : [] }));
  return { name: refusal.code, message: text, code, details: text, metadata };
};
