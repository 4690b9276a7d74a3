/**
 * Which tables there are to be, and which are to go. Pure. Tables are named prefix + number (docs/index-rows.md); source of the rules: Loki's table manager
 * (storage format, sections 5.3 and 7), but that only what these periods can have named is ever removed.
 */
import { DAY_MS, dayOf, type SchemaConfig, type SchemaPeriod } from './schema-config.ts';

/** A schema period whose rows are in the store. */
export interface TablePeriod extends Pick<SchemaPeriod, 'prefix' | 'periodHours' | 'fromDay'> {
  /** The first day that is no longer of it. */
  readonly endDay: number | undefined;
}

export interface TablePlanOptions {
  /** How long before its first day a table is made. */
  readonly graceMs: number;
  /** Tables of days longer ago go; 0: none ever do. A multiple of every period's hours. */
  readonly retentionMs: number;
}

const HOUR_MS = 3_600_000;

/** The periods in Bigtable, whatever the layout. */
export const tablePeriods = (schema: SchemaConfig): readonly TablePeriod[] =>
  schema.flatMap(({ store, prefix, periodHours, fromDay }, index) =>
    store === 'lmdb' ? [] : [{ prefix, periodHours, fromDay, endDay: schema[index + 1]?.fromDay }],
  );

/** Tables of all days from the first period, or what is kept, until `graceMs` from now; the newest first. */
export const expectedTables = (
  periods: readonly TablePeriod[],
  nowMs: number,
  { graceMs, retentionMs }: TablePlanOptions,
): readonly string[] => {
  const tables = new Set<string>();
  for (const period of periods.toReversed()) {
    if (period.periodHours === 0) {
      if (dayOf(nowMs + graceMs) >= period.fromDay) tables.add(period.prefix);
      continue;
    }
    const last = numberOf(period, Math.min(dayOf(nowMs + graceMs), (period.endDay ?? Number.POSITIVE_INFINITY) - 1));
    const first = Math.max(numberOf(period, period.fromDay), oldestKept(period, nowMs, retentionMs));
    for (let number = last; number >= first; number--) tables.add(`${period.prefix}${number}`);
  }
  return [...tables];
};

/** Those of the tables whose days are all longer ago than what is kept, by every period that can have named them. */
export const expiredTables = (
  periods: readonly TablePeriod[],
  tables: readonly string[],
  nowMs: number,
  { retentionMs }: Pick<TablePlanOptions, 'retentionMs'>,
): readonly string[] => {
  if (retentionMs === 0) return [];
  return tables.filter((table) => {
    // A table without a number is one for all days.
    if (periods.some(({ prefix, periodHours }) => periodHours === 0 && prefix === table)) return false;
    const named = periods.flatMap((period) => {
      const number = numberIn(period, table);
      return number === undefined ? [] : [number < oldestKept(period, nowMs, retentionMs)];
    });
    return named.length > 0 && named.every((isExpired) => isExpired);
  });
};

/** undefined if the period cannot have named the table. */
const numberIn = (period: TablePeriod, table: string): number | undefined => {
  if (period.periodHours === 0 || !table.startsWith(period.prefix)) return undefined;
  const digits = table.slice(period.prefix.length);
  if (!/^(0|[1-9]\d{0,8})$/.test(digits)) return undefined;
  const number = Number(digits);
  const last = period.endDay === undefined ? Number.POSITIVE_INFINITY : numberOf(period, period.endDay - 1);
  return number >= numberOf(period, period.fromDay) && number <= last ? number : undefined;
};

const numberOf = ({ periodHours }: TablePeriod, day: number): number =>
  Math.floor((day * DAY_MS) / (periodHours * HOUR_MS));

const oldestKept = ({ periodHours }: TablePeriod, nowMs: number, retentionMs: number): number =>
  retentionMs === 0
    ? Number.NEGATIVE_INFINITY
    : Math.floor(nowMs / (periodHours * HOUR_MS)) - Math.ceil(retentionMs / (periodHours * HOUR_MS));
