/**
 * What a stream's unflushed state looks like to readers: plain data over SharedArrayBuffers, so that a snapshot costs no copy
 * and worker threads scan it where it lies. Everything here is append-only: a reader that got (memory, count) may read the
 * first `count` entries forever; growth moves the writer to a new buffer and leaves the old one as it was.
 */
import type { BlockEncoding } from './block-encoding.ts';
import type { MemoryRegion } from './slab-memory.ts';

/**
 * The open columns of a head block.
 *
 *   region:  times: i64[capacity] | lineOffsets: u32[capacity] | bytes: u8[…]        `bytes` starts at 12 × capacity
 *
 * It is used for other heads once this object is collected: keep the object, not a copy, for as long as its memory is read.
 */
export interface HeadSnapshot {
  readonly region: MemoryRegion;
  /** Entries the two columns have room for: gives the place of `bytes`. */
  readonly capacity: number;
  readonly count: number;
  /** Bytes used in `bytes`. */
  readonly byteCount: number;
  /** Σ line lengths. */
  readonly lineBytes: number;
  /** Bounds in ns; meaningless while count is 0. */
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** False after an out-of-order append: readers sort by time (stable) and drop equal (time, line, metadata) neighbours. */
  readonly isSorted: boolean;
  /** Symbol numbers of all structured metadata, [name, value, name, value, …]; undefined while there is none. */
  readonly metadataRefs: Uint32Array | undefined;
  /** metadataEnds[i] = end in metadataRefs of entry i's numbers (its start is metadataEnds[i-1] or 0). */
  readonly metadataEnds: Uint32Array | undefined;
}

/** A cut, compressed part of a segment. Bounds are true bounds. */
export interface BlockData {
  /** Compressed bytes (over a SharedArrayBuffer while in memory). */
  readonly bytes: Uint8Array;
  readonly encoding: BlockEncoding;
  /** CRC-32C of `bytes`. */
  readonly checksum: number;
  readonly count: number;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** v3: Σ line lengths; v4: plus 8 per metadata pair. */
  readonly uncompressedSize: number;
  /** True if each entry is followed by a v4 metadata section. */
  readonly hasMetadataSections: boolean;
  /** See skip-filter.ts. Undefined where it is not worth its bytes. */
  readonly skipFilter?: Uint8Array | undefined;
}

/** Identity of a segment: an append-only list written by exactly one process incarnation. */
export interface SegmentId {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly counter: number;
}

/** Its name among all segments there ever were. */
export const segmentName = ({ nodeId, incarnation, counter }: SegmentId): string =>
  `${nodeId}/${incarnation}/${counter}`;

/** The id that has this name. */
export const segmentIdOf = (name: string): SegmentId | undefined => {
  const match = /^(.*)\/(\d+)\/(\d+)$/s.exec(name);
  return match ? { nodeId: match[1] ?? '', incarnation: Number(match[2]), counter: Number(match[3]) } : undefined;
};

/**
 * An unflushed segment that lies in the log only: what a process left that ended. It can be read for as long as this object is kept.
 */
export interface LoggedSegment {
  readonly id: SegmentId;
  /** Bounds in ns. */
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** In the log. */
  readonly bytes: number;
  /** Its entries, brought into memory. @throws RefusedError INTERNAL if some cannot be read: an answer without them would be silently short */
  load(): Promise<SegmentSnapshot>;
}

export type UnflushedSegment = SegmentSnapshot | LoggedSegment;

export const isLogged = (segment: UnflushedSegment): segment is LoggedSegment => 'load' in segment;

/** One unflushed segment of a stream as a query sees it: blocks, then heads being cut, then the open head, in append order. */
export interface SegmentSnapshot {
  readonly id: SegmentId;
  readonly blocks: readonly BlockData[];
  readonly heads: readonly HeadSnapshot[];
  /** Structured-metadata symbols of this segment's chunk; numbers in heads and block sections index it. */
  readonly symbols: readonly string[];
}
