/** What a querier reads from: the actors' memory and the store. Memory is always asked before the store (a flush in between then shows twice, never not at all; the merge drops the second). */
import type { UnflushedSegment } from '../chunk/memory-format.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import type { IndexReader } from '../storage/index-reader.ts';
import type { TailListener } from './tail-listener.ts';

export interface MemoryStream {
  readonly labels: LabelSet;
  /** Oldest first; only segments that overlap the range. */
  readonly segments: readonly UnflushedSegment[];
}

/** The unflushed part: the stream actors of this node, or of all nodes of a cluster. */
export interface MemorySource {
  /**
   * Streams of the tenant that pass all matchers and hold entries in the range. Yields to the event loop every few ms. What is loaded later can be
   * until `signal` is aborted. `onMissing`: what cannot be asked is told there, and left out; otherwise it refuses.
   */
  select(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    signal: AbortSignal,
    onMissing?: (reason: string) => void,
  ): Promise<readonly MemoryStream[]>;
  /** Live entries for tail: told after each append to a matching stream until the returned cancel. */
  subscribe(tenant: string, matchers: readonly LabelMatcher[], listener: TailListener): () => void;
}

export interface StoredSource {
  readonly index: IndexReader;
  readonly chunks: ChunkReader;
}

export interface QuerySources {
  readonly memory: MemorySource;
  readonly stored: StoredSource;
}
