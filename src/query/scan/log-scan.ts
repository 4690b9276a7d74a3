import type { Pipeline, PipelineRun } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import type { BlockColumns } from './block-columns.ts';
import type { LineHits } from './literal-hits.ts';
import type { EntryVisitor } from './merge-blocks.ts';
import type { EntryLabels, LogScan } from './scan-messages.ts';

const LABEL_SETS_REMEMBERED_MAX = 10_000;

/** What a log scan kept, as columns, in the query's direction. */
export interface KeptEntries {
  readonly times: BigInt64Array;
  readonly lineEnds: Uint32Array;
  readonly bytes: Uint8Array;
  readonly labelIndexes: Uint32Array;
  readonly labelSets: readonly EntryLabels[];
}

/** Keeps the entries that pass the pipeline, packed: lines in one buffer, label sets numbered. */
export class LogScanner implements EntryVisitor {
  readonly #scan: LogScan;
  readonly #pipeline: Pipeline;
  #run: PipelineRun | undefined;
  readonly #isPlain: boolean;
  readonly #labelSets: EntryLabels[] = [];
  readonly #labelIndexes = new Map<string, number>();
  #streamPairs: readonly string[] = [];
  #times = new BigInt64Array(256);
  #starts = new Uint32Array(256);
  #ends = new Uint32Array(256);
  #labels = new Uint32Array(256);
  #bytes = Buffer.from(new ArrayBuffer(16 << 10));
  #byteCount = 0;
  #entries: BlockColumns | undefined;
  #index = 0;
  readonly #timeNs = (): bigint => this.#entries!.timesNs[this.#index]!;
  #isReversed = false;
  #countMax = Number.POSITIVE_INFINITY;
  count = 0;

  constructor(scan: LogScan, pipeline: Pipeline) {
    this.#scan = scan;
    this.#pipeline = pipeline;
    this.#isPlain = pipeline.isDecidedByLiterals && pipeline.requiredLiterals.length <= 1;
  }

  /** The labels of what is visited next. */
  startStream(labels: LabelSet): void {
    if (this.#run && labels.pairs === this.#streamPairs) return;
    this.#run = this.#pipeline.forStream(labels);
    this.#streamPairs = labels.pairs;
    this.#labelIndexes.clear();
  }

  timeOf(entry: number): bigint {
    return this.#times[entry]!;
  }

  lineSizeOf(entry: number): number {
    return this.#ends[entry]! - this.#starts[entry]!;
  }

  /** How to go through what is visited next: newest first, if it is one block; and until how many entries are kept in all. */
  startGroup(isReversed: boolean, countMax: number): void {
    this.#isReversed = isReversed;
    this.#countMax = countMax;
  }

  visit(entries: BlockColumns, hits: LineHits, first: number, end: number): void {
    this.#entries = entries;
    if (this.#isReversed) {
      this.#visitReversed(entries, hits, first, end);
      return;
    }
    for (let index = hits.next(first); index < end && this.count < this.#countMax; index = hits.next(index + 1)) {
      this.#visitEntry(entries, index);
    }
  }

  /** A copy of the kept entries with these numbers, in this order. Call it last: it may hand out the scanner's own buffers. */
  take(order: readonly number[]): KeptEntries {
    if (order.length === this.count && order.every((entry, index) => entry === index)) return this.#takeAll();
    const times = new BigInt64Array(order.length);
    const lineEnds = new Uint32Array(order.length);
    const labelIndexes = new Uint32Array(order.length);
    let size = 0;
    for (const entry of order) size += this.#ends[entry]! - this.#starts[entry]!;
    const bytes = Buffer.from(new ArrayBuffer(size));
    let offset = 0;
    for (let index = 0; index < order.length; index += 1) {
      const entry = order[index]!;
      times[index] = this.#times[entry]!;
      labelIndexes[index] = this.#labels[entry]!;
      offset += this.#bytes.copy(bytes, offset, this.#starts[entry]!, this.#ends[entry]!);
      lineEnds[index] = offset;
    }
    return { times, lineEnds, bytes, labelIndexes, labelSets: this.#labelSets };
  }

  #takeAll(): KeptEntries {
    return {
      times: this.#times.slice(0, this.count),
      lineEnds: this.#ends.slice(0, this.count),
      bytes: this.#bytes.subarray(0, this.#byteCount),
      labelIndexes: this.#labels.slice(0, this.count),
      labelSets: this.#labelSets,
    };
  }

  /** From the last hit back: a query for the newest lines runs its stages over few more than those. */
  #visitReversed(entries: BlockColumns, hits: LineHits, first: number, end: number): void {
    const found: number[] = [];
    for (let index = hits.next(first); index < end; index = hits.next(index + 1)) found.push(index);
    for (let at = found.length - 1; at >= 0 && this.count < this.#countMax; at -= 1) {
      this.#visitEntry(entries, found[at]!);
    }
  }

  #visitEntry(entries: BlockColumns, index: number): void {
    const start = entries.lineStarts[index]!;
    const end = entries.lineEnds[index]!;
    const metadata = entries.hasMetadata ? entries.metadataOf(index) : undefined;
    if (this.#isPlain && !metadata) {
      this.#keep(entries.timesNs[index]!, entries.bytes, start, end, this.#streamLabels());
      return;
    }
    this.#index = index;
    const run = this.#run!;
    if (!run.process(entries.bytes, start, end, this.#timeNs, metadata)) return;
    const labels = this.#labelIndex(run, metadata);
    this.#keep(entries.timesNs[index]!, run.lineBytes, run.lineStart, run.lineEnd, labels);
  }

  #streamLabels(): number {
    const known = this.#labelIndexes.get('');
    if (known !== undefined) return known;
    return this.#addLabels('', { labels: this.#streamPairs, metadata: undefined, parsed: undefined });
  }

  #labelIndex(run: PipelineRun, metadata: readonly string[] | undefined): number {
    // Two entries may end with the same labels, one by its metadata and the other by its line: told apart where categories are asked for.
    const isSplit = this.#scan.categorizeLabels;
    const key = isSplit && metadata ? `${run.labelsKey()}\u0000${metadata.join('\u0000')}` : run.labelsKey();
    const known = this.#labelIndexes.get(key);
    if (known !== undefined) return known;
    if (this.#labelIndexes.size >= LABEL_SETS_REMEMBERED_MAX) this.#labelIndexes.clear();
    if (!isSplit) return this.#addLabels(key, { labels: run.finalLabels(), metadata: undefined, parsed: undefined });
    const { stream, metadata: own, parsed } = run.categorized();
    return this.#addLabels(key, { labels: stream, metadata: own, parsed });
  }

  #addLabels(key: string, labels: EntryLabels): number {
    const index = this.#labelSets.length;
    this.#labelSets.push(labels);
    this.#labelIndexes.set(key, index);
    return index;
  }

  #keep(timeNs: bigint, bytes: Buffer, start: number, end: number, labels: number): void {
    if (this.count === this.#times.length) this.#growColumns();
    const size = end - start;
    if (this.#byteCount + size > this.#bytes.length) this.#growBytes(size);
    this.#times[this.count] = timeNs;
    this.#labels[this.count] = labels;
    this.#starts[this.count] = this.#byteCount;
    bytes.copy(this.#bytes, this.#byteCount, start, end);
    this.#byteCount += size;
    this.#ends[this.count] = this.#byteCount;
    this.count += 1;
  }

  #growBytes(needed: number): void {
    const grown = Buffer.from(new ArrayBuffer(Math.max(2 * this.#bytes.length, this.#byteCount + needed)));
    this.#bytes.copy(grown, 0, 0, this.#byteCount);
    this.#bytes = grown;
  }

  #growColumns(): void {
    const capacity = 2 * this.count;
    const times = new BigInt64Array(capacity);
    times.set(this.#times);
    this.#times = times;
    const grown = (column: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(capacity);
      larger.set(column);
      return larger;
    };
    this.#starts = grown(this.#starts);
    this.#ends = grown(this.#ends);
    this.#labels = grown(this.#labels);
  }
}
