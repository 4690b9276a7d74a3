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
import type { DayBucket } from './schema-config.ts';

/** Series ids of the bucket's day that pass every plan. A series is found on the days its chunks are on. */
export const selectSeries = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  plans: readonly MatcherPlan[],
): Promise<ReadonlySet<string>> => {
  let selected: Set<string> | undefined;
  for (const plan of plans) {
    selected =
      plan.effect === 'include'
        ? await wantedSeries(store, bucket, tenant, plan, selected)
        : await withoutWanted(store, bucket, tenant, plan, selected);
    if (selected.size === 0) return selected;
  }
  return selected ?? (await listedSeries(store, bucket, tenant));
};

/** Shows every cell of a label on a day: the value, and a series that has it. `series` limits what is read, not exactly. */
export const scanLabel = async (
  store: IndexStore,
  { bucket, tenant, name, values, series }: LabelScan,
  visit: (value: string, series: string) => void,
): Promise<void> => {
  const rows = shardsOf(bucket, series).map((shard) => labelRow(bucket, tenant, shard, name));
  const lookups: IndexLookup[] = rows.flatMap((hashValue) => {
    const row = { table: bucket.table, hashValue };
    return values ? values.map((value) => ({ ...row, rangePrefix: `${valueHashOf(value)}\0` })) : [row];
  });
  await store.scan(lookups, (cells) => {
    for (let index = 0; index < cells.length; index++) {
      const found = seriesOfLabelCell(cells.rangeValue(index));
      if (found !== undefined) visit(cells.value(index), found);
    }
    return false;
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
): Promise<Set<string>> => {
  const wanted = new Set<string>();
  await scanLabel(store, { bucket, tenant, name, values, series: among }, (value, series) => {
    if (isWanted(value) && (!among || among.has(series))) wanted.add(series);
  });
  return wanted;
};

const withoutWanted = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  { name, values, isWanted }: MatcherPlan,
  among: Set<string> | undefined,
): Promise<Set<string>> => {
  const rest = among ?? (await listedSeries(store, bucket, tenant));
  await scanLabel(store, { bucket, tenant, name, values, series: rest }, (value, series) => {
    if (isWanted(value)) rest.delete(series);
  });
  return rest;
};

/** Series that have a row of kind 1 on the day. @param among if given, only those of them */
export const listedSeries = async (
  store: IndexStore,
  bucket: DayBucket,
  tenant: string,
  among?: ReadonlySet<string>,
): Promise<Set<string>> => {
  const all = new Set<string>();
  const lookups = shardsOf(bucket, among).map((shard) => ({
    table: bucket.table,
    hashValue: seriesRow(bucket, tenant, shard),
  }));
  await store.scan(lookups, (cells) => {
    for (let index = 0; index < cells.length; index++) {
      const series = seriesOfCell(cells.rangeValue(index));
      if (series !== undefined && (!among || among.has(series))) all.add(series);
    }
    return false;
  });
  return all;
};

/** Taken before anything is read: the caller may delete from `series` meanwhile. */
const shardsOf = ({ period }: DayBucket, series: ReadonlySet<string> | undefined): string[] => {
  const all = shardPrefixes(period);
  if (!series || series.size >= all.length * 4) return all;
  return [...new Set(Array.from(series, (id) => shardPrefixOf(period, id)))];
};
