import type { Pipeline } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import { LogScanner } from './log-scan.ts';
import { BlockMerge, type BlockSource } from './merge-blocks.ts';
import { MetricScanner } from './metric-scan.ts';
import { type OpenStream, openSlice } from './open-slice.ts';
import {
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
import type { UnwrappedValue } from './unwrapped-value.ts';

/** A plan made ready to run: once per worker and scan. */
export interface CompiledScan {
  readonly pipeline: Pipeline;
  readonly unwrap: UnwrappedValue | undefined;
  readonly matches: (labels: LabelSet) => boolean;
}

/** @throws RefusedError for what cannot be read, or is too much */
export const runMetricTask = ({ plan, slices }: MetricTask, compiled: CompiledScan): MetricResult => {
  const counts = noCounts();
  const scanner = new MetricScanner(plan, plan.scan as MetricScan, compiled, boundsOf(plan, slices));
  const merge = new BlockMerge(compiled.pipeline.requiredLiterals, plan.startNs, counts);
  for (const slice of slices) {
    setRange(merge, slice, plan.startNs);
    for (const { labels, groups } of openSlice(slice, plan, plan.startNs, compiled.matches, counts)) {
      scanner.startStream(labels);
      for (const group of groups) {
        if (scanner.isFailed) return scanner.result(counts);
        merge.visitGroup(group, scanner);
      }
    }
  }
  return scanner.result(counts);
};

/** Reads a slice in the query's direction until enough is kept; says where to go on. */
export const runLogTask = (task: LogTask, compiled: CompiledScan): LogResult => {
  const { plan, slice } = task;
  const scan = plan.scan as LogScan;
  const counts = noCounts();
  const scanner = new LogScanner(scan, compiled.pipeline);
  // Near the entries, so that times are exact however far the query reaches.
  const baseNs = slice.startNs;
  const merge = new BlockMerge(compiled.pipeline.requiredLiterals, baseNs, counts);
  setRange(merge, slice, baseNs);
  const groups = logGroups(openSlice(slice, plan, baseNs, compiled.matches, counts), scan.direction);
  const taking = new Taking(task, scanner);
  let next: ScanPosition | undefined;
  let boundNs = 0n;
  for (let index = task.position.group; index < groups.length && !next; index += 1) {
    const mark = scanner.count;
    visitParts(groups[index]!, merge, scanner);
    const found = inDirection(scanner, mark, scan.direction, groups[index]!.length > 1);
    const skipped = index === task.position.group ? task.position.taken : 0;
    const taken = taking.take(found, skipped);
    if (taken < found.length) {
      next = { group: index, taken };
      boundNs = scanner.timeOf(found[taken]!);
    } else if (taking.isFull && index + 1 < groups.length) {
      next = { group: index + 1, taken: 0 };
      boundNs = baseNs + BigInt(boundOf(groups[index + 1]!, scan.direction));
    }
  }
  const kept = scanner.take(taking.order);
  return { kind: 'log', ...kept, next, nextBoundNs: boundNs, chunks: next ? slice.chunks : [], counts };
};

/** Which of the kept entries go into this answer, within the task's bounds. At least one does. */
class Taking {
  readonly order: number[] = [];
  readonly #task: LogTask;
  readonly #scanner: LogScanner;
  #bytes = 0;

  constructor(task: LogTask, scanner: LogScanner) {
    this.#task = task;
    this.#scanner = scanner;
  }

  get isFull(): boolean {
    return this.order.length >= this.#task.entriesMax || this.#bytes >= this.#task.bytesMax;
  }

  /** Takes from `found` behind the first `skipped`; gives the place of the first not taken. */
  take(found: readonly number[], skipped: number): number {
    let index = skipped;
    while (index < found.length && !this.isFull) {
      const entry = found[index]!;
      this.order.push(entry);
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

const visitParts = (group: LogGroup, merge: BlockMerge, scanner: LogScanner): void => {
  for (const { labels, blocks } of group) {
    scanner.startStream(labels);
    merge.visitGroup(blocks, scanner);
  }
};

/** Numbers of the entries kept since `mark`, in the query's direction. */
const inDirection = (
  scanner: LogScanner,
  mark: number,
  direction: LogScan['direction'],
  isUnsorted: boolean,
): readonly number[] => {
  const found = Array.from({ length: scanner.count - mark }, (_, index) => mark + index);
  if (isUnsorted) found.sort((a, b) => (scanner.timeOf(a) < scanner.timeOf(b) ? -1 : 1));
  return direction === 'forward' ? found : found.reverse();
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
