import { originalOf } from '../../logql/hints.ts';
import type { Pipeline, PipelineRun } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import { StepWindows } from '../step-windows.ts';
import type { BlockColumns } from './block-columns.ts';
import { EntrySeries } from './entry-series.ts';
import type { LineHits } from './literal-hits.ts';
import type { EntryVisitor } from './merge-blocks.ts';
import type { MetricPart, MetricScan, ScanPlan } from './scan-messages.ts';
import { SeriesTable } from './series-table.ts';
import type { UnwrappedValue } from './unwrapped-value.ts';
import { ValueColumns } from './value-columns.ts';

/** Counts, adds up or collects the entries of a range aggregation: one task's part, by series and step. */
export class MetricScanner implements EntryVisitor {
  readonly #scan: MetricScan;
  readonly #pipeline: Pipeline;
  readonly #unwrap: UnwrappedValue | undefined;
  readonly #windows: StepWindows;
  readonly #table: SeriesTable;
  readonly #series: EntrySeries;
  readonly #values = new ValueColumns();
  /** Every line with the literal counts as it is: no stage has to run. */
  readonly #isPlain: boolean;
  readonly #needsLength: boolean;
  /** Labels that count; undefined for all. */
  readonly #names: readonly string[] | undefined;
  /** Those that were looked through last. */
  #symbols: readonly string[] | undefined;
  #hasNames = true;
  #run: PipelineRun | undefined;
  #entries: BlockColumns | undefined;
  #index = 0;
  readonly #timeNs = (): bigint => this.#entries!.timesNs[this.#index]!;
  #errorLabels: readonly string[] | undefined;

  /** For entries with times (ns relative to the plan's start) within [firstTime, lastTime]. */
  constructor(
    plan: ScanPlan,
    scan: MetricScan,
    compiled: { readonly pipeline: Pipeline; readonly unwrap: UnwrappedValue | undefined },
    times: { readonly first: number; readonly last: number },
  ) {
    this.#scan = scan;
    this.#names = namesOf(plan);
    this.#pipeline = compiled.pipeline;
    this.#unwrap = compiled.unwrap;
    this.#windows = new StepWindows(scan.grid, scan.rangeNs, scan.offsetNs, plan.startNs);
    this.#windows.locate(times.first);
    const firstStep = this.#windows.first;
    this.#windows.locate(times.last);
    const lastStep = this.#windows.last;
    this.#needsLength = scan.measure === 'bytes';
    const lastCounted = scan.measure === 'values' ? firstStep - 1 : lastStep;
    this.#table = new SeriesTable(firstStep, lastCounted, this.#needsLength, scan.seriesMax);
    this.#series = new EntrySeries(this.#table, scan.group);
    this.#isPlain = this.#pipeline.isDecidedByLiterals && this.#pipeline.requiredLiterals.length <= 1 && !this.#unwrap;
  }

  /** True once an entry failed the query: the rest need not be read. */
  get isFailed(): boolean {
    return this.#errorLabels !== undefined;
  }

  startStream(labels: LabelSet): void {
    this.#run = this.#pipeline.forStream(labels);
    this.#series.startStream(labels.pairs, this.#run);
    if (!this.#unwrap) return;
    this.#unwrap.startStream(this.#run);
    this.#values.startStream(labels.fingerprint);
  }

  visit(entries: BlockColumns, hits: LineHits, first: number, end: number): void {
    if (this.isFailed) return;
    if (this.#isPlain && !this.#needsMetadata(entries)) this.#visitPlain(entries, hits, first, end);
    else this.#visitStages(entries, hits, first, end);
  }

  result(): MetricPart {
    const isValues = this.#scan.measure === 'values';
    return {
      series: isValues ? undefined : this.#table.partials(),
      values: isValues ? this.#values.take(this.#table.keys) : undefined,
      errorLabels: this.#errorLabels,
    };
  }

  /**
   * Whether structured metadata can show in the answer: it can not if none is of a name that the query asks for. Where levels are detected every entry has
   * some.
   */
  #needsMetadata(entries: BlockColumns): boolean {
    if (!entries.hasMetadata || !this.#names) return entries.hasMetadata;
    const { symbols } = entries;
    if (symbols !== this.#symbols) {
      this.#symbols = symbols;
      const there = new Set(symbols);
      this.#hasNames = this.#names.some((name) => there.has(name) || there.has(originalOf(name)));
    }
    return this.#hasNames;
  }

  #visitPlain(entries: BlockColumns, hits: LineHits, first: number, end: number): void {
    const windows = this.#windows;
    const { isEvery } = hits;
    for (let index = hits.next(first); index < end; ) {
      windows.locate(entries.times[index]!);
      const beyond = isEvery ? Math.min(end, entries.upperBound(windows.validUntil, index)) : index + 1;
      if (windows.first <= windows.last) {
        const size = this.#needsLength ? lineBytes(entries, index, beyond) : 0;
        this.#table.add(this.#series.ofStream(), windows, beyond - index, size);
      }
      index = hits.next(beyond);
    }
  }

  #visitStages(entries: BlockColumns, hits: LineHits, first: number, end: number): void {
    const run = this.#run!;
    const windows = this.#windows;
    const { changesLabels } = this.#pipeline;
    this.#entries = entries;
    const needsMetadata = this.#needsMetadata(entries);
    for (let index = hits.next(first); index < end; index = hits.next(index + 1)) {
      windows.locate(entries.times[index]!);
      if (windows.first > windows.last) continue;
      this.#index = index;
      const metadata = needsMetadata ? entries.metadataOf(index) : undefined;
      const isKept = run.process(
        entries.bytes,
        entries.lineStarts[index]!,
        entries.lineEnds[index]!,
        this.#timeNs,
        metadata,
      );
      if (!isKept) continue;
      if (this.#unwrap) {
        this.#collect(entries, index, run);
        continue;
      }
      if (run.error !== '' && !run.isErrorPreserved) {
        this.#errorLabels = run.finalLabels();
        return;
      }
      const series = changesLabels || metadata || run.error !== '' ? this.#series.of(run) : this.#series.ofStream();
      this.#table.add(series, windows, 1, this.#needsLength ? run.lineEnd - run.lineStart : 0);
    }
  }

  #collect(entries: BlockColumns, index: number, run: PipelineRun): void {
    const unwrap = this.#unwrap!;
    if (!unwrap.take(run)) return;
    if (unwrap.error !== '' && !(run.isErrorPreserved && unwrap.error === run.error)) {
      this.#errorLabels = unwrap.finalLabels(run);
      return;
    }
    this.#values.push(this.#series.of(run), entries.times[index]!, unwrap.value);
  }
}

/** undefined: templates can show whatever there is. */
const namesOf = ({ stages, hints: { extract } }: ScanPlan): readonly string[] | undefined => {
  if (extract === 'all' || stages.some(({ kind }) => kind === 'lineFormat' || kind === 'labelFormat')) return undefined;
  return extract === 'none' ? [] : extract;
};

const lineBytes = ({ lineStarts, lineEnds }: BlockColumns, first: number, end: number): number => {
  let bytes = 0;
  for (let index = first; index < end; index += 1) bytes += lineEnds[index]! - lineStarts[index]!;
  return bytes;
};
