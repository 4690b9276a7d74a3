import { type ChunkView, decodeChunk } from '../../chunk/chunk-object.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import { labelSetOf } from '../../protocol/label-text.ts';
import { withTenant } from '../query-tenants.ts';
import { type BlockChoice, chunkBlocks, segmentBlocks, withoutCopies } from './block-sources.ts';
import type { CompiledScan } from './compiled-scan.ts';
import { type BlockSource, groupBlocks } from './merge-blocks.ts';
import type { ChunkBytes, ScanCounts, ScanPlan, StreamSlice } from './scan-messages.ts';
import { unreadableChunk } from './unreadable-chunk.ts';

/** Chunks of a task that are decoded and checked. */
export type OpenChunks = Map<string, { readonly labels: LabelSet; readonly view: ChunkView }>;

/** Everything a slice has of one stream. */
export interface OpenStream {
  readonly labels: LabelSet;
  /** In time order; blocks that overlap together. */
  readonly groups: readonly (readonly BlockSource[])[];
}

/**
 * The blocks of a slice, by stream: chunks of one fingerprint may still have different labels. Streams that fail the matchers (an index
 * need not decide all of them) are left out. `baseNs`: what the blocks' times are relative to. `opened`: chunks by key, filled here; one chunk
 * may be in two slices.
 * @throws RefusedError INTERNAL naming the chunk that cannot be read: an answer is never silently short
 */
export const openSlice = (
  slice: StreamSlice,
  plan: ScanPlan,
  baseNs: bigint,
  { matches, mayPass }: Pick<CompiledScan, 'matches' | 'mayPass'>,
  counts: ScanCounts,
  opened: OpenChunks,
): OpenStream[] => {
  const streams = new Map<string, { labels: LabelSet; blocks: BlockSource[] }>();
  const blocksOf = (labels: LabelSet): BlockSource[] => {
    const known = streams.get(labels.canonical);
    if (known) return known.blocks;
    const made = { labels, blocks: [] };
    streams.set(labels.canonical, made);
    return made.blocks;
  };
  const choiceOf = (labels: LabelSet): BlockChoice => ({ range: slice, mayPass, baseNs, counts, labels });
  // Chunks were flushed before what is still in memory was written: they are the older sources.
  let source = 0;
  for (const chunk of slice.chunks) {
    const { labels, view } = opened.get(chunk.key) ?? openChunk(chunk, plan);
    opened.set(chunk.key, { labels, view });
    blocksOf(labels).push(...chunkBlocks({ key: chunk.key, view }, source, choiceOf(labels)));
    source += 1;
  }
  for (const { labels, segments } of slice.memory) {
    for (const segment of segments) {
      blocksOf(labels).push(...segmentBlocks(segment, source, choiceOf(labels)));
      source += 1;
    }
  }
  const wanted = [...streams.values()].filter(({ labels }) => matches(labels));
  return wanted.map(({ labels, blocks }) => ({
    labels: plan.namesTenant ? withTenant(labels, plan.tenant) : labels,
    groups: groupBlocks(withoutCopies(blocks, counts)),
  }));
};

/** A log query may need one block of many: it checks those it reads. What reads everything checks the object as a whole. */
const openChunk = (
  { key, bytes, checksum, isPart }: ChunkBytes,
  plan: ScanPlan,
): { labels: LabelSet; view: ChunkView } => {
  try {
    const view = decodeChunk(bytes, isPart || plan.scan.kind === 'log' ? {} : { checksum });
    if (view.tenant !== plan.tenant) throw new CorruptChunkError(`it belongs to the tenant ${view.tenant}`);
    return { labels: { ...labelSetOf(view.labels), fingerprint: view.fingerprint }, view };
  } catch (cause) {
    if (!(cause instanceof CorruptChunkError)) throw cause;
    throw unreadableChunk(key, cause.message, cause);
  }
};
