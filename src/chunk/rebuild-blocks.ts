import { decompressBlock } from './block-codec.ts';
import { BlockCursor } from './block-reader.ts';
import { crc32c } from './checksum.ts';
import { type BlockForm, blockOf } from './cut-block.ts';
import type { BlockData } from './memory-format.ts';
import { orderByTime } from './time-order.ts';
import { int64 } from './varint.ts';

export interface RebuildOptions extends BlockForm {
  /** Line bytes after which a new block starts. */
  readonly blockSize: number;
  /** Σ plain bytes of the blocks merged at once. */
  readonly maxBytes: number;
  /** Where blocks of another segment begin, which may repeat entries of those before; 0 = nowhere. */
  readonly joint?: number;
}

/** True if the blocks make a valid chunk as they are: ascending in time, not overlapping, not even touching at a joint. */
export const areBlocksAscending = (blocks: readonly BlockData[], joint = 0): boolean =>
  blocks.every((block, index) => {
    if (index === 0) return true;
    const { maxTime } = blocks[index - 1]!;
    return index === joint ? block.minTime > maxTime : block.minTime >= maxTime;
  });

/**
 * Makes blocks of a segment (in append order) valid for a chunk: what overlaps in time is inflated, merged by time (equal times keep
 * append order), freed of exact duplicates and cut again; so is what touches across a joint. The other blocks stay as they are. Loki trusts the order of blocks and loses
 * lines where it is wrong. @throws CorruptChunkError
 */
export const rebuildBlocks = (blocks: readonly BlockData[], options: RebuildOptions): readonly BlockData[] => {
  const { joint = 0 } = options;
  if (areBlocksAscending(blocks, joint)) return blocks;
  const rebuilt: BlockData[] = [];
  for (const group of overlapGroups(blocks, joint)) {
    if (group.length === 1) rebuilt.push(group[0]!);
    else rebuilt.push(...mergeBlocks(group, options));
  }
  return rebuilt;
};

/** Groups in time order, not overlapping each other; blocks of a group in append order. */
const overlapGroups = (blocks: readonly BlockData[], joint: number): BlockData[][] => {
  const numbers = blocks.map((_, index) => index);
  numbers.sort((a, b) => {
    const left = blocks[a]!.minTime;
    const right = blocks[b]!.minTime;
    return left === right ? a - b : left < right ? -1 : 1;
  });
  const shared = new Set([...lateBorders(blocks), ...jointBorders(blocks, joint)]);
  const groups: number[][] = [];
  let end: bigint | undefined;
  for (const number of numbers) {
    const block = blocks[number]!;
    // Touching blocks may stay apart only in append order, or lines of equal time would change places.
    const group = groups.at(-1);
    const mayTouch = block.minTime === end && !shared.has(block.minTime) && number > Math.max(...group!);
    const isApart = end === undefined || block.minTime > end || mayTouch;
    if (isApart) groups.push([number]);
    else group!.push(number);
    if (end === undefined || block.maxTime > end) end = block.maxTime;
  }
  return groups.map((group) => group.sort((a, b) => a - b).map((number) => blocks[number]!));
};

/** Bounds of blocks that came late: entries at these times may be in the blocks they touch as well. */
const lateBorders = (blocks: readonly BlockData[]): ReadonlySet<bigint> => {
  const borders = new Set<bigint>();
  let newest: bigint | undefined;
  for (const { minTime, maxTime } of blocks) {
    if (newest !== undefined && minTime < newest) borders.add(minTime).add(maxTime);
    if (newest === undefined || maxTime > newest) newest = maxTime;
  }
  return borders;
};

/** Bounds at which blocks of both sides of the joint lie. */
const jointBorders = (blocks: readonly BlockData[], joint: number): readonly bigint[] => {
  const before = new Set(blocks.slice(0, joint).flatMap(({ minTime, maxTime }) => [minTime, maxTime]));
  return blocks.slice(joint).flatMap(({ minTime, maxTime }) => [minTime, maxTime].filter((time) => before.has(time)));
};

/** Entries of several blocks as columns over one buffer of their plain contents. */
interface MergedEntries {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly timeWords: Int32Array;
  /** Bounds of the whole entry, of the line, and the metadata pairs in it. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  readonly lineSizes: Uint32Array;
  readonly pairCounts: Uint32Array;
}

const mergeBlocks = (blocks: readonly BlockData[], options: RebuildOptions): BlockData[] => {
  const entries = readAll(blocks, options.maxBytes);
  const cutter = new EntryCutter(entries, options);
  for (const index of orderByTime(entries.timeWords, entries.count)) cutter.add(index);
  return cutter.finish();
};

const readAll = (blocks: readonly BlockData[], maxBytes: number): MergedEntries => {
  let room = maxBytes;
  const contents = blocks.map((block) => {
    const plain = decompressBlock(block.bytes, block.encoding, { maxBytes: room, isVerified: false });
    room -= plain.length;
    return plain;
  });
  const bytes = Buffer.concat(contents);
  const total = blocks.reduce((sum, block) => sum + block.count, 0);
  const column = () => new Uint32Array(total);
  const [starts, ends, lineSizes, pairCounts] = [column(), column(), column(), column()] as const;
  const timeWords = new Int32Array(2 * total);
  let count = 0;
  let base = 0;
  for (const [index, content] of contents.entries()) {
    const { hasMetadataSections } = blocks[index]!;
    const cursor = new BlockCursor(content, hasMetadataSections);
    while (count < total && cursor.next()) {
      timeWords[2 * count] = cursor.timeLow;
      timeWords[2 * count + 1] = cursor.timeHigh;
      starts[count] = base + cursor.entryStart;
      ends[count] = base + cursor.entryEnd;
      lineSizes[count] = cursor.lineEnd - cursor.lineStart;
      if (hasMetadataSections) pairCounts[count] = cursor.metadataRefs().length / 2;
      count += 1;
    }
    base += content.length;
  }
  return { bytes, count, timeWords, starts, ends, lineSizes, pairCounts };
};

/** Entries looked at behind one checksum, as in head-block.ts: lines can be made that share it. */
const CANDIDATES_MAX = 8;

/** Takes entries in time order, drops duplicates, cuts blocks. */
class EntryCutter {
  readonly #entries: MergedEntries;
  readonly #options: RebuildOptions;
  readonly #blocks: BlockData[] = [];
  readonly #plain: Uint8Array;
  /** Checksum → entries of the current time. */
  readonly #atThisTime = new Map<number, number[]>();
  #previous = -1;
  #first = -1;
  #size = 0;
  #count = 0;
  #lineBytes = 0;
  #pairs = 0;

  constructor(entries: MergedEntries, options: RebuildOptions) {
    this.#entries = entries;
    this.#options = options;
    this.#plain = new Uint8Array(entries.bytes.length);
  }

  add(index: number): void {
    if (this.#isDuplicate(index)) return;
    const { bytes, starts, ends, lineSizes, pairCounts } = this.#entries;
    if (this.#count === 0) this.#first = index;
    this.#plain.set(bytes.subarray(starts[index]!, ends[index]!), this.#size);
    this.#size += ends[index]! - starts[index]!;
    this.#count += 1;
    this.#lineBytes += lineSizes[index]!;
    this.#pairs += pairCounts[index]!;
    this.#previous = index;
    if (this.#lineBytes >= this.#options.blockSize) this.#cut();
  }

  finish(): BlockData[] {
    if (this.#count > 0) this.#cut();
    return this.#blocks;
  }

  #cut(): void {
    const figures = {
      count: this.#count,
      minTime: this.#timeOf(this.#first),
      maxTime: this.#timeOf(this.#previous),
      uncompressedSize: this.#lineBytes + 8 * this.#pairs,
    };
    this.#blocks.push(blockOf(this.#plain.subarray(0, this.#size), figures, this.#options));
    this.#size = 0;
    this.#count = 0;
    this.#lineBytes = 0;
    this.#pairs = 0;
  }

  #timeOf(index: number): bigint {
    const { timeWords } = this.#entries;
    return int64(timeWords[2 * index]!, timeWords[2 * index + 1]!);
  }

  /** Entries are equal if all their bytes are: time, line and (in one symbol table) metadata. */
  #isDuplicate(index: number): boolean {
    const { timeWords: words, bytes, starts, ends } = this.#entries;
    const previous = this.#previous;
    const isNewTime =
      previous < 0 || words[2 * index] !== words[2 * previous] || words[2 * index + 1] !== words[2 * previous + 1];
    if (isNewTime) this.#atThisTime.clear();
    const entry = bytes.subarray(starts[index]!, ends[index]!);
    const checksum = crc32c(entry);
    const alike = this.#atThisTime.get(checksum);
    if (!alike) {
      this.#atThisTime.set(checksum, [index]);
      return false;
    }
    if (alike.some((other) => Buffer.compare(bytes.subarray(starts[other]!, ends[other]!), entry) === 0)) return true;
    if (alike.length < CANDIDATES_MAX) alike.push(index);
    return false;
  }
}
