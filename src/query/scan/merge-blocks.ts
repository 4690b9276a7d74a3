import type { RequiredLiteral } from '../../logql/pipeline.ts';
import { BlockColumns } from './block-columns.ts';
import { DistinctEntries } from './distinct-entries.ts';
import type { HiddenOfStream } from './hidden-entries.ts';
import { type LineHits, LiteralSearch } from './literal-hits.ts';
import type { ScanCounts } from './scan-messages.ts';
import { ShownHits } from './shown-hits.ts';

/** A block or head of one stream that a scan may have to read. Times are relative to the merge's base. */
export interface BlockSource {
  /** Which segment or chunk it is of: lower ones are older. */
  readonly source: number;
  readonly minTime: number;
  readonly maxTime: number;
  /** It begins before the newest entry of those that its source got earlier, be they wanted or not: what they have may be in it again. */
  readonly isLate: boolean;
  /** The bytes lines lie in, inflated and checked. Counted as read. @throws CorruptChunkError */
  bytes(counts: ScanCounts): Buffer;
  /** Fills the columns over what `bytes` gave. */
  read(entries: BlockColumns, bytes: Buffer, baseNs: bigint, counts: ScanCounts): void;
  /** Takes back what `bytes` gave: nobody reads it any more. */
  release(bytes: Buffer): void;
}

export interface EntryVisitor {
  /** Entries [first, end) of a block: wanted ones, in time order after those visited before, no duplicates. Borrowed until it returns. */
  visit(entries: BlockColumns, hits: LineHits, first: number, end: number): void;
}

interface OpenBlock {
  readonly source: BlockSource;
  readonly bytes: Buffer;
  readonly entries: BlockColumns;
  /** Of each visitor; undefined where it wants none of the lines. */
  readonly hits: readonly (LineHits | undefined)[];
  /** Next entry, and the end of those wanted. */
  position: number;
  end: number;
}

/**
 * Blocks in time order, those that overlap in time together. Blocks of one source that came in order and only share a border time stay apart
 * (they hold no duplicates of each other: see BorderEntries); of two sources, or if one came late, they go together, since an entry may be in both.
 */
export const groupBlocks = (blocks: readonly BlockSource[]): BlockSource[][] => {
  const sorted = [...blocks].sort((a, b) => a.minTime - b.minTime || a.source - b.source);
  const shared = sharedBorders(blocks);
  const groups: BlockSource[][] = [];
  let until = Number.NEGATIVE_INFINITY;
  for (const block of sorted) {
    const last = groups.at(-1);
    const isTogether = block.minTime < until || (block.minTime === until && shared.has(until));
    if (last && isTogether) last.push(block);
    else groups.push([block]);
    until = Math.max(until, block.maxTime);
  }
  return groups;
};

/** Border times at which more than one source has a block, and those of blocks that came late in their source. */
const sharedBorders = (blocks: readonly BlockSource[]): Set<number> => {
  const owners = new Map<number, number>();
  const shared = new Set<number>();
  for (const { source, minTime, maxTime, isLate } of blocks) {
    if (isLate) shared.add(minTime).add(maxTime);
    for (const time of [minTime, maxTime]) {
      const owner = owners.get(time);
      if (owner === undefined) owners.set(time, source);
      else if (owner !== source) shared.add(time);
    }
  }
  return shared;
};

/** Opens blocks, and walks groups of them as one sorted list of distinct entries, once for all who want to see them. Columns are reused. */
export class BlockMerge {
  readonly counts: ScanCounts;
  readonly #searches: readonly LiteralSearch[];
  #baseNs: bigint;
  readonly #free: BlockColumns[] = [];
  readonly #seen = new DistinctEntries();
  #hidden: HiddenOfStream | undefined;
  #startTime = 0;
  #endTime = 0;

  /** @param literals what lines must hold that each of the visitors wants */
  constructor(literals: readonly (readonly RequiredLiteral[])[], baseNs: bigint, counts: ScanCounts) {
    this.#searches = literals.map((own) => new LiteralSearch(own));
    this.#baseNs = baseNs;
    this.counts = counts;
  }

  /** What times are relative to from here on. */
  setBase(baseNs: bigint): void {
    this.#baseNs = baseNs;
  }

  /** Entries wanted from here on, both ends included. */
  setRange(startTime: number, endTime: number): void {
    this.#startTime = startTime;
    this.#endTime = endTime;
  }

  /** What is not to be shown of the blocks visited from here on. */
  setHidden(hidden: HiddenOfStream | undefined): void {
    this.#hidden = hidden;
  }

  visitGroup(group: readonly BlockSource[], visitors: readonly EntryVisitor[]): void {
    if (group.length > 1) {
      this.#visitMerged(group, visitors);
      return;
    }
    const block = this.#open(group[0]!);
    if (!block) return;
    show(block, block.position, block.end, visitors);
    this.#close(block);
  }

  /** undefined if no wanted entry can be in it. */
  #open(source: BlockSource): OpenBlock | undefined {
    const bytes = source.bytes(this.counts);
    const mayHit = this.#searches.map((search) => search.mayHit(bytes));
    if (!mayHit.includes(true)) {
      source.release(bytes);
      return undefined;
    }
    const entries = this.#free.pop() ?? new BlockColumns();
    source.read(entries, bytes, this.#baseNs, this.counts);
    const position = source.minTime >= this.#startTime ? 0 : entries.lowerBound(this.#startTime);
    const end = source.maxTime <= this.#endTime ? entries.count : entries.upperBound(this.#endTime, position);
    const isSameBytes = entries.bytes.buffer === bytes.buffer;
    const hits = this.#searches.map((search, index) =>
      mayHit[index] ? this.#shown(entries, search.hitsIn(entries, isSameBytes)) : undefined,
    );
    return { source, bytes, entries, hits, position, end };
  }

  #shown(entries: BlockColumns, hits: LineHits): LineHits {
    const hidden = this.#hidden;
    if (!hidden || entries.count === 0) return hits;
    const isTouched = hidden.mayHide(entries.timesNs[0]!, entries.timesNs[entries.count - 1]!);
    return isTouched ? new ShownHits(hits, entries, hidden) : hits;
  }

  /** A block is opened when the merge reaches it and let go when it is used up: few are open at a time. */
  #visitMerged(group: readonly BlockSource[], visitors: readonly EntryVisitor[]): void {
    const open: OpenBlock[] = [];
    let next = 0;
    for (;;) {
      // What is open may begin far behind its own minimum, where the range begins: until nothing is left that could come before it.
      while (next < group.length && group[next]!.minTime <= earliest(open)) {
        const block = this.#open(group[next]!);
        next += 1;
        if (!block) continue;
        if (block.position < block.end) open.push(block);
        else this.#close(block);
      }
      if (open.length === 0) return;
      this.#step(open, next < group.length ? group[next]!.minTime : Number.POSITIVE_INFINITY, visitors);
      this.#closeUsed(open);
    }
  }

  /** Visits the entries of the earliest block up to where another block comes in, or those of one time that several blocks have. */
  #step(open: readonly OpenBlock[], nextTime: number, visitors: readonly EntryVisitor[]): void {
    const time = earliest(open);
    const atTime = open.filter((block) => block.entries.times[block.position] === time);
    const [only] = atTime;
    if (atTime.length > 1 || !only) {
      this.#visitTies(atTime, time, visitors);
      return;
    }
    let until = nextTime;
    for (const other of open) {
      if (other !== only) until = Math.min(until, other.entries.times[other.position]!);
    }
    const end =
      until > only.source.maxTime ? only.end : Math.min(only.end, only.entries.lowerBound(until, only.position));
    show(only, only.position, end, visitors);
    only.position = end;
  }

  #visitTies(blocks: readonly OpenBlock[], time: number, visitors: readonly EntryVisitor[]): void {
    this.#seen.clear();
    for (const block of [...blocks].sort((a, b) => a.source.source - b.source.source)) {
      while (block.position < block.end && block.entries.times[block.position] === time) {
        const index = block.position;
        block.position += 1;
        if (this.#seen.add(block.entries, index)) show(block, index, index + 1, visitors);
        else this.counts.duplicates += 1;
      }
    }
    this.#seen.clear();
  }

  #closeUsed(open: OpenBlock[]): void {
    for (let index = open.length - 1; index >= 0; index -= 1) {
      const block = open[index]!;
      if (block.position < block.end) continue;
      this.#close(block);
      open.splice(index, 1);
    }
  }

  #close({ source, bytes, entries }: OpenBlock): void {
    source.release(bytes);
    this.#free.push(entries);
  }
}

const show = ({ entries, hits }: OpenBlock, first: number, end: number, visitors: readonly EntryVisitor[]): void => {
  for (let index = 0; index < visitors.length; index += 1) {
    const own = hits[index];
    if (own) visitors[index]!.visit(entries, own, first, end);
  }
};

/** Infinity if nothing is open. */
const earliest = (open: readonly OpenBlock[]): number => {
  let time = Number.POSITIVE_INFINITY;
  for (const { entries, position } of open) time = Math.min(time, entries.times[position]!);
  return time;
};
