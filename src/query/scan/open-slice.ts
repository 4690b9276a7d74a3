import { type ChunkView, decodeChunk } from '../../chunk/chunk-object.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import { labelSetOf } from '../../protocol/label-text.ts';
import { withTenant } from '../query-tenants.ts';
import { type BlockChoice, chunkBlocks, segmentBlocks, withoutCopies } from './block-sources.ts';
import { ChunkFiles } from './chunk-files.ts';
import type { CompiledScan } from './compiled-scan.ts';
import { type BlockSource, groupBlocks } from './merge-blocks.ts';
import {
  type ChunkBytes,
  type ChunkSource,
  isChunkBytes,
  type ScanCounts,
  type ScanPlan,
  type StreamSlice,
} from './scan-messages.ts';
import { unreadableChunk } from './unreadable-chunk.ts';

interface OpenChunk {
  readonly labels: LabelSet;
  readonly view: ChunkView;
}

/** Chunks of a task that are decoded and checked. One may be in two slices. */
export class OpenChunks {
  readonly #inMemory = new Map<string, OpenChunk>();
  readonly #files = new ChunkFiles();

  /** @throws RefusedError INTERNAL naming the chunk that cannot be read */
  open(chunk: ChunkSource, plan: ScanPlan, wantsSkipFilters: boolean): OpenChunk {
    // The filters of a file that was opened earlier are gone.
    const known = this.#inMemory.get(chunk.key);
    if (known) return known;
    const opened = openChunk(chunk, plan, () =>
      isChunkBytes(chunk) ? viewOf(chunk, plan) : this.#files.open(chunk, wantsSkipFilters),
    );
    if (isChunkBytes(chunk)) this.#inMemory.set(chunk.key, opened);
    return opened;
  }

  /** Blocks of files cannot be read any more. */
  close(): void {
    this.#files.close();
  }
}

/** Everything a slice has of one stream. */
export interface OpenStream {
  readonly labels: LabelSet;
  /** In time order; blocks that overlap together. */
  readonly groups: readonly (readonly BlockSource[])[];
}

/**
 * The blocks of a slice, by stream: chunks of one fingerprint may still have different labels. Streams that fail the matchers (an index
 * need not decide all of them) are left out. `baseNs`: what the blocks' times are relative to.
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
    const { labels, view } = opened.open(chunk, plan, mayPass !== undefined);
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
const viewOf = ({ bytes, checksum, isPart }: ChunkBytes, plan: ScanPlan): ChunkView =>
  decodeChunk(bytes, isPart || plan.scan.kind === 'log' ? {} : { checksum });

const openChunk = ({ key }: ChunkSource, plan: ScanPlan, read: () => ChunkView): OpenChunk => {
  try {
    const view = read();
    if (view.tenant !== plan.tenant) throw new CorruptChunkError(`it belongs to the tenant ${view.tenant}`);
    return { labels: { ...labelSetOf(view.labels), fingerprint: view.fingerprint }, view };
  } catch (cause) {
    if (!(cause instanceof CorruptChunkError)) throw cause;
    throw unreadableChunk(key, cause.message, cause);
  }
};
