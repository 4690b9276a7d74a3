/** Rows of single chunks in an index: whether they are there, and how they get there. */

import { chunkEntry, type IndexedChunk, labelEntries, seriesIdOf } from '../storage/index-row.ts';
import type { IndexEntry, IndexLookup, IndexStore } from '../storage/index-store.ts';
import type { WrittenSeries } from '../storage/index-writer.ts';
import { type DayBucket, dayBuckets, type SchemaConfig } from '../storage/schema-config.ts';

/** An index and how its rows look. */
export interface ChunkIndex {
  readonly index: IndexStore;
  readonly schema: SchemaConfig;
  /** False for tables that are past their retention: they hold no rows, and get none. Absent: all are kept. */
  readonly isKept?: ((table: string) => boolean) | undefined;
}

/** How rows look, and which there are to be. */
type RowPlan = Pick<ChunkIndex, 'schema' | 'isKept'>;

/** The days of which the index has, or is to have, rows of a chunk; none: it is past the retention of all its tables. */
export const keptDays = (
  { schema, isKept }: RowPlan,
  { fromMs, throughMs }: Pick<IndexedChunk, 'fromMs' | 'throughMs'>,
): readonly DayBucket[] => {
  const days = dayBuckets(schema, fromMs, throughMs);
  return isKept ? days.filter(({ table }) => isKept(table)) : days;
};

/** One row, and whose cells are looked for in it. */
interface RowLookup extends IndexLookup {
  readonly wanted: Map<string, string>;
}

/**
 * Keys of those chunks that the index has rows of: of all their days, or of any.
 * One read a series and day, however many chunks it has.
 */
export const indexedChunks = async (
  side: ChunkIndex,
  chunks: readonly IndexedChunk[],
  days: 'all' | 'any',
): Promise<ReadonlySet<string>> => {
  const lookups = new Map<string, RowLookup>();
  const missing = new Map<string, number>();
  for (const chunk of chunks) {
    const series = seriesIdOf(chunk.labels);
    const buckets = keptDays(side, chunk);
    missing.set(chunk.key, days === 'all' ? buckets.length : 1);
    for (const bucket of buckets) {
      const { table, hashValue, rangeValue } = chunkEntry(bucket, chunk.tenant, series, chunk.key);
      const row = `${table}\0${hashValue}`;
      const lookup = lookups.get(row) ?? { table, hashValue, wanted: new Map<string, string>() };
      lookup.wanted.set(rangeValue, chunk.key);
      lookups.set(row, lookup);
    }
  }
  // Stores read rows of one table together.
  const inOrder = [...lookups.values()].sort((a, b) => (a.table < b.table ? -1 : Number(a.table > b.table)));
  await side.index.scan(inOrder, (cells, { wanted }) => {
    for (const { rangeValue } of cells) {
      const key = wanted.get(rangeValue);
      if (key !== undefined) missing.set(key, (missing.get(key) ?? 0) - 1);
    }
    return false;
  });
  return new Set([...missing].flatMap(([key, count]) => (count <= 0 ? [key] : [])));
};

/** What an index has of a chunk: what finds its series, and the chunk itself. */
export interface ChunkEntries {
  readonly labels: readonly IndexEntry[];
  readonly chunk: readonly IndexEntry[];
  /** Days that the first are of. */
  readonly fresh: readonly DayBucket[];
}

/** @param known series and days that need no rows of labels */
export const entriesOfChunk = (plan: RowPlan, chunk: IndexedChunk, known: Pick<WrittenSeries, 'has'>): ChunkEntries => {
  const { tenant, labels, key } = chunk;
  const series = seriesIdOf(labels);
  const buckets = keptDays(plan, chunk);
  const fresh = buckets.filter((bucket) => !known.has(bucket, tenant, series));
  return {
    labels: fresh.flatMap((bucket) => labelEntries(bucket, tenant, labels, series)),
    chunk: buckets.map((bucket) => chunkEntry(bucket, tenant, series, key)),
    fresh,
  };
};

/**
 * Makes a chunk visible whose object is durable. First what finds its series, then the chunk: so a chunk that has its row has all of them, whenever this
 * is cut short. Without commits: whatever they say, the rows are there afterwards, once.
 */
export const writeRows = async (side: ChunkIndex, chunk: IndexedChunk, written: WrittenSeries): Promise<void> => {
  const entries = entriesOfChunk(side, chunk, written);
  if (entries.labels.length > 0) await side.index.write(entries.labels);
  noteSeries(chunk, entries, written);
  await side.index.write(entries.chunk);
};

export const noteSeries = ({ tenant, labels }: IndexedChunk, { fresh }: ChunkEntries, written: WrittenSeries): void => {
  for (const bucket of fresh) written.add(bucket, tenant, seriesIdOf(labels));
};
