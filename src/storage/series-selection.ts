/** Matchers → series of one day, by rows of kinds 1 and 2 alone. */
import {
  labelRow,
  seriesOfCell,
  seriesOfLabelCell,
  seriesRow,
  shardPrefixes,
  shardPrefixOf,
  valueHashOf,
} from './index-row.ts';
import type { IndexLookup, IndexStore } from './index-store.ts';
import type { MatcherPlan } from './matcher-plan.ts';
import { RowBound } from './row-bound.ts';
import type { DayBucket } from './schema-config.ts';

/**
 * Series ids of the bucket's day that pass every plan. A series is found on the days its chunks are on.
 * @param entriesMax cells of one row (`cardinality_limit`); 0 = any number
 * @throws RefusedError INVALID_QUERY if no plan has rows of so few: as in Loki, one of them is enough
 */
export const selectSeries = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  plans: readonly MatcherPlan[],
  entriesMax = 0,
): Promise<ReadonlySet<string>> => {
  let selected: Set<string> | undefined;
  let isNarrow = false;
  let bound = new RowBound(entriesMax, '', true);
  for (const [index, plan] of plans.entries()) {
    bound = new RowBound(entriesMax, plan.name, !isNarrow && index === plans.length - 1);
    selected =
      plan.effect === 'include'
        ? await wantedSeries(store, bucket, tenant, plan, selected, bound)
        : await withoutWanted(store, bucket, tenant, plan, selected, bound);
    isNarrow ||= !bound.isExceeded;
    if (selected.size > 0) continue;
    // Nothing was wanted of what was read: of a row that was left before its end that says nothing.
    if (!isNarrow && index === plans.length - 1) bound.check();
    return selected;
  }
  selected ??= await listedSeries(store, bucket, tenant, undefined, bound);
  if (!isNarrow) bound.check();
  return selected;
};

/** Shows every cell of a label on a day: the value, and a series that has it. `series` limits what is read, not exactly; nor does `bound` refuse. */
export const scanLabel = async (
  store: IndexStore,
  { bucket, tenant, name, values, series }: LabelScan,
  visit: (value: string, series: string) => void,
  bound?: RowBound,
): Promise<void> => {
  const rows = shardsOf(bucket, series).map((shard) => labelRow(bucket, tenant, shard, name));
  const lookups: IndexLookup[] = rows.flatMap((hashValue) => {
    const row = { table: bucket.table, hashValue };
    return values ? values.map((value) => ({ ...row, rangePrefix: `${valueHashOf(value)}\0` })) : [row];
  });
  await store.scan(lookups, (cells, lookup) => {
    for (let index = 0; index < cells.length; index++) {
      const found = seriesOfLabelCell(cells.rangeValue(index));
      if (found !== undefined) visit(cells.value(index), found);
    }
    return bound?.count(lookup, cells.length) ?? false;
  });
};

export interface LabelScan {
  readonly bucket: DayBucket;
  readonly tenant: string;
  readonly name: string;
  /** Only these values; undefined: all. */
  readonly values: readonly string[] | undefined;
  /** Only the shards these are in; undefined: all. */
  readonly series: ReadonlySet<string> | undefined;
}

const wantedSeries = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  { name, values, isWanted }: MatcherPlan,
  among: ReadonlySet<string> | undefined,
  bound: RowBound,
): Promise<Set<string>> => {
  const wanted = new Set<string>();
  const visit = (value: string, series: string): void => {
    if (isWanted(value) && (!among || among.has(series))) wanted.add(series);
  };
  await scanLabel(store, { bucket, tenant, name, values, series: among }, visit, bound);
  return wanted;
};

const withoutWanted = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  { name, values, isWanted }: MatcherPlan,
  among: Set<string> | undefined,
  bound: RowBound,
): Promise<Set<string>> => {
  const rest = among ?? (await listedSeries(store, bucket, tenant, undefined, bound));
  const visit = (value: string, series: string): void => {
    if (isWanted(value)) rest.delete(series);
  };
  await scanLabel(store, { bucket, tenant, name, values, series: rest }, visit, bound);
  return rest;
};

/** Series that have a row of kind 1 on the day. @param among if given, only those of them */
export const listedSeries = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  among?: ReadonlySet<string>,
  bound?: RowBound,
): Promise<Set<string>> => {
  const all = new Set<string>();
  const lookups = shardsOf(bucket, among).map((shard) => ({
    table: bucket.table,
    hashValue: seriesRow(bucket, tenant, shard),
  }));
  await store.scan(lookups, (cells, lookup) => {
    for (let index = 0; index < cells.length; index++) {
      const series = seriesOfCell(cells.rangeValue(index));
      if (series !== undefined && (!among || among.has(series))) all.add(series);
    }
    return bound?.count(lookup, cells.length) ?? false;
  });
  return all;
};

/** Taken before anything is read: the caller may delete from `series` meanwhile. */
const shardsOf = ({ period }: DayBucket, series: ReadonlySet<string> | undefined): string[] => {
  const all = shardPrefixes(period);
  if (!series || series.size >= all.length * 4) return all;
  return [...new Set(Array.from(series, (id) => shardPrefixOf(period, id)))];
};
