/** Samples line by line, as logproto.Querier sends them for its client to aggregate. */
import type { LogExpr, MetricExpr, RangeAggregation, Unwrap } from '../logql/ast.ts';
import { metricStages } from '../logql/hints.ts';
import { fingerprintOf, lineHashOf } from '../protocol/fingerprint.ts';
import { canonicalText } from '../protocol/label-text.ts';
import type { AnsweredSample } from '../protocol/querier-messages.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { leavesOf } from '../query/evaluate.ts';
import type { LogStream } from '../query/query-messages.ts';
import type { GroupSpec } from '../query/scan/scan-messages.ts';
import { UnwrappedValue, type UnwrapSource } from '../query/scan/unwrapped-value.ts';
import { valueOfLabel } from '../query/step-series.ts';
import { entryBatches } from './answered-batches.ts';

/** How samples are made of entries. */
export interface SampleSource {
  readonly log: LogExpr;
  readonly group: GroupSpec;
  readonly unwrap: Unwrap | undefined;
  readonly valueOf: (line: string) => number;
}

/**
 * @throws RefusedError INVALID_QUERY for a query that reads no entries, UNSUPPORTED_QUERY for several selectors: samples of one could not be
 * told from those of another. Loki's queriers ask for one at a time.
 */
export const sampleSourceOf = (expr: MetricExpr): SampleSource => {
  const [leaf, ...others] = leavesOf(expr);
  if (!leaf) throw new RefusedError({ code: 'INVALID_QUERY', text: 'only sample expression supported' });
  if (others.length > 0) {
    const text = 'samples of several selectors in one answer cannot be told apart: ask for those of one at a time';
    throw new RefusedError({ code: 'UNSUPPORTED_QUERY', text });
  }
  const { expr: range, group } = leaf;
  const { log, unwrap } = range.range;
  return { log: { ...log, stages: metricStages(range) }, group, unwrap, valueOf: lineValueOf(range) };
};

const lineValueOf = ({ op }: RangeAggregation): ((line: string) => number) =>
  op === 'bytes_over_time' || op === 'bytes_rate' ? (line) => Buffer.byteLength(line) : () => 1;

export type SampleBatch = ReadonlyMap<string, { readonly hash: bigint; readonly samples: readonly AnsweredSample[] }>;

/** What all entries with the same labels have in common. */
interface LabelledSamples {
  readonly name: string;
  readonly hash: bigint;
  /** undefined: that of the line. */
  readonly value: number | undefined;
}

/** Samples of entries, by series. @param streams with all labels merged */
export function* sampleBatches(streams: readonly LogStream[], source: SampleSource): Generator<SampleBatch> {
  const unwrapped = source.unwrap && new UnwrappedValue(source.unwrap);
  const byText = new Map<string, LabelledSamples | undefined>();
  for (const { labels } of streams) byText.set(canonicalText(labels), samplesOf(labels, source.group, unwrapped));
  for (const entries of entryBatches(streams, false, true)) {
    const batch = new Map<string, { hash: bigint; samples: AnsweredSample[] }>();
    for (const [text, lines] of entries) {
      const known = byText.get(text);
      if (!known) continue;
      const series = batch.get(known.name) ?? { hash: known.hash, samples: [] };
      batch.set(known.name, series);
      for (const { timeNs, line } of lines) {
        series.samples.push({ timeNs, value: known.value ?? source.valueOf(line), hash: lineHashOf(line) });
      }
    }
    if (batch.size > 0) yield batch;
  }
}

/** undefined: these entries give no samples. */
const samplesOf = (
  labels: readonly string[],
  group: GroupSpec,
  unwrapped: UnwrappedValue | undefined,
): LabelledSamples | undefined => {
  let shown = labels;
  if (unwrapped) {
    const run = new LabelValues(labels);
    unwrapped.startStream(run);
    if (!unwrapped.take(run)) return undefined;
    if (unwrapped.error !== '') shown = unwrapped.finalLabels(run);
  }
  // An error is told with all labels: grouping would lose it, and the client is to fail for it.
  if (valueOfLabel(shown, '__error__') === '') shown = grouped(shown, group);
  return { name: canonicalText(shown), hash: fingerprintOf(shown), value: unwrapped?.value };
};

const grouped = (labels: readonly string[], { kind, names }: GroupSpec): readonly string[] => {
  if (kind === 'all') return labels;
  const kept: string[] = [];
  for (let index = 0; index < labels.length; index += 2) {
    const name = labels[index] ?? '';
    if (names.includes(name) === (kind === 'by')) kept.push(name, labels[index + 1] ?? '');
  }
  return kept;
};

/** Labels that an entry has in the end, where an unwrapped value is looked for. */
class LabelValues implements UnwrapSource {
  readonly #labels: readonly string[];
  readonly error: string;

  constructor(labels: readonly string[]) {
    this.#labels = labels;
    this.error = valueOfLabel(labels, '__error__');
  }

  get(name: string): string {
    return valueOfLabel(this.#labels, name);
  }

  has(name: string): boolean {
    return this.#labels.some((text, index) => index % 2 === 0 && text === name);
  }

  /** Values have no handles here: each is read as text. */
  handleOf(): number {
    return 0;
  }

  plainNumber(): number {
    return Number.NaN;
  }

  finalLabels(): readonly string[] {
    return this.#labels;
  }
}
