/** Answers of the query engine in the batches that logproto.Querier sends. */
import type { Grouping, MetricExpr, RangeAggregation } from '../logql/ast.ts';
import { fingerprintOf, lineHashOf } from '../protocol/fingerprint.ts';
import { canonicalText, compareBytes } from '../protocol/label-text.ts';
import type { AnsweredEntry, AnsweredSample } from '../protocol/querier-messages.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { LogStream } from '../query/query-messages.ts';

/** Loki's batch, and a bound on its bytes: clients take 4 MiB by default. */
const BATCH_ENTRIES_MAX = 128;
const BATCH_CHARS_MAX = 512 * 1024;

interface PlacedEntry {
  readonly labels: readonly string[];
  readonly entry: AnsweredEntry;
}

export type EntryBatch = ReadonlyMap<string, readonly AnsweredEntry[]>;

/**
 * Entries in the order of their times over all streams, as a client expects them of one batch after the other.
 * @param streams each in the asked direction, with labels, metadata and parsed labels apart
 * @param isCategorized keep them apart; else the labels are all of them
 */
export function* entryBatches(
  streams: readonly LogStream[],
  isBackward: boolean,
  isCategorized: boolean,
): Generator<EntryBatch> {
  let batch = new Map<string, AnsweredEntry[]>();
  let count = 0;
  let chars = 0;
  for (const { labels, entry } of inOrder(streams, isBackward)) {
    const text = canonicalText(isCategorized ? labels : mergedLabels(labels, entry));
    const entries = batch.get(text) ?? [];
    entries.push(entry);
    batch.set(text, entries);
    count += 1;
    chars += entry.line.length;
    if (count < BATCH_ENTRIES_MAX && chars < BATCH_CHARS_MAX) continue;
    yield batch;
    batch = new Map();
    count = 0;
    chars = 0;
  }
  if (count > 0) yield batch;
}

const inOrder = (streams: readonly LogStream[], isBackward: boolean): readonly PlacedEntry[] => {
  const placed = streams.flatMap(({ labels, entries }) => entries.map((entry) => ({ labels, entry })));
  if (streams.length < 2) return placed;
  const sign = isBackward ? -1 : 1;
  return placed.sort(({ entry: left }, { entry: right }) =>
    left.timeNs === right.timeNs ? 0 : left.timeNs < right.timeNs ? -sign : sign,
  );
};

/** All labels of an entry, sorted. */
export const mergedLabels = (
  labels: readonly string[],
  { metadata = [], parsed = [] }: Pick<AnsweredEntry, 'metadata' | 'parsed'>,
): readonly string[] => {
  if (metadata.length === 0 && parsed.length === 0) return labels;
  const byName = new Map<string, string>();
  for (const pairs of [labels, metadata, parsed]) {
    for (let index = 0; index < pairs.length; index += 2) byName.set(pairs[index] ?? '', pairs[index + 1] ?? '');
  }
  return [...byName].sort(([left], [right]) => compareBytes(left, right)).flat();
};

/** How samples are made of entries. */
export interface SampleSource {
  readonly range: RangeAggregation;
  readonly valueOf: (line: string) => number;
  /** A sum is taken of these groups already, as Loki does where that changes nothing. */
  readonly grouping: Grouping | undefined;
}

const VALUES: Partial<Record<RangeAggregation['op'], (line: string) => number>> = {
  count_over_time: () => 1,
  rate: () => 1,
  absent_over_time: () => 1,
  bytes_over_time: (line) => Buffer.byteLength(line),
  bytes_rate: (line) => Buffer.byteLength(line),
};

/** @throws RefusedError UNSUPPORTED_QUERY for what needs more than lines: unwrapped values, several selectors */
export const sampleSourceOf = (expr: MetricExpr): SampleSource => {
  if (expr.kind === 'rangeAggregation') return { range: expr, valueOf: sampleOf(expr), grouping: undefined };
  if (expr.kind === 'vectorAggregation' && expr.inner.kind === 'rangeAggregation') {
    const { inner, op, grouping = { without: false, names: [] } } = expr;
    const isSum = op === 'sum' && inner.op !== 'absent_over_time';
    return { range: inner, valueOf: sampleOf(inner), grouping: isSum ? grouping : undefined };
  }
  if (expr.kind === 'vectorAggregation') return { ...sampleSourceOf(expr.inner), grouping: undefined };
  throw unsupported(`samples of a ${expr.kind}`);
};

const sampleOf = ({ op, range }: RangeAggregation): ((line: string) => number) => {
  const value = range.unwrap ? undefined : VALUES[op];
  if (!value) throw unsupported('samples of unwrapped values');
  return value;
};

const unsupported = (what: string): RefusedError =>
  new RefusedError({ code: 'UNSUPPORTED_QUERY', text: `${what} are not supported over gRPC` });

export type SampleBatch = ReadonlyMap<string, { readonly hash: bigint; readonly samples: readonly AnsweredSample[] }>;

/** Samples of entries, by series. @param streams with all labels merged */
export function* sampleBatches(streams: readonly LogStream[], source: SampleSource): Generator<SampleBatch> {
  const labelsOf = new Map(streams.map(({ labels }) => [canonicalText(labels), labels]));
  for (const entries of entryBatches(streams, false, true)) {
    const batch = new Map<string, { hash: bigint; samples: AnsweredSample[] }>();
    for (const [text, lines] of entries) {
      const labels = grouped(labelsOf.get(text) ?? [], source.grouping);
      const name = canonicalText(labels);
      const series = batch.get(name) ?? { hash: fingerprintOf(labels), samples: [] };
      batch.set(name, series);
      for (const { timeNs, line } of lines) {
        series.samples.push({ timeNs, value: source.valueOf(line), hash: lineHashOf(line) });
      }
    }
    yield batch;
  }
}

const grouped = (labels: readonly string[], grouping: Grouping | undefined): readonly string[] => {
  if (!grouping) return labels;
  const kept: string[] = [];
  for (let index = 0; index < labels.length; index += 2) {
    const name = labels[index] ?? '';
    if (grouping.names.includes(name) !== grouping.without) kept.push(name, labels[index + 1] ?? '');
  }
  return kept;
};
