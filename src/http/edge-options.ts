/** What the edges need beside the node itself; src/serve.ts builds it from the configuration. */
import type { IncomingHttpHeaders } from 'node:http';
import type { DecodedPush } from '../actors/node-services.ts';
import type { ClusterServices } from '../member/cluster-services.ts';
import type { BodyMemory } from '../protocol/large-bodies.ts';
import type { Limits } from '../protocol/limits.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { EdgeMetrics } from './metrics.ts';

/** A tenant's limits that are checked before a query is run. 0 = unlimited. */
export type EdgeLimits = Pick<
  Limits,
  | 'maxEntriesLimitPerQuery'
  | 'maxQueryLengthMs'
  | 'maxQueryLookbackMs'
  | 'maxQueryRangeMs'
  | 'maxStreamsMatchersPerQuery'
  | 'requiredLabels'
  | 'minimumLabelsNumber'
  | 'maxConcurrentTailRequests'
  | 'queryTimeoutMs'
  | 'maxQueryBytesRead'
  | 'maxQuerierBytesRead'
  | 'maxQuerySeries'
  | 'deletionMode'
>;

/** A push body with what decides how it is read. */
export interface PushBody {
  readonly bytes: Buffer;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** `/api/prom/push`: JSON of the old shape. */
  readonly isLegacy: boolean;
  /** Counts what it takes inflated. */
  readonly memory: BodyMemory;
}

export interface EdgeLogger {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

export interface LogLevelSwitch {
  get(): string;
  set(level: string): void;
}

export interface EdgeOptions {
  /** @throws RefusedError NO_TENANT, BAD_REQUEST */
  readonly tenantOf: (header: string | undefined) => string;
  readonly limitsOf: (tenant: string) => EdgeLimits;
  /** @throws RefusedError; nothing of the push is stored then */
  readonly decodePush: (body: PushBody, tenant: string) => Promise<DecodedPush> | DecodedPush;
  /** The bare protobuf message, as gRPC carries it. */
  readonly decodePushMessage: (bytes: Buffer, tenant: string) => Promise<DecodedPush> | DecodedPush;
  readonly metrics: EdgeMetrics;
  readonly log: EdgeLogger;
  readonly logLevel: LogLevelSwitch;
  /** The effective configuration as YAML. */
  readonly configText: () => string;
  /** Why the node should be sent nothing now, as far as its services do not know. */
  readonly notReady: () => string | undefined;
  /** Requests are refused: the node has no place in its cluster yet. */
  readonly isStarting: () => boolean;
  readonly nowMs: () => number;
  /** Largest request body in bytes (max_recv_msg_size). */
  readonly bodyBytesMax: number;
  /** All request bodies in memory together. */
  readonly bodyBytesInFlightMax: number;
  /** Of a member of a cluster. */
  readonly cluster?: ClusterServices | undefined;
  /** A tail ends after this long. */
  readonly tailMaxDurationMs: number;
}

export const startingError = (): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'this node is starting' });

export const tenantHeader = (headers: IncomingHttpHeaders): string | undefined => {
  const header = headers['x-scope-orgid'];
  return Array.isArray(header) ? header.join(',') : header;
};

export const nowNsOf = (options: Pick<EdgeOptions, 'nowMs'>): bigint =>
  BigInt(Math.trunc(options.nowMs())) * 1_000_000n;
