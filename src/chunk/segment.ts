import type { EntryColumns, EntryRange } from '../protocol/entry-columns.ts';
import type { BorderEntries } from './border-entries.ts';
import type { HeadBlock, LastEntry } from './head-block.ts';
import { type HeadMemorySource, UNSHARED_HEAD_MEMORY } from './head-memory.ts';
import { type HeadRoom, lesserRoom, newHead, roomFor } from './head-room.ts';
import { isSameEntry } from './last-entry.ts';
import { lineLengthAt } from './line-bounds.ts';
import type { BlockData, HeadSnapshot, SegmentId, SegmentSnapshot } from './memory-format.ts';
import { BLOCKS_PER_CHUNK, type SegmentLimits } from './segment-limits.ts';
import { SymbolTable } from './symbol-table.ts';
import { timeWordsOf } from './time-words.ts';

export interface SegmentAppend {
  /** The first entry that was not looked at: `end` of the range, or the one that starts the next segment. */
  readonly next: number;
  readonly accepted: number;
  readonly duplicates: number;
  /** Σ line lengths of the accepted. */
  readonly acceptedBytes: number;
  /** True if entry `next` does not fit any more: flush this segment (`full`) and go on with a new one. */
  readonly isFull: boolean;
}

/** A head on its way to become a block. Compress it, then call `headCut` with the same number (or `cutFailed`). */
export interface HeadCut {
  readonly number: number;
  readonly head: HeadSnapshot;
}

interface Cut extends HeadCut {
  readonly memoryBytes: number;
  isTaken: boolean;
  block: BlockData | undefined;
}

/** Entries up to `end` go into the open head in one go. */
interface Plan {
  readonly end: number;
  readonly lineBytes: number;
  /** The one at `end` needs another segment. */
  readonly isFull: boolean;
}

/** Guess for heads on their way before this segment has seen a block: log text under gzip is rather smaller. */
const COMPRESSION_GUESS = 1 / 6;
/**
 * Plain bytes of a full segment, whatever they compress to: blocks that overlap are inflated together before they are stored (at most
 * 512 MiB), and lines that are much alike take a thousandth compressed.
 */
const PLAIN_BYTES_MAX = 256 << 20;
/** A time, a length, a metadata section. */
const ENTRY_SIZE_GUESS = 16;
const NO_SYMBOLS = new SymbolTable();

/**
 * The unflushed part of a stream that will be one chunk. Mutable, owned by the stream's state; no clock, no I/O. The caller decides by
 * age and idleness from `minTime`, `maxTime` and its own clock.
 *
 *   append ─► open head ──full or cutHead()──► cuts being compressed ──headCut()──► blocks, in append order
 */
export class Segment {
  readonly id: SegmentId;
  readonly #limits: SegmentLimits;
  #blocks: BlockData[] = [];
  #cuts: Cut[] = [];
  #head: HeadBlock | undefined = undefined;
  #symbols: SymbolTable | undefined = undefined;
  #last: LastEntry | undefined;
  /** Of the closed heads; what repeats it is dropped. */
  #border: BorderEntries | undefined = undefined;
  #room: HeadRoom | undefined;
  #nextNumber = 0;
  /** Plain bytes that others bring into the same chunk. */
  #reservedBytes = 0;
  #isOverlapping = false;
  #sealedMin: bigint | undefined = undefined;
  #sealedMax: bigint | undefined = undefined;
  /** Compressed bytes of a plain one, in the newest block. */
  compressionRatio = COMPRESSION_GUESS;
  count = 0;
  /** Σ line lengths, everything included. */
  lineBytes = 0;
  /** Σ bytes of finished blocks. */
  compressedBytes = 0;
  /** Σ bytes of their skip filters. */
  #filterBytes = 0;

  /** `last` and `room`: `lastEntry` and `headRoom` of the stream's previous segment. */
  constructor(id: SegmentId, limits: SegmentLimits, last?: LastEntry, room?: HeadRoom) {
    this.id = id;
    this.#limits = limits;
    this.#last = last;
    this.#room = room;
  }

  get #memory(): HeadMemorySource {
    return this.#limits.memory ?? UNSHARED_HEAD_MEMORY;
  }

  get headRoom(): HeadRoom | undefined {
    return this.#room;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** Everything is in blocks: it can be encoded as a chunk. */
  get isAllCut(): boolean {
    // A head is left empty when it found no memory to grow.
    return this.#cuts.length === 0 && (this.#head === undefined || this.#head.count === 0);
  }

  /** Blocks overlap in time (late entries): they must be rebuilt before they make a valid chunk. */
  get isOverlapping(): boolean {
    return this.#isOverlapping;
  }

  get headLineBytes(): number {
    return this.#head?.lineBytes ?? 0;
  }

  /** Heads that wait for or undergo compression. */
  get cutsInFlight(): number {
    return this.#cuts.length;
  }

  /** Finished blocks, oldest first. */
  get blocks(): readonly BlockData[] {
    return this.#blocks;
  }

  get symbols(): readonly string[] {
    return this.#symbols?.texts ?? NO_SYMBOLS.texts;
  }

  /** Bounds in ns; undefined while empty. */
  get minTime(): bigint | undefined {
    const head = this.#head?.minTime;
    if (head === undefined || this.#sealedMin === undefined) return head ?? this.#sealedMin;
    return head < this.#sealedMin ? head : this.#sealedMin;
  }

  get maxTime(): bigint | undefined {
    const head = this.#head?.maxTime;
    if (head === undefined || this.#sealedMax === undefined) return head ?? this.#sealedMax;
    return head > this.#sealedMax ? head : this.#sealedMax;
  }

  /** Estimate of what it will take in a chunk. */
  get chunkBytes(): number {
    return this.compressedBytes + this.#cutBytes + this.headLineBytes * this.compressionRatio + this.#symbolSize;
  }

  /** Memory of the open head. */
  get headMemoryBytes(): number {
    return this.#head?.memoryBytes ?? 0;
  }

  /** Bytes of columns, blocks and symbols. */
  get memoryBytes(): number {
    const cuts = this.#cuts.reduce((sum, cut) => sum + cut.memoryBytes, 0);
    const blocks = this.compressedBytes + this.#filterBytes;
    return blocks + cuts + this.headMemoryBytes + this.symbolBytes + (this.#border?.memoryBytes ?? 0);
  }

  /** Heap of the texts of structured metadata: kept until the segment is stored, however its heads are cut. */
  get symbolBytes(): number {
    return this.#symbols?.memoryBytes ?? 0;
  }

  /** The entry taken last, for the stream's next segment. */
  get lastEntry(): LastEntry | undefined {
    return this.#head?.lastEntry() ?? this.#last;
  }

  /** Others will be in its chunk: it is full by so many plain bytes earlier. `ratio`: for as long as it has no block of its own. */
  reserve(plainBytes: number, ratio: number): void {
    this.#reservedBytes = plainBytes;
    if (this.#blocks.length === 0) this.compressionRatio = ratio;
  }

  /** Metadata is numbered on from these, so that its blocks can share a chunk with those of another segment. Before anything is appended. */
  useSymbols(texts: readonly string[]): void {
    const symbols = new SymbolTable();
    for (const text of texts) symbols.numberOf(text);
    this.#symbols = symbols;
  }

  /**
   * Appends entries of the range from its first on, until its end or until the segment is full. A head that gets full on the way becomes a
   * cut (see `nextCut`) and the rest goes into a new head. An empty segment takes at least one entry, however long.
   */
  append(range: EntryRange): SegmentAppend {
    const { columns, end } = range;
    if (columns.metadata) this.#symbols ??= new SymbolTable();
    const countBefore = this.count;
    const bytesBefore = this.lineBytes;
    let next = range.first;
    let duplicates = 0;
    let isFull = false;
    while (next < end && !isFull) {
      const repeated = this.#repeatedFrom(columns, next, end);
      duplicates += repeated;
      next += repeated;
      const plan = this.#planWithoutRepeats(
        columns,
        next,
        this.#planWhole(range, next) ?? this.#plan(columns, next, end),
      );
      isFull = plan.isFull;
      if (plan.end > next) duplicates += this.#appendToHead(columns, next, plan.end, plan.lineBytes);
      next = plan.end;
    }
    const accepted = this.count - countBefore;
    return { next, accepted, duplicates, acceptedBytes: this.lineBytes - bytesBefore, isFull };
  }

  /** A full head that waits for compression, oldest first. */
  nextCut(): HeadCut | undefined {
    const cut = this.#cuts.find((one) => !one.isTaken);
    if (cut) cut.isTaken = true;
    return cut;
  }

  /**
   * Like nextCut, but closes the open head if no full one waits: for a flush. If that held less than the full one before it, so does the room for
   * the next one: a stream that had much to say once would take memory with each of its segments from then on.
   */
  cutHead(): HeadCut | undefined {
    if (!this.#cuts.some((cut) => !cut.isTaken)) {
      this.#room = lesserRoom(this.#room, this.#head);
      this.#closeHead();
    }
    return this.nextCut();
  }

  /**
   * As cutHead, to save memory by a smaller block: the next head begins small. Were it as large at once, as many streams as have memory would
   * take it from each other with every entry (measured: a cut for nearly each append of 0.7 KB, where heads have 6 KB each).
   */
  cutHeadEarly(): HeadCut | undefined {
    this.#room = undefined;
    return this.cutHead();
  }

  /** The block made of a head that was handed out. Blocks may come in any order; they are installed in append order. */
  headCut(number: number, block: BlockData): void {
    const done = this.#cuts.find((cut) => cut.number === number);
    if (!done) throw new Error(`no cut ${number} in flight`);
    done.block = block;
    this.compressionRatio = block.bytes.length / Math.max(1, done.head.lineBytes);
    while (this.#cuts[0]?.block) {
      const { block: next, head } = this.#cuts.shift()!;
      this.#install(next!);
      // Last: whatever becomes of the memory, the block is there.
      this.#memory.give(head.region);
    }
  }

  #install(block: BlockData): void {
    if (block.count === 0) return;
    const previous = this.#blocks.at(-1);
    if (previous && block.minTime < previous.maxTime) this.#isOverlapping = true;
    this.#blocks.push(block);
    this.compressedBytes += block.bytes.length;
    this.#filterBytes += block.skipFilter?.length ?? 0;
  }

  /** The compression of this head failed: it is handed out again. */
  cutFailed(number: number): void {
    const failed = this.#cuts.find((cut) => cut.number === number);
    if (failed) failed.isTaken = false;
  }

  /** Keeps its bounds and its last entry only: everything else is somewhere else. Everything must be cut; whoever has its blocks keeps them. */
  dropBlocks(): void {
    this.#blocks = [];
    this.#symbols = undefined;
    this.#border = undefined;
    this.compressedBytes = 0;
    this.#filterBytes = 0;
  }

  /** Gives back the memory of its heads. Nobody appends to it or cuts it any more; snapshots stay as they are. */
  discard(): void {
    for (const { head } of this.#cuts.splice(0)) this.#memory.give(head.region);
    if (this.#head) this.#memory.give(this.#head.snapshot().region);
    this.#head = undefined;
  }

  /** The whole segment as queries see it: no copy of data, stable whatever is appended later. */
  snapshot(): SegmentSnapshot {
    const heads = this.#cuts.map(({ head }) => ({ ...head }));
    if (this.#head && this.#head.count > 0) heads.push(this.#head.snapshot());
    for (const head of heads) this.#memory.lend(head.region, head);
    return { id: this.id, blocks: [...this.#blocks], heads, symbols: this.symbols };
  }

  /** The usual case: a whole range of known size that neither fills the head nor the segment. */
  #planWhole({ first, end, lineBytes }: EntryRange, next: number): Plan | undefined {
    if (lineBytes === undefined || next > first) return undefined;
    const headBytes = this.headLineBytes + lineBytes;
    const isRoom = headBytes < this.#limits.blockSize && headBytes < this.#roomLeft();
    return isRoom ? { end, lineBytes, isFull: false } : undefined;
  }

  /** How many entries from `first` on go into the open head in one go. */
  #plan(columns: EntryColumns, first: number, end: number): Plan {
    const { bytes, lineOffsets } = columns;
    const headBytes = this.headLineBytes;
    const untilCut = this.#limits.blockSize - headBytes;
    const untilFull = this.#roomLeft() - headBytes;
    let lineBytes = 0;
    for (let index = first; index < end; index += 1) {
      const length = lineLengthAt(bytes, lineOffsets[index]!);
      if (lineBytes + length >= untilFull && (index > first || this.count > 0)) {
        return { end: index, lineBytes, isFull: true };
      }
      lineBytes += length;
      if (lineBytes >= untilCut) return { end: index + 1, lineBytes, isFull: false };
    }
    return { end, lineBytes, isFull: false };
  }

  /** Bytes until full, not counting the open head. */
  #roomLeft(): number {
    const { targetSize, blockSize } = this.#limits;
    const reserved = this.#reservedBytes;
    if (targetSize === 0) {
      const blocks = this.#blocks.length + this.#cuts.length + Math.floor(reserved / blockSize);
      return blocks >= BLOCKS_PER_CHUNK ? 0 : Number.POSITIVE_INFINITY;
    }
    const used = this.compressedBytes + this.#cutBytes + this.#symbolSize + reserved * this.compressionRatio;
    const plainLeft = PLAIN_BYTES_MAX - this.lineBytes - ENTRY_SIZE_GUESS * this.count - reserved;
    return Math.min(targetSize - used, plainLeft + this.headLineBytes);
  }

  /** Of heads on their way to become blocks, compressed. */
  get #cutBytes(): number {
    return this.#cuts.reduce(
      (sum, { head, block }) => sum + (block?.bytes.length ?? head.lineBytes * this.compressionRatio),
      0,
    );
  }

  get #symbolSize(): number {
    return this.#symbols?.textSize ?? 0;
  }

  /** Gives the number of duplicates. */
  #appendToHead(columns: EntryColumns, first: number, end: number, lineBytes: number): number {
    const { bytes, lineOffsets, metadata } = columns;
    this.#head ??= newHead(this.#memory, this.#room, bytes, lineOffsets, first, end);
    const run = { bytes, lineOffsets, timeWords: timeWordsOf(columns), metadata, first, end, lineBytes };
    const counts = this.#head.append(run, this.#symbols ?? NO_SYMBOLS);
    this.count += counts.accepted;
    this.lineBytes += counts.acceptedBytes;
    if (this.#head.lineBytes >= this.#limits.blockSize) {
      this.#room = roomFor(this.#head);
      this.#closeHead();
    }
    return counts.duplicates;
  }

  /** The plan up to the first entry that is no news. */
  #planWithoutRepeats(columns: EntryColumns, first: number, plan: Plan): Plan {
    const border = this.#border;
    if (!border) return plan;
    const words = timeWordsOf(columns);
    const { timeLow, timeHigh } = border;
    for (let index = first; index < plan.end; index += 1) {
      if (words[2 * index] !== timeLow || words[2 * index + 1] !== timeHigh) continue;
      if (border.holds(columns, index)) return this.#plan(columns, first, index);
    }
    return plan;
  }

  /** How many entries from `first` on repeat what closed heads hold at their border; inside a head the head itself sees to that. */
  #repeatedFrom(columns: EntryColumns, first: number, end: number): number {
    let next = first;
    while (next < end && (this.#isLast(columns, next) || this.#border?.holds(columns, next))) {
      next += 1;
    }
    return next - first;
  }

  /** It repeats the stream's last one, which may be in the segment before. */
  #isLast(columns: EntryColumns, index: number): boolean {
    return !this.#head && this.#last !== undefined && isSameEntry(this.#last, columns, index);
  }

  #moveBorder(closed: HeadBlock): void {
    if (this.#sealedMax !== undefined && closed.maxTime < this.#sealedMax) return;
    if (this.#border === undefined || closed.maxTime !== this.#sealedMax) this.#border = closed.newBorder();
    closed.addNewestTo(this.#border, this.#symbols ?? NO_SYMBOLS);
  }

  #closeHead(): void {
    const closed = this.#head;
    if (!closed || closed.count === 0) return;
    this.#moveBorder(closed);
    this.#sealedMin = this.minTime;
    this.#sealedMax = this.maxTime;
    this.#last = closed.lastEntry();
    this.#cuts.push({
      number: this.#nextNumber,
      head: closed.snapshot(),
      memoryBytes: closed.memoryBytes,
      isTaken: false,
      block: undefined,
    });
    this.#nextNumber += 1;
    this.#head = undefined;
  }
}
