import type { IndexCell, ShownCells } from './index-cells.ts';

/** One index entry as Loki lays it out (storage format, section 4): a row, a place in it, a value. */
export interface IndexEntry {
  readonly table: string;
  readonly hashValue: string;
  readonly rangeValue: string;
  /** A label value is kept byte for byte (lone surrogates for invalid UTF-8, see protocol/label-text.ts). */
  readonly value: string;
}

/** Where an entry is. */
export type IndexPlace = Pick<IndexEntry, 'table' | 'hashValue' | 'rangeValue'>;

/** One row's part to read: all places whose range value starts with `rangePrefix`, from `rangeStart` on. */
export interface IndexLookup {
  readonly table: string;
  readonly hashValue: string;
  readonly rangePrefix?: string;
  /** Inclusive lower bound of the range value. */
  readonly rangeStart?: string;
}

/** Looks at cells of a lookup's row, which are gone once it answers; true ends that lookup. */
export type VisitCells<Lookup> = (cells: ShownCells, lookup: Lookup) => boolean;

/** A row's cells, or some of them. */
export interface IndexRow {
  readonly hashValue: string;
  readonly cells: readonly IndexCell[];
}

/** Name of a segment among all there ever were: of `SegmentId`. No zero byte. */
export type SegmentName = string;

/** `tenant/fingerprint`, as the keys of its chunks begin. */
export type StreamName = string;

/** A segment, and the stream it is of: a store keeps what is committed of a stream together. */
export interface StreamSegment {
  readonly stream: StreamName;
  readonly segment: SegmentName;
}

export interface SegmentCommit extends StreamSegment {
  /** The chunk that the segment is in. */
  readonly chunkKey: string;
  /** Some of the chunk's rows may not have been written yet. */
  readonly isUnfinished: boolean;
  /** By the clock of who committed it; 0 if an earlier version did. */
  readonly committedMs: number;
  /** Another disk has or had the segment too, and may take it for unflushed. */
  readonly isShared: boolean;
}

/** Where index rows last: wide rows ordered by key, as in Bigtable. Writing an entry again replaces its value. */
export interface IndexStore {
  /** Resolves once all entries are durable. Atomic per call where the store can, idempotent everywhere. */
  write(entries: readonly IndexEntry[]): Promise<void>;
  /**
   * Makes a chunk visible, once for each segment: writes the entries, and that the segments are in the chunk, together. If any of them is in
   * one already (of an earlier attempt whose outcome was lost, or of another node) nothing is written.
   *
   * Where entries cannot be written together with that (Bigtable), the segments come first, with what is to be written: whoever then finds them committed,
   * by this call or by `committed`, is told so only after the entries are durable.
   * @param segments at least one, all of the stream that the key names
   * @param shared those of them that were on another disk too: it is noted with their commits
   * @returns which of them were committed before, and the keys of their chunks; empty: all are in this chunk now
   */
  commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>>;
  /** The key of the chunk that the segment is in, with all its rows; undefined if it was never committed, or that was forgotten. */
  committed(segment: StreamSegment): Promise<string | undefined>;
  /** All segments whose commit is not forgotten. Rows of one may be missing still: who relies on it asks `committed`. */
  commits(): AsyncIterable<SegmentCommit>;
  /**
   * Those of the chunks that some commit may still write rows of: whoever removes a chunk's rows leaves these alone for now, or rows without an object would be
   * left. Of commits that ended before their rows were written, those are written first.
   */
  unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>>;
  /** Nobody will ask for them again: no log has any of them. */
  forget(segments: readonly StreamSegment[]): Promise<void>;
  delete(entries: readonly IndexPlace[]): Promise<void>;
  /**
   * All rows of a table in the store's own order, some at a time in bounded memory, each with those of its cells whose range value ends with `rangeEnd` (ASCII);
   * a long row comes in several parts, one without such cells not at all. What is written or deleted meanwhile may be seen or not. Rows that the store keeps under a
   * hash of their hash value are left out: none of a chunk or of a day's series is so long.
   */
  rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]>;
  /**
   * Reads many rows, drawn as they are needed, and shows what they hold: of each the cells in order of range value, batch by batch, never so many that the
   * event loop is held for more than a few ms. Rejects with the first error, after which nothing more is read.
   */
  scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void>;
  /** Names of all tables that hold anything, if the store can tell cheaply: readers then skip days without a table. */
  tables?(): Promise<readonly string[]>;
  close(): Promise<void>;
}
