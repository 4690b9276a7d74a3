/** What the gRPC services share: messages that stay bytes, the tenant, the books. */
import {
  type handleUnaryCall,
  type ServerErrorResponse,
  type ServerUnaryCall,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import type { EdgeOptions } from './edge-options.ts';
import { plainError } from './grpc-error.ts';

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;

type UnaryHandler = handleUnaryCall<Buffer, Buffer>;

/** A refusal in the words of one service. */
export type ErrorOf = (refusal: Refusal) => ServerErrorResponse;

const asIs = (bytes: Buffer): Buffer => bytes;

/** Messages stay bytes: decoders walk them where they lie. */
export const method = (path: string, responseStream = false): ServiceDefinition[string] => ({
  path,
  requestStream: false,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

export const tenantMetadata = (call: Pick<UnaryCall, 'metadata'>): string | undefined => {
  const value = call.metadata.get('x-scope-orgid')[0];
  return value === undefined ? undefined : value.toString();
};

/** What is answered to an error, and the `status_code` it is counted under. */
export const answerTo = (
  error: unknown,
  errorOf: ErrorOf,
): { readonly answer: ServerErrorResponse; readonly code: string } => {
  if (!(error instanceof RefusedError)) {
    return { answer: plainError(status.UNKNOWN, (error as Error).message), code: 'error' };
  }
  const answer = errorOf(error.refusal);
  return { answer, code: String(answer.code) };
};

/** Counts one call when `done` is called with its status. */
export const observedCall = (
  { metrics }: Pick<EdgeOptions, 'metrics'>,
  route: string,
  requestBytes: number,
): ((code: string, responseBytes: number) => void) => {
  const started = performance.now();
  return (code, responseBytes) =>
    metrics.observe({
      method: 'gRPC',
      route,
      status: code,
      isWebSocket: false,
      seconds: (performance.now() - started) / 1000,
      requestBytes,
      responseBytes,
    });
};

/** A method of one request and one answer. `work` throws what is refused. */
export const unaryHandler =
  (
    options: Pick<EdgeOptions, 'metrics' | 'log'>,
    route: string,
    work: (call: UnaryCall) => Promise<Buffer>,
    errorOf: ErrorOf,
  ): UnaryHandler =>
  (call, callback) => {
    const done = observedCall(options, route, call.request.length);
    work(call).then(
      (response) => {
        done('success', response.length);
        callback(null, response);
      },
      (error: unknown) => {
        if (!(error instanceof RefusedError)) options.log.error({ err: error, route }, 'gRPC call failed');
        const { answer, code } = answerTo(error, errorOf);
        done(code, 0);
        callback(answer);
      },
    );
  };
