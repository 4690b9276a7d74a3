/** Block encodings by their byte in the chunk header (docs/chunk-format.md; Loki's storage format 2.3). */
export const BLOCK_ENCODINGS = [
  'none',
  'gzip',
  'dumb',
  'lz4-64k',
  'snappy',
  'lz4-256k',
  'lz4-1M',
  'lz4',
  'flate',
  'zstd',
] as const;

export type BlockEncoding = (typeof BLOCK_ENCODINGS)[number];
