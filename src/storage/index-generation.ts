/**
 * Rows of days long past hardly change, and so may be cached (cached-index-store.ts): if they do, who changes them says so in the index itself. Each table has a row
 * for that, which Loki asks for no more than for any other name it does not know:
 *
 *   ringlog:generations     d<day>     a text that no other change ever wrote
 *
 * It is written after the rows of such a day are durable, and before anybody is told that they are. Why an answer is never short of what was stored meanwhile:
 * docs/decisions/0009-index-cache.md.
 */
import type { IndexEntry, IndexLookup } from './index-store.ts';
import { DAY_MS } from './schema-config.ts';

const GENERATIONS_ROW = 'ringlog:generations';

/** Chosen: chunks over midnight are flushed by then, so that few flushes are late ones. */
const CACHED_AFTER_MS = 6 * 3_600_000;

/** Chosen: clocks of two nodes may differ by the rest, 3 h, and no change of a cached day is kept quiet. */
const TOLD_AFTER_MS = 3 * 3_600_000;

const DAY_IN_ROW = /:d(\d+):/;

/** Days since 1970; undefined for a row that is of no day, or of one before. */
const dayOfRow = (hashValue: string): number | undefined => {
  const [, day] = DAY_IN_ROW.exec(hashValue) ?? [];
  return day === undefined ? undefined : Number(day);
};

const endMsOf = (day: number): number => (day + 1) * DAY_MS;

/** The day of a row that may be cached now; undefined for any other row. */
export const cachedDayOf = (hashValue: string, nowMs: number): number | undefined => {
  const day = dayOfRow(hashValue);
  return day !== undefined && endMsOf(day) + CACHED_AFTER_MS <= nowMs ? day : undefined;
};

/** What is to be written after the rows of these entries were written or deleted. @param generation a text that was never written before */
export const generationsOf = (
  entries: Iterable<Pick<IndexEntry, 'table' | 'hashValue'>>,
  nowMs: number,
  generation: string,
): readonly IndexEntry[] => {
  const changed = new Map<string, IndexEntry>();
  for (const { table, hashValue } of entries) {
    const day = dayOfRow(hashValue);
    if (day === undefined || endMsOf(day) + TOLD_AFTER_MS > nowMs) continue;
    changed.set(`${table}\0${day}`, { table, hashValue: GENERATIONS_ROW, rangeValue: `d${day}`, value: generation });
  }
  return [...changed.values()];
};

export const generationsLookup = (table: string): IndexLookup => ({ table, hashValue: GENERATIONS_ROW });

export const dayOfGeneration = (rangeValue: string): number => Number(rangeValue.slice(1));
