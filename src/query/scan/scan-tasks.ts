import type { LabelSet } from '../../protocol/label-set.ts';
import { type CompiledScan, wantedByAny } from './compiled-scan.ts';
import type { CompiledHidden } from './hidden-entries.ts';
import { LogScanner } from './log-scan.ts';
import { BlockMerge, type BlockSource } from './merge-blocks.ts';
import { MetricScanner } from './metric-scan.ts';
import { OpenChunks, type OpenStream, openSlice } from './open-slice.ts';
import {
  isChunkBytes,
  type LogRead,
  type LogReadEnd,
  type LogResult,
  type LogScan,
  type LogTask,
  type MetricResult,
  type MetricScan,
  type MetricTask,
  noCounts,
  type ScanPlan,
  type ScanPosition,
  type StreamSlice,
} from './scan-messages.ts';

/** @throws RefusedError for what cannot be read, or is too much */
export const runMetricTask = ({ plans, slices }: MetricTask, compiled: readonly CompiledScan[]): MetricResult => {
  const [plan] = plans as readonly [ScanPlan];
  const counts = noCounts();
  const bounds = boundsOf(plan, slices);
  const scanners = plans.map(
    (one, index) => new MetricScanner(one, one.scan as MetricScan, compiled[index] as CompiledScan, bounds),
  );
  const literals = compiled.map(({ pipeline }) => pipeline.requiredLiterals);
  const merge = new BlockMerge(literals, plan.startNs, counts);
  const opened = new OpenChunks();
  const wanted = wantedByAny(compiled);
  const visit = ({ labels, groups }: OpenStream): void => {
    for (const scanner of scanners) scanner.startStream(labels);
    merge.setHidden(compiled[0]?.hidden?.ofStream(labels));
    for (const group of groups) {
      // It is the query that fails.
      if (scanners.some(({ isFailed }) => isFailed)) return;
      merge.visitGroup(group, scanners);
    }
  };
  try {
    for (const slice of slices) {
      setRange(merge, slice, plan.startNs);
      for (const stream of openSlice(slice, plan, plan.startNs, wanted, counts, opened)) visit(stream);
      if (scanners.some(({ isFailed }) => isFailed)) break;
    }
  } finally {
    opened.close();
  }
  return { kind: 'metric', parts: scanners.map((scanner) => scanner.result()), counts };
};

/** Reads each slice in the query's direction until enough is kept; says where to go on. */
export const runLogTask = ({ plan, reads }: LogTask, compiled: CompiledScan): LogResult => {
  const scan = plan.scan as LogScan;
  const counts = noCounts();
  const scanner = new LogScanner(scan, compiled.pipeline);
  const order: number[] = [];
  const ends: LogReadEnd[] = [];
  const merge = new BlockMerge([compiled.pipeline.requiredLiterals], plan.startNs, counts);
  for (const read of reads) {
    const { slice, position, keepsChunks } = read;
    // Near the entries, so that times are exact however far the query reaches.
    const baseNs = slice.startNs;
    merge.setBase(baseNs);
    setRange(merge, slice, baseNs);
    // What is read on was opened before, and counted.
    const opening = position.group > 0 || position.taken > 0 ? noCounts() : counts;
    const opened = new OpenChunks();
    const reading = new LogReading(read, scan, scanner, order, compiled.hidden);
    try {
      const groups = logGroups(openSlice(slice, plan, baseNs, compiled, opening, opened), scan.direction);
      for (let index = position.group; index < groups.length && !reading.next; index += 1) {
        reading.read(groups[index]!, index, merge);
        if (reading.isFull && !reading.next && index + 1 < groups.length) {
          const bound = boundOf(groups[index + 1]!, scan.direction);
          reading.stopAt({ group: index + 1, taken: 0 }, baseNs + BigInt(bound));
        }
      }
    } finally {
      opened.close();
    }
    const { next, boundNs } = reading;
    const chunks = next || keepsChunks ? slice.chunks.filter(isChunkBytes) : [];
    ends.push({ end: order.length, next, nextBoundNs: boundNs, chunks });
  }
  return { kind: 'log', ...scanner.take(order), ends, counts };
};

/** Takes entries group by group, in the query's direction and within the read's bounds. At least one is taken if there is any. */
class LogReading {
  next: ScanPosition | undefined;
  /** Bound of what comes at `next`. */
  boundNs = 0n;
  readonly #bounds: LogRead;
  readonly #scanner: LogScanner;
  /** What is taken goes to its end. */
  readonly #order: number[];
  readonly #hidden: CompiledHidden | undefined;
  readonly #first: number;
  readonly #isForward: boolean;
  #bytes = 0;

  constructor(
    bounds: LogRead,
    { direction }: LogScan,
    scanner: LogScanner,
    order: number[],
    hidden: CompiledHidden | undefined,
  ) {
    this.#bounds = bounds;
    this.#scanner = scanner;
    this.#order = order;
    this.#hidden = hidden;
    this.#first = order.length;
    this.#isForward = direction === 'forward';
  }

  get isFull(): boolean {
    return this.#taken >= this.#bounds.entriesMax || this.#bytes >= this.#bounds.bytesMax;
  }

  get #taken(): number {
    return this.#order.length - this.#first;
  }

  stopAt(next: ScanPosition, boundNs: bigint): void {
    this.next = next;
    this.boundNs = boundNs;
  }

  read(group: LogGroup, index: number, merge: BlockMerge): void {
    const { position, entriesMax } = this.#bounds;
    const skipped = index === position.group ? position.taken : 0;
    const mark = this.#scanner.count;
    const [only] = group;
    // Several blocks come merged, oldest first; one is read in the query's direction and only as far as needed.
    const isOne = group.length === 1 && only?.blocks.length === 1;
    const countMax = mark + skipped + entriesMax - this.#taken;
    this.#scanner.startGroup(isOne && !this.#isForward, isOne ? countMax : Number.POSITIVE_INFINITY);
    for (const { labels, blocks } of group) {
      this.#scanner.startStream(labels);
      merge.setHidden(this.#hidden?.ofStream(labels));
      merge.visitGroup(blocks, [this.#scanner]);
    }
    const found = Array.from({ length: this.#scanner.count - mark }, (_, place) => mark + place);
    if (group.length > 1) found.sort((a, b) => (this.#scanner.timeOf(a) < this.#scanner.timeOf(b) ? -1 : 1));
    if (!isOne && !this.#isForward) found.reverse();
    const taken = this.#take(found, skipped);
    const isCut = taken < found.length || (isOne && this.#scanner.count >= countMax);
    // Where the reading stopped early, what is left is bounded by what was seen last.
    if (isCut) this.stopAt({ group: index, taken }, this.#scanner.timeOf(found[Math.min(taken, found.length - 1)]!));
  }

  /** Takes from `found` behind the first `skipped`; gives the place of the first not taken. */
  #take(found: readonly number[], skipped: number): number {
    let index = skipped;
    while (index < found.length && !this.isFull) {
      const entry = found[index]!;
      this.#order.push(entry);
      this.#bytes += this.#scanner.lineSizeOf(entry);
      index += 1;
    }
    return index;
  }
}

/** Blocks to read together; several parts only where one fingerprint has several label sets. */
type LogGroup = readonly { readonly labels: LabelSet; readonly blocks: readonly BlockSource[] }[];

const logGroups = (streams: readonly OpenStream[], direction: LogScan['direction']): LogGroup[] => {
  const [only, ...others] = streams;
  if (!only) return [];
  if (others.length > 0) {
    return [streams.flatMap(({ labels, groups }) => groups.map((blocks) => ({ labels, blocks })))];
  }
  const groups = only.groups.map((blocks) => [{ labels: only.labels, blocks }]);
  return direction === 'forward' ? groups : groups.reverse();
};

/** Relative time that bounds what a group can hold. */
const boundOf = (group: LogGroup, direction: LogScan['direction']): number => {
  const blocks = group.flatMap((part) => part.blocks);
  return direction === 'forward'
    ? Math.min(...blocks.map((block) => block.minTime))
    : Math.max(...blocks.map((block) => block.maxTime));
};

const setRange = (merge: BlockMerge, { startNs, endNs }: StreamSlice, baseNs: bigint): void =>
  merge.setRange(Number(startNs - baseNs), Number(endNs - baseNs));

/** Relative times that the slices' entries can have. */
const boundsOf = (plan: ScanPlan, slices: readonly StreamSlice[]): { first: number; last: number } => {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const { startNs, endNs } of slices) {
    first = Math.min(first, Number(startNs - plan.startNs));
    last = Math.max(last, Number(endNs - plan.startNs));
  }
  return { first, last };
};
