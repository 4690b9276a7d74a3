/** Entries that a query must not show though they are stored: those of delete requests, and those that are past the retention of their stream. */
import type { Stage } from '../../logql/ast.ts';
import { compilePipeline } from '../../logql/compile-pipeline.ts';
import { ALL_LABELS } from '../../logql/hints.ts';
import { compileLabelMatcher } from '../../logql/matcher.ts';
import type { Pipeline, PipelineRun } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import type { LabelMatcher } from '../../protocol/matcher.ts';
import { valueOfLabel } from '../step-series.ts';
import type { BlockColumns } from './block-columns.ts';

/** Entries of the streams that match, within the times (both included), that pass the stages. */
export interface DeletedEntries {
  readonly matchers: readonly LabelMatcher[];
  readonly stages: readonly Stage[];
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** Where the entries of some streams begin to be kept. */
export interface RetentionBound {
  /** None: all streams. */
  readonly matchers: readonly LabelMatcher[];
  /** undefined: kept for ever. */
  readonly keptFromNs: bigint | undefined;
}

/** Plain data: it crosses threads and nodes. */
export interface HiddenEntries {
  readonly deletes: readonly DeletedEntries[];
  /** The first that matches a stream decides. */
  readonly retention: readonly RetentionBound[];
}

type Matches = (labels: LabelSet) => boolean;

/** All matchers on a label set; a missing label is "". */
export const compileMatchers = (matchers: readonly LabelMatcher[]): Matches => {
  const tests = matchers.map((matcher) => ({ name: matcher.name, matches: compileLabelMatcher(matcher) }));
  return ({ pairs }) => tests.every(({ name, matches }) => matches(valueOfLabel(pairs, name)));
};

/** What is hidden, ready to be asked for stream after stream. */
export class CompiledHidden {
  readonly #deletes: readonly (DeletedEntries & {
    readonly matches: Matches;
    readonly pipeline: Pipeline | undefined;
  })[];
  readonly #retention: readonly (RetentionBound & { readonly matches: Matches })[];
  #pairs: readonly string[] | undefined;
  #stream: HiddenOfStream | undefined;

  /** @throws RefusedError INVALID_QUERY for a stage that cannot be built */
  constructor({ deletes, retention }: HiddenEntries) {
    this.#deletes = deletes.map((one) => ({
      ...one,
      matches: compileMatchers(one.matchers),
      pipeline: one.stages.length === 0 ? undefined : compilePipeline(one.stages, { hints: ALL_LABELS }),
    }));
    this.#retention = retention.map((one) => ({ ...one, matches: compileMatchers(one.matchers) }));
  }

  /** undefined: nothing of the stream is hidden. */
  ofStream(labels: LabelSet): HiddenOfStream | undefined {
    if (labels.pairs === this.#pairs) return this.#stream;
    this.#pairs = labels.pairs;
    const deletes = this.#deletes
      .filter(({ matches }) => matches(labels))
      .map(({ startNs, endNs, pipeline }) => ({ startNs, endNs, run: pipeline?.forStream(labels) }));
    const keptFromNs = this.#retention.find(({ matches }) => matches(labels))?.keptFromNs;
    const isAny = deletes.length > 0 || keptFromNs !== undefined;
    this.#stream = isAny ? new HiddenOfStream(deletes, keptFromNs) : undefined;
    return this.#stream;
  }
}

interface DeleteRun {
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** undefined: whatever the entry is. */
  readonly run: PipelineRun | undefined;
}

/** What is hidden of one stream. */
export class HiddenOfStream {
  readonly #deletes: readonly DeleteRun[];
  readonly #keptFromNs: bigint | undefined;
  #entries: BlockColumns | undefined;
  #index = 0;
  readonly #timeNs = (): bigint => this.#entries?.timesNs[this.#index] ?? 0n;

  constructor(deletes: readonly DeleteRun[], keptFromNs: bigint | undefined) {
    this.#deletes = deletes;
    this.#keptFromNs = keptFromNs;
  }

  /** False if no entry of these times (both included) can be hidden. */
  mayHide(startNs: bigint, endNs: bigint): boolean {
    if (this.#keptFromNs !== undefined && startNs < this.#keptFromNs) return true;
    return this.#deletes.some((one) => one.startNs <= endNs && one.endNs >= startNs);
  }

  isHidden(entries: BlockColumns, index: number): boolean {
    const timeNs = entries.timesNs[index]!;
    if (this.#keptFromNs !== undefined && timeNs < this.#keptFromNs) return true;
    this.#entries = entries;
    this.#index = index;
    for (const { startNs, endNs, run } of this.#deletes) {
      if (timeNs < startNs || timeNs > endNs) continue;
      if (!run || this.#passes(run, entries, index)) return true;
    }
    return false;
  }

  #passes(run: PipelineRun, entries: BlockColumns, index: number): boolean {
    const metadata = entries.hasMetadata ? entries.metadataOf(index) : undefined;
    return run.process(entries.bytes, entries.lineStarts[index]!, entries.lineEnds[index]!, this.#timeNs, metadata);
  }
}
