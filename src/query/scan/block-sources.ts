import { decompressBlock, releaseBlock } from '../../chunk/block-codec.ts';
import type { BlockEncoding } from '../../chunk/block-encoding.ts';
import { crc32c } from '../../chunk/checksum.ts';
import type { ChunkView } from '../../chunk/chunk-object.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import { headBytes } from '../../chunk/head-views.ts';
import type { BlockData, HeadSnapshot, SegmentSnapshot } from '../../chunk/memory-format.ts';
import type { SkipFilter } from '../../chunk/skip-section.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import type { TimeRangeNs } from '../../protocol/time-range.ts';
import type { BlockColumns } from './block-columns.ts';
import type { BlockSource } from './merge-blocks.ts';
import type { ScanCounts } from './scan-messages.ts';
import type { SkipStream, SkipTest } from './skip-test.ts';
import { unreadableChunk } from './unreadable-chunk.ts';

/** Plain bytes a block may have; ours have 256 KiB and a line more. */
const BLOCK_BYTES_MAX = 64 << 20;

/** Where compressed bytes lie: in memory or in a chunk. */
interface StoredBlock {
  readonly count: number;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  readonly size: number;
  readonly encoding: BlockEncoding;
  readonly hasMetadataSections: boolean;
  symbols(): readonly string[];
  /** CRC-32C of the compressed bytes. */
  checksum(): number;
  /** @throws CorruptChunkError if the checksum is wrong */
  inflate(): Buffer;
}

/** A compressed block, in memory or in a chunk. */
export class CompressedBlock implements BlockSource {
  readonly source: number;
  readonly minTime: number;
  readonly maxTime: number;
  readonly isLate: boolean;
  readonly block: StoredBlock;

  constructor(block: StoredBlock, isLate: boolean, source: number, baseNs: bigint) {
    this.block = block;
    this.isLate = isLate;
    this.source = source;
    this.minTime = Number(block.minTime - baseNs);
    this.maxTime = Number(block.maxTime - baseNs);
  }

  bytes(counts: ScanCounts): Buffer {
    const plain = this.block.inflate();
    counts.blocksInflated += 1;
    counts.compressedBytes += this.block.size;
    counts.decompressedBytes += plain.length;
    counts.decompressedLines += this.block.count;
    return plain;
  }

  read(entries: BlockColumns, bytes: Buffer, baseNs: bigint): void {
    const { hasMetadataSections } = this.block;
    entries.readInflated(bytes, hasMetadataSections, hasMetadataSections ? this.block.symbols() : [], baseNs);
  }

  release(bytes: Buffer): void {
    releaseBlock(bytes, this.block.encoding);
  }

  /** True if the two hold the same entries: a block that is flushed and still in memory has the same bytes in both. */
  isSameAs(other: CompressedBlock): boolean {
    const a = this.block;
    const b = other.block;
    if (a.count !== b.count || a.size !== b.size || a.minTime !== b.minTime || a.maxTime !== b.maxTime) return false;
    if (a.hasMetadataSections !== b.hasMetadataSections || a.checksum() !== b.checksum()) return false;
    return !a.hasMetadataSections || isPrefix(a.symbols(), b.symbols());
  }
}

/** Symbol tables only grow: the shorter one then means the same by each number. */
const isPrefix = (a: readonly string[], b: readonly string[]): boolean => {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) if (a[index] !== b[index]) return false;
  return true;
};

const memoryBlock = (block: BlockData, symbols: readonly string[]): StoredBlock => {
  const { bytes, encoding, checksum, count, minTime, maxTime, hasMetadataSections } = block;
  return {
    count,
    minTime,
    maxTime,
    size: bytes.length,
    encoding,
    hasMetadataSections,
    symbols: () => symbols,
    checksum: () => checksum,
    inflate: () => {
      if (crc32c(bytes) !== checksum) throw new CorruptChunkError('a block in memory has a wrong checksum');
      return decompressBlock(bytes, encoding, { maxBytes: BLOCK_BYTES_MAX, isVerified: true });
    },
  };
};

/** A chunk by its key, for the error that names it. */
export interface OpenChunk {
  readonly key: string;
  readonly view: ChunkView;
}

/** @throws RefusedError INTERNAL that names the chunk, for what of it is damaged */
const naming = <T>(key: string, read: () => T): T => {
  try {
    return read();
  } catch (cause) {
    throw cause instanceof CorruptChunkError ? unreadableChunk(key, cause.message, cause) : cause;
  }
};

const chunkBlock = ({ key, view }: OpenChunk, index: number): StoredBlock => {
  // Each by name: copied with `...` the object took 5 µs, its shape being looked up member by member.
  const { count, minTime, maxTime, size } = view.blocks[index]!;
  const { encoding, hasMetadataSections } = view;
  return {
    count,
    minTime,
    maxTime,
    size,
    encoding,
    hasMetadataSections,
    symbols: () => naming(key, () => view.symbols()),
    checksum: () => naming(key, () => crc32c(view.blockBytes(index))),
    inflate: () => naming(key, () => view.inflateBlock(index)),
  };
};

/** The open columns of a segment. */
export class HeadBlock implements BlockSource {
  readonly source: number;
  readonly minTime: number;
  readonly maxTime: number;
  readonly isLate: boolean;
  readonly #head: HeadSnapshot;
  readonly #symbols: readonly string[];

  constructor(head: HeadSnapshot, symbols: readonly string[], isLate: boolean, source: number, baseNs: bigint) {
    this.#head = head;
    this.isLate = isLate;
    this.#symbols = symbols;
    this.source = source;
    this.minTime = Number(head.minTime - baseNs);
    this.maxTime = Number(head.maxTime - baseNs);
  }

  bytes(counts: ScanCounts): Buffer {
    const { count, lineBytes } = this.#head;
    counts.headBytes += lineBytes;
    counts.headLines += count;
    return headBytes(this.#head);
  }

  read(entries: BlockColumns, _bytes: Buffer, baseNs: bigint, counts: ScanCounts): void {
    counts.duplicates += entries.readHead(this.#head, this.#symbols, baseNs);
  }

  /** The memory is the head's. */
  release(): void {}
}

/** Which blocks are worth opening. */
export interface BlockChoice {
  readonly range: TimeRangeNs;
  /** undefined: whatever they hold. */
  readonly mayPass: SkipTest | undefined;
  readonly labels: LabelSet;
  /** What times are relative to. */
  readonly baseNs: bigint;
  /** Gets those that `mayPass` rules out. */
  readonly counts: ScanCounts;
}

const mayHave = (skipFilter: SkipFilter, { mayPass, counts }: BlockChoice, stream: SkipStream): boolean => {
  if (!mayPass || !skipFilter || mayPass(skipFilter, stream)) return true;
  counts.blocksSkipped += 1;
  return false;
};

/** The blocks and heads of a segment that may hold entries in the range. */
export const segmentBlocks = (
  { blocks, heads, symbols }: SegmentSnapshot,
  source: number,
  choice: BlockChoice,
): BlockSource[] => {
  const { range, baseNs } = choice;
  const wanted: BlockSource[] = [];
  const order = new AppendOrder();
  let names: ReadonlySet<string> | undefined;
  const mayHaveMetadata = (name: string): boolean => {
    names ??= new Set(symbols);
    return names.has(name);
  };
  const stream: SkipStream = { labels: choice.labels.pairs, mayHaveMetadata };
  for (const block of blocks) {
    const isLate = order.isLate(block);
    if (!isWanted(block, range) || !mayHave(block.skipFilter, choice, stream)) continue;
    wanted.push(new CompressedBlock(memoryBlock(block, symbols), isLate, source, baseNs));
  }
  for (const head of heads) {
    const isLate = order.isLate(head);
    if (isWanted(head, range)) wanted.push(new HeadBlock(head, symbols, isLate, source, baseNs));
  }
  return wanted;
};

/** The blocks of a chunk that may hold entries in the range. */
export const chunkBlocks = (chunk: OpenChunk, source: number, choice: BlockChoice): BlockSource[] => {
  const { range, baseNs } = choice;
  const wanted: BlockSource[] = [];
  const order = new AppendOrder();
  const { key, view } = chunk;
  const mayHaveMetadata = (name: string): boolean => naming(key, () => view.mayHaveMetadata(name));
  const stream: SkipStream = { labels: choice.labels.pairs, mayHaveMetadata };
  for (const [index, block] of view.blocks.entries()) {
    const isLate = order.isLate(block);
    if (!isWanted(block, range) || !mayHave(view.skipFilter(index), choice, stream)) continue;
    wanted.push(new CompressedBlock(chunkBlock(chunk, index), isLate, source, baseNs));
  }
  return wanted;
};

interface Extent {
  readonly count: number;
  readonly minTime: bigint;
  readonly maxTime: bigint;
}

/** Is asked about all blocks of a source, in the order they were appended. */
class AppendOrder {
  #newest: bigint | undefined;

  isLate({ count, minTime, maxTime }: Extent): boolean {
    if (count === 0) return false;
    const before = this.#newest ?? minTime;
    this.#newest = maxTime > before ? maxTime : before;
    return minTime < before;
  }
}

export const isWanted = ({ count, minTime, maxTime }: Extent, { startNs, endNs }: TimeRangeNs): boolean =>
  count > 0 && minTime <= endNs && maxTime >= startNs;

/** Without blocks that came twice, from memory and from the store; `counts.duplicates` gets their entries. */
export const withoutCopies = (blocks: readonly BlockSource[], counts: ScanCounts): BlockSource[] => {
  const seen = new Map<number, CompressedBlock[]>();
  return blocks.filter((block) => {
    if (!(block instanceof CompressedBlock)) return true;
    const alike = seen.get(block.minTime);
    if (alike?.some((one) => one.source !== block.source && one.isSameAs(block))) {
      counts.duplicates += block.block.count;
      return false;
    }
    if (alike) alike.push(block);
    else seen.set(block.minTime, [block]);
    return true;
  });
};
