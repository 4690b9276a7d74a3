import type { EntryMetadata } from './entry-metadata.ts';

/**
 * Entries as columns, in the order they were pushed. One push body decodes into one EntryColumns that all of its streams share;
 * each stream is a range of it. No object per entry, no line decoded to text.
 *
 *   bytes        … | uvarint length | line | …gap… | uvarint length | line | …
 *   lineOffsets      ^ [0]                           ^ [1]
 *   times            ns of entry 0                   ns of entry 1
 *
 * Between two lines there may be anything (protobuf tags and timestamps of the wire), so that a push is never re-encoded: a
 * stream's run of entries is copied into its head block in one piece.
 */
export interface EntryColumns {
  readonly bytes: Uint8Array;
  /** Offset in `bytes` of the uvarint length in front of line i. Ascending. */
  readonly lineOffsets: Uint32Array;
  /** Nanoseconds since the epoch. Hot loops read it through Int32/Uint32 views (low word first). */
  readonly times: BigInt64Array;
  /** Structured metadata, if an entry may have any. */
  readonly metadata: EntryMetadata | undefined;
}

/** Entries [first, end) of `columns`: what one push has for one stream. */
export interface EntryRange {
  readonly columns: EntryColumns;
  readonly first: number;
  readonly end: number;
  /** Σ line lengths, where whoever made the range knows it: saves the next one a pass. */
  readonly lineBytes?: number;
}

/** One stream of a decoded push. */
export interface PushedStream extends EntryRange {
  /** The label-set text as it was sent (JSON pushes: the canonical text built from the object). Borrowed from the body. */
  readonly labelText: Uint8Array;
}
