/** Refusals as Loki's gRPC errors: the status code is the HTTP number, the details repeat it as an httpgrpc response. */
import { Metadata, type ServerErrorResponse, status } from '@grpc/grpc-js';
import { encodeHttpGrpcStatus } from '../protocol/logproto.ts';
import type { Refusal } from '../protocol/refusal.ts';
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
