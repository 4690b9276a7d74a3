export interface EncodeOptions {
  /** v4 chunks: a metadata section after each line. v3 chunks leave structured metadata out. */
  readonly withMetadataSections: boolean;
}

export interface EncodedHead {
  /** Block content, entry after entry. Borrowed: holds until the next call in this thread. */
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** Σ line lengths; with metadata sections plus 8 per pair. */
  readonly uncompressedSize: number;
}
