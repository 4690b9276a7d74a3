import type { HeadMemorySource } from './head-memory.ts';

export interface SegmentLimits {
  /** Line bytes after which the head becomes a block (`chunk_block_size`). */
  readonly blockSize: number;
  /** Compressed bytes and metadata texts of a full segment (`chunk_target_size`); 0 = BLOCKS_PER_CHUNK blocks. */
  readonly targetSize: number;
  /** Where heads get their memory; without it each takes its own. */
  readonly memory?: HeadMemorySource;
}

/** What Loki puts into a chunk when no target size is set. */
export const BLOCKS_PER_CHUNK = 10;
