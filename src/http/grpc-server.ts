import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import type { NodeServices } from '../actors/node-services.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type EdgeOptions, startingError } from './edge-options.ts';
import { grpcErrorOf, plainError } from './grpc-error.ts';
import { HEALTH_PATH, healthService, NOT_SERVING, PUSH_PATH, SERVING } from './grpc-messages.ts';
import { ByteBudget } from './request-body.ts';

export interface GrpcServerOptions
  extends Pick<
    EdgeOptions,
    'tenantOf' | 'decodePushMessage' | 'metrics' | 'log' | 'notReady' | 'isStarting' | 'bodyBytesInFlightMax'
  > {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly receiveBytesMax: number;
  readonly drainMs: number;
}

export interface RunningGrpcServer {
  readonly address: string;
  /** Calls still running after `drainMs` (that of the options) are cut off. */
  close(drainMs?: number): Promise<void>;
}

const EMPTY = Buffer.alloc(0);
const HEALTH_SERVICES = new Set(['', 'logproto.Pusher', 'grpc.health.v1.Health']);

const asIs = (bytes: Buffer): Buffer => bytes;

/** Messages stay bytes: the push decoder walks them where they lie. */
const unary = (path: string): ServiceDefinition[string] => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

type Call = ServerUnaryCall<Buffer, Buffer>;
type Callback = sendUnaryData<Buffer>;

const tenantMetadata = (call: Call): string | undefined => {
  const value = call.metadata.get('x-scope-orgid')[0];
  return value === undefined ? undefined : value.toString();
};

const pushHandler = (services: NodeServices, options: GrpcServerOptions) => {
  const bodies = new ByteBudget(options.bodyBytesInFlightMax);
  const push = async (call: Call): Promise<void> => {
    if (options.isStarting()) throw startingError();
    const tenant = options.tenantOf(tenantMetadata(call));
    bodies.take(call.request.length);
    try {
      const decoded = await options.decodePushMessage(call.request, tenant);
      const outcome = await services.push(tenant, decoded);
      options.metrics.pushes.count(tenant, decoded, outcome);
      const { refusal } = outcome;
      if (refusal) throw new RefusedError(refusal);
    } finally {
      bodies.give(call.request.length);
    }
  };
  return (call: Call, callback: Callback): void => {
    const started = performance.now();
    const observe = (code: string): void =>
      options.metrics.observe({
        method: 'gRPC',
        route: PUSH_PATH,
        status: code,
        isWebSocket: false,
        seconds: (performance.now() - started) / 1000,
        requestBytes: call.request.length,
        responseBytes: 0,
      });
    push(call).then(
      () => {
        observe('success');
        callback(null, EMPTY);
      },
      (error: Error) => {
        const isRefused = error instanceof RefusedError;
        if (!isRefused) options.log.error({ err: error }, 'gRPC push failed');
        const answer = isRefused ? grpcErrorOf(error.refusal) : plainError(status.UNKNOWN, error.message);
        observe(isRefused ? String(answer.code) : 'error');
        callback(answer);
      },
    );
  };
};

const healthHandler =
  (services: NodeServices, { notReady }: GrpcServerOptions) =>
  (call: Call, callback: Callback): void => {
    if (!HEALTH_SERVICES.has(healthService(call.request))) {
      callback(plainError(status.NOT_FOUND, 'unknown service'));
      return;
    }
    callback(null, (notReady() ?? services.notReady()) === undefined ? SERVING : NOT_SERVING);
  };

const bind = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });

/** Serves `logproto.Pusher/Push` and the standard health check, in plain text HTTP/2. */
export const startGrpcServer = async (
  services: NodeServices,
  options: GrpcServerOptions,
): Promise<RunningGrpcServer> => {
  const server = new Server({
    'grpc.max_receive_message_length': options.receiveBytesMax,
    'grpc.max_concurrent_streams': 1000,
  });
  server.addService({ push: unary(PUSH_PATH) }, { push: pushHandler(services, options) as UntypedHandleCall });
  server.addService({ check: unary(HEALTH_PATH) }, { check: healthHandler(services, options) as UntypedHandleCall });
  const port = await bind(server, options.host, options.port);
  return {
    address: `${options.host}:${port}`,
    close: (drainMs = options.drainMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.forceShutdown(), drainMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
};
