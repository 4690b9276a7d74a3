// biome-ignore-all lint/performance/noBarrelFile: the public surface of the library is one module
/**
 * ringlog as a library: a node inside a Node program, and queries as actors. The HTTP and gRPC servers and the command line stand on
 * the same services.
 */
/** Sends a query actor its commands: `dispatch(query, { type: 'pull', credits: 1 })`. */
export { dispatch, type Ref } from 'nact';
export type {
  DecodedPush,
  DiscardedLines,
  NodeServices,
  PushOutcome,
  RunningQuery,
  RunningTail,
  TailFrame,
  TailRequest,
} from './actors/node-services.ts';
export type { QueryReader } from './actors/querier.ts';
export { type Config, ConfigError, type ConfigInput, type ConfigSources, configYaml, loadConfig } from './config.ts';
export {
  type BatchOutcome,
  type BatchRefusal,
  PushClient,
  type PushClientOptions,
  type PushTotals,
} from './http/push-client.ts';
export type { RetryOptions } from './http/retry-policy.ts';
export { type NodeDeps, type NodeLog, type RinglogNode, startNode } from './node.ts';
export type { LabelSet } from './protocol/label-set.ts';
export type { LabelMatcher } from './protocol/matcher.ts';
export { decodePushBody, decodePushMessage, type PushBody, type PushBodyLimits } from './protocol/push-body.ts';
export { type Refusal, type RefusalCode, RefusedError } from './protocol/refusal.ts';
export type { TimeRangeNs } from './protocol/time-range.ts';
export type {
  LogEntry,
  LogStream,
  MetricSeries,
  QueryCommand,
  QueryEvent,
  QueryLimits,
  QueryRequest,
  QueryResult,
  QueryStatistics,
} from './query/query-messages.ts';
