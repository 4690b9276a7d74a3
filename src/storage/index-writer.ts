import { chunkEntry, type IndexedChunk, labelEntries, seriesIdOf } from './index-row.ts';
import type { IndexEntry, IndexStore, SegmentName } from './index-store.ts';
import { type DayBucket, dayBuckets, dayOf, type SchemaConfig } from './schema-config.ts';

/** Chosen: 100,000 streams over midnight; about 20 MiB. */
const SERIES_DAYS_MAX = 200_000;

/** Chosen: chunks that begin late at night are flushed the next day. Rows of days before that may be removed again: see LABEL_ROWS_KEPT_DAYS. */
const REMEMBERED_DAYS = 1;

/** The compactor removes rows of kinds 1 and 2 of no later days: nobody takes them for written then, whatever their clock says. */
export const LABEL_ROWS_KEPT_DAYS = REMEMBERED_DAYS + 2;

/**
 * Series whose rows of kinds 1 to 3 are known to be durable, by table, tenant and day, but of days long ago. Forgets the oldest day first, and forgetting
 * costs only that rows are written again.
 */
export class WrittenSeries {
  readonly #seriesDaysMax: number;
  readonly #nowMs: () => number;
  readonly #days = new Map<string, Set<string>>();
  #size = 0;

  constructor(nowMs: () => number, seriesDaysMax = SERIES_DAYS_MAX) {
    this.#nowMs = nowMs;
    this.#seriesDaysMax = seriesDaysMax;
  }

  get size(): number {
    return this.#size;
  }

  has(bucket: DayBucket, tenant: string, series: string): boolean {
    if (bucket.day < dayOf(this.#nowMs()) - REMEMBERED_DAYS) return false;
    return this.#days.get(dayKey(bucket, tenant))?.has(series) ?? false;
  }

  add(bucket: DayBucket, tenant: string, series: string): void {
    const key = dayKey(bucket, tenant);
    if (this.#days.get(key)?.has(series)) return;
    while (this.#size >= this.#seriesDaysMax) this.#forgetOldest();
    const written = this.#days.get(key);
    if (written) written.add(series);
    else this.#days.set(key, new Set([series]));
    this.#size += 1;
  }

  #forgetOldest(): void {
    for (const [key, written] of this.#days) {
      this.#days.delete(key);
      this.#size -= written.size;
      return;
    }
  }
}

const dayKey = ({ table, day }: DayBucket, tenant: string): string => `${table}/${day}/${tenant}`;

/**
 * Commits segments with the rows of their chunk; without a segment the rows are written whatever was before. The object must be durable already:
 * a row without an object fails every query that meets it. Repeating it after an error is fine.
 * @returns which segments were committed before, and the keys of their chunks: then nothing is written. If that is this chunk for all of them,
 *   an earlier attempt came through, and none are returned
 * @throws RefusedError what the store refuses
 */
export const commitChunk = async (
  store: IndexStore,
  schema: SchemaConfig,
  segments: readonly SegmentName[],
  chunk: IndexedChunk,
  written: WrittenSeries,
  shared?: ReadonlySet<SegmentName>,
): Promise<ReadonlyMap<SegmentName, string>> => {
  const { tenant, labels, key } = chunk;
  const series = seriesIdOf(labels);
  const entries: IndexEntry[] = [];
  const fresh: DayBucket[] = [];
  for (const bucket of dayBuckets(schema, chunk.fromMs, chunk.throughMs)) {
    if (!written.has(bucket, tenant, series)) {
      fresh.push(bucket);
      entries.push(...labelEntries(bucket, tenant, labels, series));
    }
    entries.push(chunkEntry(bucket, tenant, series, key));
  }
  const committed = segments.length > 0 ? await store.commit(segments, key, entries, shared) : NONE;
  if (segments.length === 0) await store.write(entries);
  const isThere = committed.size === 0 || segments.every((segment) => committed.get(segment) === key);
  if (!isThere) return committed;
  for (const bucket of fresh) written.add(bucket, tenant, series);
  return NONE;
};

const NONE: ReadonlyMap<SegmentName, string> = new Map();
