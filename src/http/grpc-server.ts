import { Server, ServerCredentials, type sendUnaryData, status, type UntypedHandleCall } from '@grpc/grpc-js';
import type { NodeServices } from '../actors/node-services.ts';
import type { EdgeOptions } from './edge-options.ts';
import { method, type UnaryCall } from './grpc-call.ts';
import { plainError } from './grpc-error.ts';
import { HEALTH_PATH, healthService, NOT_SERVING, SERVING } from './grpc-messages.ts';
import { type GrpcPushOptions, PUSH_METHODS, pushHandlers } from './grpc-push.ts';
import { GrpcQuerier, type GrpcQuerierOptions, QUERIER_METHODS } from './grpc-querier.ts';
import { ByteBudget } from './request-body.ts';

export interface GrpcServerOptions
  extends GrpcPushOptions,
    GrpcQuerierOptions,
    Pick<EdgeOptions, 'notReady' | 'bodyBytesInFlightMax'> {
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

const HEALTH_SERVICES = new Set([
  '',
  'logproto.Pusher',
  'logproto.Querier',
  'opentelemetry.proto.collector.logs.v1.LogsService',
  'grpc.health.v1.Health',
]);

const healthHandler =
  (services: NodeServices, { notReady }: GrpcServerOptions) =>
  (call: UnaryCall, callback: sendUnaryData<Buffer>): void => {
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

/** Serves Loki's and OTLP's pushes, Loki's queries and the standard health check, in plain text HTTP/2. */
export const startGrpcServer = async (
  services: NodeServices,
  options: GrpcServerOptions,
): Promise<RunningGrpcServer> => {
  const server = new Server({
    'grpc.max_receive_message_length': options.receiveBytesMax,
    'grpc.max_concurrent_streams': 1000,
  });
  const bodies = new ByteBudget(options.bodyBytesInFlightMax);
  server.addService(PUSH_METHODS, pushHandlers(services, options, bodies));
  const querier = new GrpcQuerier(services, options);
  server.addService(QUERIER_METHODS, querier.handlers);
  server.addService({ check: method(HEALTH_PATH) }, { check: healthHandler(services, options) as UntypedHandleCall });
  const port = await bind(server, options.host, options.port);
  return {
    address: `${options.host}:${port}`,
    close: (drainMs = options.drainMs) =>
      new Promise((resolve) => {
        querier.close();
        const cut = setTimeout(() => server.forceShutdown(), drainMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
};
