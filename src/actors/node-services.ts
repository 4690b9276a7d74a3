/** What the edges (HTTP, gRPC, CLI, embedding programs) may ask of a node. Composition: src/node.ts. */
import type { DeleteService } from '../compaction/delete-service.ts';
import type { DiscardReason } from '../protocol/discards.ts';
import type { PushedStream } from '../protocol/entry-columns.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { Refusal } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { LogStream, QueryEvent, QueryRequest, QueryResult } from '../query/query-messages.ts';
import type { StreamVolume } from '../query/stream-volume.ts';
import type { RulesService } from '../ruler/rules-service.ts';

/** A decoded push body: streams in the order they were sent, columns shared between them (of OTLP by some of them). Borrowed until the push resolves. */
export interface DecodedPush {
  readonly streams: readonly PushedStream[];
  /** What the push stands for in memory and in the log, where that is more than the bytes of the first stream's columns. */
  readonly bytes?: number;
}

export interface PushOutcome {
  readonly acceptedLines: number;
  /** Σ line bytes accepted. */
  readonly acceptedBytes: number;
  /** What was refused, if anything; the rest is stored (except where the code says nothing is, as Loki does). */
  readonly refusal: Refusal | undefined;
  /** Which lines the refusal is about, as far as they were refused one by one; the others were refused together. */
  readonly discarded?: readonly DiscardedLines[];
}

export interface DiscardedLines {
  /** Loki's word: the `reason` of loki_discarded_samples_total. */
  readonly reason: DiscardReason | StreamDiscardReason;
  readonly lines: number;
}

/** Why a stream, or the place where it would be opened, does not take a line. */
export type StreamDiscardReason =
  | 'too_far_behind'
  | 'out_of_order'
  | 'per_stream_rate_limit'
  | 'stream_limit'
  | 'not_logged'
  | 'internal';

export interface RunningQuery {
  /** Events in order, with back-pressure: the actor is asked for more as they are taken. Ends after `done` or `failed`. */
  readonly events: AsyncIterable<QueryEvent>;
  cancel(): void;
}

export interface TailRequest {
  readonly tenant: string;
  readonly query: string;
  readonly startNs: bigint;
  readonly limit: number;
  readonly delayMs: number;
  /** Keep stream, structured metadata and parsed labels apart. Default: one set of labels. */
  readonly categorizeLabels?: boolean;
}

export interface TailFrame {
  /** Time-ordered; each element carries one entry. */
  readonly streams: readonly LogStream[];
  readonly dropped: readonly { readonly timeNs: bigint; readonly labels: readonly string[] }[];
}

export interface RunningTail {
  /** Frames to send; ends when cancelled or failed. A slow reader loses entries, which the next frame names in `dropped`. */
  readonly frames: AsyncIterable<TailFrame>;
  cancel(): void;
}

export interface VolumeRequest {
  readonly tenant: string;
  readonly matchers: readonly LabelMatcher[];
  readonly range: TimeRangeNs;
  /** 0 = for as long as it takes. */
  readonly timeoutMs: number;
}

export interface ChunkKeysRequest extends VolumeRequest {
  /** INVALID_QUERY beyond so many; 0 = any number. */
  readonly chunksMax: number;
}

export interface NodeServices {
  push(tenant: string, push: DecodedPush): Promise<PushOutcome>;
  /** Spawns a query actor. Parse errors and limits arrive as `failed`. */
  query(request: QueryRequest): RunningQuery;
  /** Spawns a query actor and gathers its whole answer. @throws RefusedError */
  queryAll(request: QueryRequest, signal: AbortSignal): Promise<QueryResult>;
  /** @throws RefusedError INVALID_QUERY before the first frame */
  tail(request: TailRequest): RunningTail;
  /** Sorted, distinct. Memory and store. */
  labelNames(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]>;
  labelValues(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly string[]>;
  /** Union over the selectors (none = all streams). */
  series(
    tenant: string,
    selectors: readonly (readonly LabelMatcher[])[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]>;
  /**
   * How much each stream holds in the range, memory and store, each entry once. Takes a query's turn.
   * @throws RefusedError
   */
  volumes(request: VolumeRequest, signal: AbortSignal): Promise<readonly StreamVolume[]>;
  /**
   * Keys of the stored chunks of the streams that match and that overlap the range, in no order. Takes a query's turn.
   * @throws RefusedError
   */
  chunkKeys(request: ChunkKeysRequest, signal: AbortSignal): Promise<readonly string[]>;
  /** undefined: there are no deletes. */
  readonly deletes?: DeleteService | undefined;
  /** undefined: rules are not served. */
  readonly rules?: RulesService | undefined;
  /** Flushes every stream's memory; resolves when it is stored. */
  flush(): Promise<void>;
  /** undefined when ready, else the reason. */
  notReady(): string | undefined;
}
