/** What the query's thread and the scan workers say to each other. Plain data: it crosses threads. */
import type { SegmentSnapshot } from '../../chunk/memory-format.ts';
import type { Stage, Unwrap } from '../../logql/ast.ts';
import type { LabelHints } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import type { LabelMatcher } from '../../protocol/matcher.ts';
import type { StepGrid } from '../step-windows.ts';
import type { HiddenEntries } from './hidden-entries.ts';

/** Which labels keep series apart: all final labels, those named, or all but those named. */
export interface GroupSpec {
  readonly kind: 'all' | 'by' | 'without';
  readonly names: readonly string[];
}

/** What a range aggregation needs of each entry. */
export type Measure = 'count' | 'bytes' | 'values';

/** A range aggregation's part that runs over entries. */
export interface MetricScan {
  readonly kind: 'metric';
  readonly grid: StepGrid;
  readonly rangeNs: bigint;
  readonly offsetNs: bigint;
  readonly measure: Measure;
  readonly unwrap: Unwrap | undefined;
  readonly group: GroupSpec;
  /** More series than this refuse the query: where they are the answer's. 0: no limit. */
  readonly seriesMax: number;
}

export interface LogScan {
  readonly kind: 'log';
  readonly direction: 'forward' | 'backward';
  readonly categorizeLabels: boolean;
}

/** The same for all tasks of one scan; a worker compiles it once per `scanId`. */
export interface ScanPlan {
  /** Unique in this process. */
  readonly scanId: string;
  readonly tenant: string;
  /** Streams get the label `__tenant_id__`: the query is about several. */
  readonly namesTenant: boolean;
  readonly matchers: readonly LabelMatcher[];
  readonly stages: readonly Stage[];
  readonly hints: LabelHints;
  /** Entries wanted, both ends included. Also the base of relative times (its start). */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly scan: MetricScan | LogScan;
  /** Entries to pass over. */
  readonly hidden?: HiddenEntries | undefined;
}

export interface ChunkBytes {
  readonly key: string;
  /** CRC-32C of the object, from its key. */
  readonly checksum: number;
  /** The whole object, or as large as it. Moved to the worker. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of its blocks only those are there that the plan can want; they are checked one by one. */
  readonly isPart: boolean;
}

/** A chunk that is a file of this machine, which the thread that scans reads itself: so much of it as its plan wants. */
export interface ChunkFile {
  readonly key: string;
  /** As of `ChunkBytes`. */
  readonly checksum: number;
  readonly path: string;
}

export type ChunkSource = ChunkBytes | ChunkFile;

/** What moves to the thread with them. */
export const buffersOf = (chunks: readonly ChunkSource[]): ArrayBuffer[] => [
  ...new Set(chunks.flatMap((chunk) => (isChunkBytes(chunk) ? chunk.bytes.buffer : []))),
];

export const isChunkBytes = (chunk: ChunkSource): chunk is ChunkBytes => 'bytes' in chunk;

/** Unflushed segments of a stream. Chunks have their labels inside. */
export interface MemoryPart {
  readonly labels: LabelSet;
  readonly segments: readonly SegmentSnapshot[];
}

/** A part of one stream's time with everything that holds entries of it: memory and chunks. */
export interface StreamSlice {
  /** Entries wanted of these sources, both ends included; within the plan's range. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** One part, but for fingerprints that several label sets share. */
  readonly memory: readonly MemoryPart[];
  readonly chunks: readonly ChunkSource[];
}

/** Where a log scan of a slice goes on: so many groups of blocks are read, and of the next one so many kept entries were taken. */
export interface ScanPosition {
  readonly group: number;
  readonly taken: number;
}

/** Scans of one query that want the same entries: blocks are inflated once for all of them. */
export interface MetricTask {
  readonly kind: 'metric';
  /** They differ in stages, hints and scan. At least one. */
  readonly plans: readonly ScanPlan[];
  readonly slices: readonly StreamSlice[];
}

/** From where and how far to read a slice. */
export interface ReadBounds {
  readonly position: ScanPosition;
  /** Stop when so many entries or line bytes are kept. */
  readonly entriesMax: number;
  readonly bytesMax: number;
  /** Move the chunks back even if the slice is read to its end: the next slice needs one of them. */
  readonly keepsChunks: boolean;
}

export interface LogRead extends ReadBounds {
  readonly slice: StreamSlice;
}

/** One read, or many of streams with a line or two each: a message a stream would cost ten times the reading. */
export interface LogTask {
  readonly kind: 'log';
  readonly plan: ScanPlan;
  readonly reads: readonly LogRead[];
}

export type ScanTask = MetricTask | LogTask;

/** Memory that the task's sender and the worker share. */
export const sharedBytesOf = (task: ScanTask): number => {
  const slices = task.kind === 'metric' ? task.slices : task.reads.map(({ slice }) => slice);
  let bytes = 0;
  for (const { memory } of slices) {
    for (const { segments } of memory) {
      for (const { blocks, heads } of segments) {
        for (const block of blocks) bytes += block.bytes.length;
        for (const head of heads) bytes += head.region.size;
      }
    }
  }
  return bytes;
};

export interface ScanCounts {
  decompressedBytes: number;
  decompressedLines: number;
  compressedBytes: number;
  headBytes: number;
  headLines: number;
  duplicates: number;
  /** Compressed blocks that were inflated, and those in the time range that their skip filter ruled out. */
  blocksInflated: number;
  blocksSkipped: number;
}

/** Parts of an answer's series, for steps [firstStep, firstStep + stepCount). Few large objects: each costs its receiver microseconds. */
export interface PartialCounts {
  /** `keyOfLabels` of each series, one a line. */
  readonly keys: string;
  readonly firstStep: number;
  readonly stepCount: number;
  /** Entries in each step's window, series after series. */
  readonly counts: Float64Array;
  /** Σ line bytes; only for measure bytes. */
  readonly sums: Float64Array | undefined;
}

/** Unwrapped values, stream after stream, those of each in time order; series[i] is a line of `keys`. */
export interface PartialValues {
  /** `keyOfLabels` of each series, one a line. */
  readonly keys: string;
  readonly series: Uint32Array;
  /** ns relative to the plan's start. */
  readonly times: Float64Array;
  readonly values: Float64Array;
  /** Fingerprints of the streams that they come from, and where those of each begin. */
  readonly streams: BigUint64Array;
  readonly streamStarts: Uint32Array;
}

/** Of one plan. */
export interface MetricPart {
  readonly series: PartialCounts | undefined;
  readonly values: PartialValues | undefined;
  /** Final labels of an entry with `__error__` inside a window: it fails the query. */
  readonly errorLabels: readonly string[] | undefined;
}

export interface MetricResult {
  readonly kind: 'metric';
  /** In the order of the plans. */
  readonly parts: readonly MetricPart[];
  readonly counts: ScanCounts;
}

/** A label set of an answer's entries. With categorizeLabels `labels` are the stream's alone. */
export interface EntryLabels {
  readonly labels: readonly string[];
  readonly metadata: readonly string[] | undefined;
  readonly parsed: readonly string[] | undefined;
}

/** Where a read ended. */
export interface LogReadEnd {
  /** End of its entries in the columns; they begin where those of the read before it end. */
  readonly end: number;
  /** undefined when the slice is read to its end. */
  readonly next: ScanPosition | undefined;
  /** Bound of what is not read yet: nothing newer (backward) or older (forward) is left. */
  readonly nextBoundNs: bigint;
  /** The chunks that came with the read, moved back if they are needed again. */
  readonly chunks: readonly ChunkBytes[];
}

/** The entries of a task's reads, one read after the other. */
export interface LogResult {
  readonly kind: 'log';
  /** Of each read in the query's direction. */
  readonly times: BigInt64Array;
  /** End of each line in `bytes`. */
  readonly lineEnds: Uint32Array;
  readonly bytes: Uint8Array;
  readonly labelSets: readonly EntryLabels[];
  /** Per entry, an index into `labelSets`. */
  readonly labelIndexes: Uint32Array;
  readonly ends: readonly LogReadEnd[];
  readonly counts: ScanCounts;
}

export type ScanResult = MetricResult | LogResult;

export const noCounts = (): ScanCounts => ({
  decompressedBytes: 0,
  decompressedLines: 0,
  compressedBytes: 0,
  headBytes: 0,
  headLines: 0,
  duplicates: 0,
  blocksInflated: 0,
  blocksSkipped: 0,
});

export const addCounts = (total: ScanCounts, more: ScanCounts): void => {
  total.decompressedBytes += more.decompressedBytes;
  total.decompressedLines += more.decompressedLines;
  total.compressedBytes += more.compressedBytes;
  total.headBytes += more.headBytes;
  total.headLines += more.headLines;
  total.duplicates += more.duplicates;
  total.blocksInflated += more.blocksInflated;
  total.blocksSkipped += more.blocksSkipped;
};
