import { parseChunkKey } from '../storage/chunk-key.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { CHUNK_RANGE_END, chunkKeyOfCell } from '../storage/index-row.ts';
import type { IndexStore } from '../storage/index-store.ts';
import { DAY_MS, type DayBucket, dayBuckets, type SchemaConfig } from '../storage/schema-config.ts';

/** A series on one day. */
export interface SeriesDay {
  readonly tenant: string;
  readonly series: string;
  readonly bucket: DayBucket;
}

/** The chunks that the index has of one series on one day, or some of them. */
export interface ChunkRow extends SeriesDay {
  readonly chunks: readonly ChunkRef[];
}

/** The same as it is stored: range values of kind 4. */
export interface StoredChunkRow extends SeriesDay {
  readonly hashValue: string;
  readonly rangeValues: readonly string[];
}

/** `tenant:d19458:series`; a tenant has no colon. */
const CHUNK_ROW = /^([^:]+):d(\d+):([A-Za-z0-9+/]{43})$/;

/**
 * All chunk rows of a table, some at a time. Left out is what is not the schema's: rows of days whose rows lie in another table, of other shapes, cells that name
 * no chunk of the row's tenant.
 */
export async function* walkChunks(
  index: IndexStore,
  schema: SchemaConfig,
  table: string,
): AsyncIterable<readonly ChunkRow[]> {
  for await (const rows of walkChunkRows(index, schema, table)) {
    yield rows.flatMap(({ tenant, series, bucket, rangeValues }): readonly ChunkRow[] => {
      const chunks = rangeValues.flatMap((rangeValue) => {
        const ref = parseChunkKey(chunkKeyOfCell(rangeValue) ?? '');
        return ref?.tenant === tenant ? [ref] : [];
      });
      return chunks.length > 0 ? [{ tenant, series, bucket, chunks }] : [];
    });
  }
}

/**
 * As `walkChunks`, with cells whatever they name.
 * @param onOther gets the range values of each row that is left out
 */
export async function* walkChunkRows(
  index: IndexStore,
  schema: SchemaConfig,
  table: string,
  onOther?: (rangeValues: readonly string[]) => void,
): AsyncIterable<readonly StoredChunkRow[]> {
  const bucketOf = bucketsOf(schema, table);
  for await (const rows of index.rows(table, CHUNK_RANGE_END)) {
    yield rows.flatMap(({ hashValue, cells }): readonly StoredChunkRow[] => {
      const [, tenant = '', day = '', series = ''] = CHUNK_ROW.exec(hashValue) ?? [];
      const bucket = day === '' ? undefined : bucketOf(Number(day));
      const rangeValues = cells.map(({ rangeValue }) => rangeValue);
      if (bucket) return [{ hashValue, tenant, series, bucket, rangeValues }];
      onOther?.(rangeValues);
      return [];
    });
  }
}

/** Whole days of a table, remembered; undefined for a day whose rows lie in another one. */
export const bucketsOf = (schema: SchemaConfig, table: string): ((day: number) => DayBucket | undefined) => {
  const buckets = new Map<number, DayBucket | undefined>();
  return (day) => {
    if (!buckets.has(day)) {
      const [bucket] = dayBuckets(schema, day * DAY_MS, (day + 1) * DAY_MS - 1);
      buckets.set(day, bucket?.table === table ? bucket : undefined);
    }
    return buckets.get(day);
  };
};
