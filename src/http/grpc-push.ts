/** Pushes over gRPC: Loki's, and OTLP's logs. */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { DecodedPush, NodeServices, PushOutcome } from '../actors/node-services.ts';
import type { BodyMemory } from '../protocol/large-bodies.ts';
import { encodeExportResponse } from '../protocol/otlp/export-response.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type EdgeOptions, startingError } from './edge-options.ts';
import { method, tenantMetadata, type UnaryCall, unaryHandler } from './grpc-call.ts';
import { grpcErrorOf, otlpErrorOf } from './grpc-error.ts';
import { OTLP_LOGS_PATH, PUSH_PATH } from './grpc-messages.ts';
import { type ByteBudget, InflatedBytes } from './request-body.ts';

export type GrpcPushOptions = Pick<
  EdgeOptions,
  'tenantOf' | 'decodePushMessage' | 'decodeOtlpMessage' | 'metrics' | 'log' | 'isStarting'
>;

type Decode = (bytes: Buffer, tenant: string, memory: BodyMemory) => Promise<DecodedPush> | DecodedPush;

const EMPTY = Buffer.alloc(0);
const NOTHING_SENT: PushOutcome = { acceptedLines: 0, acceptedBytes: 0, refusal: undefined };

export const PUSH_METHODS: ServiceDefinition = {
  push: method(PUSH_PATH),
  export: method(OTLP_LOGS_PATH),
};

export const pushHandlers = (
  services: NodeServices,
  options: GrpcPushOptions,
  bodies: ByteBudget,
): UntypedServiceImplementation => {
  const take = async (call: UnaryCall, decode: Decode, isEmptyFine: boolean) => {
    if (options.isStarting()) throw startingError();
    const tenant = options.tenantOf(tenantMetadata(call));
    const memory = new InflatedBytes(bodies);
    memory.take(call.request.length);
    try {
      const decoded = await decode(call.request, tenant, memory);
      const lines = decoded.streams.reduce((sum, { first, end }) => sum + end - first, 0);
      if (lines === 0 && isEmptyFine) return { lines, outcome: NOTHING_SENT };
      const outcome = await services.push(tenant, decoded);
      options.metrics.pushes.count(tenant, decoded, outcome);
      return { lines, outcome };
    } finally {
      memory.release();
    }
  };
  const push = async (call: UnaryCall): Promise<Buffer> => {
    const { outcome } = await take(call, options.decodePushMessage, false);
    if (outcome.refusal) throw new RefusedError(outcome.refusal);
    return EMPTY;
  };
  /** What is stored in part is a success that says so, as OTLP has it: its clients must not send it again. */
  const exportLogs = async (call: UnaryCall): Promise<Buffer> => {
    const { lines, outcome } = await take(call, options.decodeOtlpMessage, true).catch(triedAgain);
    const { refusal, acceptedLines } = outcome;
    if (!refusal) return EMPTY;
    if (refusal.code !== 'INVALID_ENTRIES' || acceptedLines === 0) throw new RefusedError(refusal);
    return encodeExportResponse(lines - acceptedLines, refusal.text);
  };
  /** What breaks here says nothing of the records: as over HTTP their exporter may send them again. */
  const triedAgain = (error: unknown): never => {
    if (error instanceof RefusedError) throw error;
    options.log.error({ err: error, route: OTLP_LOGS_PATH }, 'gRPC call failed');
    throw new RefusedError({ code: 'INTERNAL', text: (error as Error).message }, { cause: error });
  };
  return {
    push: unaryHandler(options, PUSH_PATH, push, grpcErrorOf),
    export: unaryHandler(options, OTLP_LOGS_PATH, exportLogs, otlpErrorOf),
  };
};
