import type { Ref } from 'nact';
import type { LastEntry } from '../chunk/head-block.ts';
import type { Segment } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { SchemaPeriod } from '../storage/schema-config.ts';
import type { LoggedPart, LoggedStream } from './logged-segments.ts';
import type { Bucketed } from './size-buckets.ts';
import type { StreamMessage } from './stream-state.ts';
import type { TailSubscription, TenantStreams } from './tenant-streams.ts';

/**
 * Why a segment takes no more entries: it reached its size; nothing came for long; it spans too much time; somebody asked;
 * memory ran short; the log did not take some of its entries; the process that wrote it ended; it was to move to another node.
 */
export type FlushReason = 'full' | 'idle' | 'old' | 'asked' | 'memory' | 'unlogged' | 'recovered' | 'moved';

/** One array for all segments that have none. */
export const NO_SHARERS: readonly LoggedPart[] = [];

/** A segment and how far it is on its way to the store: open → sealed (heads are being cut) → flushing → stored and dropped; or to another node. */
export interface HeldSegment {
  readonly segment: Segment;
  /** Chunk format: of the schema period its first entry is in. All its blocks have it. */
  readonly version: 3 | 4;
  /** Of the schema, by that entry too. */
  readonly period: SchemaPeriod;
  /** undefined while open. */
  sealedFor: FlushReason | undefined;
  /** The flusher has it. */
  isFlushing: boolean;
  /** It is on its way to another node: it answers queries, and nobody flushes it. */
  isMoving: boolean;
  /** It is stored or somebody else's: what still comes of its heads is let go. */
  isDropped: boolean;
  /** Memory ran short: its entries are in the log only, from where queries and the flusher read them. */
  isSpilled: boolean;
  /** What the log knows it by, once its first entries went there; undefined on a node without a log. */
  log: LogSegment | undefined;
  /** Segments that lie in the log and go into the same chunk, in front of it: claimed when it was sealed. */
  sharers: readonly LoggedPart[];
}

/** A segment that goes to another node: of an actor's memory, or one that lies in the log. */
export interface MovingSegment {
  readonly log: LogSegment;
  readonly from: { readonly held: HeldSegment } | { readonly part: LoggedPart };
}

/** One that another node has, with CUSTODY of this epoch. */
export interface MovedSegment extends MovingSegment {
  readonly epoch: number;
}

/** Told when everything that was unflushed at the time of asking is stored. */
interface FlushWaiter {
  /** Counter of the newest segment then. */
  readonly through: number;
  readonly reply: (answer: undefined) => void;
}

/**
 * All that is known of one stream, owned by the node's cell table (StreamDirectory); its actor holds a reference, is the only one to
 * change what is below the line, and is reset to it after a crash. One object, no closures, no Map: there may be 100,000.
 */
export class StreamCell implements Bucketed {
  readonly tenant: TenantStreams;
  readonly labels: LabelSet;
  ref: Ref<StreamMessage> | undefined = undefined;
  /** Messages sent and not yet handled: an actor may stop only when there is none, as the mailbox goes with it. */
  messagesInFlight = 0;
  /** No actor any more: look it up again. */
  isClosed = false;
  /** Live readers of this stream. */
  tails: TailSubscription[] | undefined = undefined;
  /** What the log has of the stream and no actor's memory: shared with LoggedSegments. */
  logged: LoggedStream | undefined = undefined;
  /** It is under way to give up its head early. */
  isCutAsked = false;
  /** What the memory guard counted of it last. */
  countedBytes = 0;
  countedOpenBytes = 0;
  /** It was told to let go of memory and has not looked yet. */
  isReliefAsked = false;
  /** What of it the node counts as asked for. */
  askedBytes = 0;
  bucketBytes = 0;
  bucketPrevious: Bucketed | undefined = undefined;
  bucketNext: Bucketed | undefined = undefined;
  // ———
  /** Oldest first; only the last may be open. */
  segments: HeldSegment[] = [];
  /** The entry taken last, once its segment is stored and gone: what equals it is a duplicate. */
  last: LastEntry | undefined = undefined;
  /** Highest time accepted, ns. */
  newest: bigint | undefined = undefined;
  lastAppendMs: number;
  /** Token bucket of the per-stream rate limit: bytes left at rateAtMs; negative = never used. */
  rateBytes = -1;
  rateAtMs = 0;
  flushWaiters: FlushWaiter[] | undefined = undefined;

  constructor(tenant: TenantStreams, labels: LabelSet, nowMs: number) {
    this.tenant = tenant;
    this.labels = labels;
    this.lastAppendMs = nowMs;
  }

  get open(): HeldSegment | undefined {
    const last = this.segments.at(-1);
    return last?.sealedFor === undefined ? last : undefined;
  }

  /** Memory of the open head: what an early cut would give back. */
  get openHeadBytes(): number {
    return this.open?.segment.headMemoryBytes ?? 0;
  }

  get unflushedBytes(): number {
    let bytes = 0;
    for (const { segment } of this.segments) bytes += segment.memoryBytes;
    return bytes;
  }
}
