import { prepareCodec } from '../../chunk/block-codec.ts';
import { readBlockEntries } from '../../chunk/block-reader.ts';
import { crc32c } from '../../chunk/checksum.ts';
import type { ChunkView } from '../../chunk/chunk-object.ts';
import { decodeChunk, type EncodedChunk, encodeChunk } from '../../chunk/chunk-object.ts';
import { blockOf } from '../../chunk/cut-block.ts';
import type { BlockData } from '../../chunk/memory-format.ts';
import { labelSetOf } from '../../protocol/label-text.ts';
import { BlockColumns } from './block-columns.ts';
import { CompiledHidden, type DeletedEntries, type HiddenOfStream } from './hidden-entries.ts';

/** A chunk object of which entries are to be deleted. */
export interface RewriteTask {
  readonly kind: 'rewrite';
  /** Moved to the worker. */
  readonly bytes: Uint8Array;
  /** Of its key. */
  readonly checksum: number;
  readonly deletes: readonly DeletedEntries[];
  readonly level?: number;
}

export type RewrittenChunk =
  /** None of its entries is deleted. */
  | { readonly outcome: 'kept' }
  /** All are. */
  | { readonly outcome: 'dropped'; readonly lines: number }
  /** What is left, and how many are deleted. The same bytes whenever and wherever it is made of the same chunk and deletes. */
  | {
      readonly outcome: 'rewritten';
      readonly chunk: EncodedChunk;
      readonly labels: readonly string[];
      readonly lines: number;
    };

/**
 * Blocks without a deleted entry stay as they are; of the others the bytes of the entries that are left make a new one, in the chunk's own encoding, with its own
 * table of symbols.
 * @throws CorruptChunkError
 */
export const rewriteChunk = async (task: RewriteTask): Promise<RewrittenChunk> => {
  const view = decodeChunk(task.bytes, { checksum: task.checksum });
  const labels = { ...labelSetOf(view.labels), fingerprint: view.fingerprint };
  const hidden = new CompiledHidden({ deletes: task.deletes, retention: [] }).ofStream(labels);
  if (!hidden) return { outcome: 'kept' };
  await prepareCodec(view.encoding);
  const blocks: BlockData[] = [];
  const columns = new BlockColumns();
  const used = new Set<string>();
  let lines = 0;
  for (let index = 0; index < view.blocks.length; index += 1) {
    const before = view.blocks[index]!.count;
    const block = withoutHidden({ view, index, columns, used }, hidden, task.level);
    lines += before - (block?.count ?? 0);
    if (block) blocks.push(block);
  }
  if (lines === 0) return { outcome: 'kept' };
  if (blocks.length === 0) return { outcome: 'dropped', lines };
  const version = view.hasMetadataSections ? 4 : 3;
  const { tenant, fingerprint, encoding } = view;
  const chunk = encodeChunk({
    tenant,
    fingerprint,
    labels: view.labels,
    version,
    encoding,
    blocks,
    // Numbers stay as they are; texts that were deleted do not.
    symbols: view.symbols().map((text) => (used.has(text) ? text : '')),
  });
  return { outcome: 'rewritten', chunk, labels: view.labels, lines };
};

interface BlockRead {
  readonly view: ChunkView;
  readonly index: number;
  /** Filled with the block. */
  readonly columns: BlockColumns;
  /** Gets the texts of metadata that stay. */
  readonly used: Set<string>;
}

/** undefined if nothing is left of the block. */
const withoutHidden = (
  { view, index, columns, used }: BlockRead,
  hidden: HiddenOfStream,
  level: number | undefined,
): BlockData | undefined => {
  const meta = view.blocks[index]!;
  const plain = view.inflateBlock(index);
  const { hasMetadataSections, encoding } = view;
  columns.readInflated(plain, hasMetadataSections, view.symbols(), 0n);
  const { starts } = readBlockEntries(plain, hasMetadataSections, meta.count);
  const kept: number[] = [];
  for (let entry = 0; entry < columns.count; entry += 1) if (!hidden.isHidden(columns, entry)) kept.push(entry);
  const { timesNs, lineStarts, lineEnds } = columns;
  const [first, last] = [kept[0], kept.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  let uncompressedSize = 0;
  for (const entry of kept) {
    uncompressedSize += lineEnds[entry]! - lineStarts[entry]!;
    const metadata = columns.hasMetadata ? (columns.metadataOf(entry) ?? []) : [];
    uncompressedSize += BYTES_PER_METADATA_TEXT * metadata.length;
    for (const text of metadata) used.add(text);
  }
  // Loki's bounds may be narrower than the entries: these are true.
  const figures = { count: kept.length, minTime: timesNs[first]!, maxTime: timesNs[last]!, uncompressedSize };
  if (kept.length === columns.count) {
    const bytes = view.blockBytes(index);
    return {
      ...figures,
      bytes,
      encoding,
      checksum: crc32c(bytes),
      hasMetadataSections,
      skipFilter: view.skipFilter(index),
    };
  }
  const left = Buffer.concat(kept.map((entry) => plain.subarray(starts[entry]!, starts[entry + 1]!)));
  const form = { encoding, withMetadataSections: hasMetadataSections };
  return blockOf(left, figures, level === undefined ? form : { ...form, level });
};

/** A pair counts 8 bytes, whatever its texts are. */
const BYTES_PER_METADATA_TEXT = 4;
