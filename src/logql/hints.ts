/**
 * What a metric query extracts at all. Loki pushes the grouping of an outer `sum` into the extraction and then skips labels nobody asks
 * for, which shows: errors of lines that were not parsed, or not to the end, do not exist.
 */
import type { Grouping, LabelFormat, RangeAggregation, Stage, Unwrap, VectorAggregation } from './ast.ts';
import type { LabelHints } from './pipeline.ts';
import { ERROR_LABEL } from './stages/entry.ts';
import { filterNames } from './stages/label-filter.ts';
import { templateFieldNames } from './template/field-names.ts';

/** For log queries: everything is extracted. */
export const ALL_LABELS: LabelHints = { extract: 'all', preserveError: false };

const PUSHED_INTO: ReadonlySet<string> = new Set([
  'count_over_time',
  'rate',
  'bytes_over_time',
  'bytes_rate',
  'sum_over_time',
]);
const EXTRACTED = '_extracted';

/** Grouping that decides which labels a sample needs: the range aggregation's own, else that of a `sum` directly around it. */
export const extractionGrouping = (
  range: RangeAggregation,
  outer: VectorAggregation | undefined,
): Grouping | undefined => {
  if (range.grouping !== undefined) return range.grouping;
  if (outer?.op !== 'sum' || outer.inner !== range || !PUSHED_INTO.has(range.op)) return undefined;
  return outer.grouping ?? { without: false, names: [] };
};

const formatNames = (format: LabelFormat): readonly string[] =>
  format.kind === 'rename' ? [format.source] : templateFieldNames(format.template);

const stageNames = (stage: Stage): readonly string[] => {
  switch (stage.kind) {
    case 'labelFilter':
      return filterNames(stage.filter);
    case 'lineFormat':
      return templateFieldNames(stage.template);
    case 'labelFormat':
      return stage.formats.flatMap(formatNames);
    default:
      return [];
  }
};

const unwrapNames = (unwrap: Unwrap | undefined): readonly string[] =>
  unwrap === undefined ? [] : [unwrap.name, ...unwrap.filters.flatMap(filterNames)];

/** What a parser, or metadata, calls a label that is `name` because the stream has one of that name. */
export const originalOf = (name: string): string =>
  name.endsWith(EXTRACTED) ? name.slice(0, -EXTRACTED.length) : name;

const withOriginals = (names: readonly string[]): readonly string[] => [
  ...new Set(names.flatMap((name) => [name, originalOf(name)])),
];

/**
 * Hints for the entries of a range aggregation.
 *
 * @param outer the vector aggregation directly around it, if any
 */
export const labelHints = (range: RangeAggregation, outer: VectorAggregation | undefined): LabelHints => {
  const grouping = extractionGrouping(range, outer);
  const keepsNoLabel =
    range.op === 'absent_over_time' || (grouping !== undefined && !grouping.without && grouping.names.length === 0);
  const groups = grouping?.names ?? [];
  const required = withOriginals([
    ...metricStages(range).flatMap(stageNames),
    ...groups,
    ...unwrapNames(range.range.unwrap),
  ]);
  const preserveError =
    required.includes(ERROR_LABEL) && (keepsNoLabel || (grouping !== undefined && !grouping.without));
  if (keepsNoLabel) return { extract: required.length === 0 ? 'none' : required, preserveError };
  if (grouping === undefined || grouping.without) return { extract: 'all', preserveError };
  return { extract: required, preserveError };
};

const READS_LINE: ReadonlySet<Stage['kind']> = new Set(['lineFilter', 'json', 'logfmt', 'regexp', 'pattern', 'unpack']);

/**
 * The stages a range aggregation really runs: a line_format that nothing after it can notice is left out, with its errors (also those of
 * a template that does not parse). Not for bytes_*, which measure the line.
 */
export const metricStages = ({ op, range }: RangeAggregation): readonly Stage[] => {
  const { stages } = range.log;
  if (op === 'bytes_over_time' || op === 'bytes_rate') return stages;
  return stages.filter(
    (stage, index) => stage.kind !== 'lineFormat' || stages.slice(index + 1).some(({ kind }) => READS_LINE.has(kind)),
  );
};
