import { bytesOfText } from '../protocol/byte-text.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs } from '../protocol/whole-ms.ts';
import type { ChunkBound } from './chunk-bound.ts';
import { ChunkKeyReader } from './chunk-key.ts';
import { ChunkRefs } from './chunk-refs.ts';
import type { ShownCells } from './index-cells.ts';
import type { IndexReader, SeriesReader, StoredSeries } from './index-reader.ts';
import { chunkRow, readChunkCell, relativeTime } from './index-row.ts';
import type { IndexStore } from './index-store.ts';
import { plansOf } from './matcher-plan.ts';
import { RowBound } from './row-bound.ts';
import { DAY_MS, type DayBucket, dayBuckets, dayOf, type SchemaConfig } from './schema-config.ts';
import { SeriesLabels } from './series-labels.ts';
import { scanLabel, selectSeries } from './series-selection.ts';
import { inSlices } from './slices.ts';

/** Chosen: days are independent; a few at a time hide a remote store's round trips. */
const DAYS_IN_FLIGHT = 4;

interface RangeMs {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * Loki's rows, read with fewer look-ups than Loki makes. All matchers are decided here, those that match the empty value too: a series
 * that has no cell for a label has not got the label. Days are decided one by one: a series is looked for only on days it has rows.
 */
export class SchemaIndexReader implements IndexReader, SeriesReader {
  readonly #store: IndexStore;
  readonly #schema: SchemaConfig;
  readonly #labels: SeriesLabels;
  readonly #entriesMaxOf: (tenant: string) => number;

  /** @param entriesMaxOf `cardinality_limit` of a tenant: cells of one row; 0 = any number */
  constructor(store: IndexStore, schema: SchemaConfig, entriesMaxOf: (tenant: string) => number = () => 0) {
    this.#store = store;
    this.#schema = schema;
    this.#entriesMaxOf = entriesMaxOf;
    this.#labels = new SeriesLabels(store);
  }

  async chunkRefs(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    bound?: ChunkBound,
  ): Promise<ChunkRefs> {
    const rangeMs = toMs(range);
    const firstDay = dayOf(rangeMs.startMs);
    const refs = new ChunkRefs(tenant);
    await this.#eachDay(tenant, matchers, rangeMs, async (bucket, series) => {
      await this.#scanChunks(bucket, tenant, series, rangeMs, (chunk, row) => {
        refs.add(chunk, row);
        // It has rows on each of its days: the first of them in the range counts.
        if (bound && (bucket.day === firstDay || dayOf(chunk.fromMs) === bucket.day)) bound.see(chunk);
        return false;
      });
    });
    await refs.settle();
    return refs;
  }

  /** In any order. Precise to the day, like Loki. Schemas v9 and v10 have no rows for this: their series add no names. */
  async labelNames(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]> {
    const found = new Set<string>();
    await this.#eachDay(tenant, matchers, toMs(range), async (bucket, series) => {
      const lists = new Set<readonly string[]>();
      for await (const slice of inSlices((await this.#labels.namesOf(bucket, series)).values())) {
        for (const names of slice) lists.add(names);
      }
      for (const names of lists) for (const name of names) found.add(name);
    });
    return [...found];
  }

  /** In any order. Precise to the day, like Loki. */
  async labelValues(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly string[]> {
    const found = new Set<string>();
    const scan = async (bucket: DayBucket, series: ReadonlySet<string> | undefined): Promise<void> => {
      const visit = (value: string, id: string): void => {
        if (!series || series.has(id)) found.add(value);
      };
      const bound = series ? undefined : new RowBound(this.#entriesMaxOf(tenant), name, true);
      await scanLabel(this.#store, { bucket, tenant, name, values: undefined, series }, visit, bound);
      bound?.check();
    };
    const rangeMs = toMs(range);
    if (matchers.length > 0) await this.#eachDay(tenant, matchers, rangeMs, scan);
    else await forEachConcurrent(await this.#days(rangeMs), DAYS_IN_FLIGHT, (bucket) => scan(bucket, undefined));
    return [...found];
  }

  async series(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly StoredSeries[]> {
    const rangeMs = toMs(range);
    const found = new Map<string, StoredSeries>();
    await this.#eachDay(tenant, matchers, rangeMs, async (bucket, selected) => {
      const present = isWholeDay(bucket, rangeMs)
        ? selected
        : await this.#withChunks(bucket, tenant, selected, rangeMs, (id) => found.get(id)?.labels === undefined);
      const labelsOf = await this.#labels.labelsOf(bucket, tenant, present);
      for await (const slice of inSlices(present)) {
        for (const seriesId of slice) {
          const labels = labelsOf.get(seriesId) ?? found.get(seriesId)?.labels;
          found.set(seriesId, { seriesId, labels });
        }
      }
    });
    return [...found.values()];
  }

  async #eachDay(
    tenant: string,
    matchers: readonly LabelMatcher[],
    rangeMs: RangeMs,
    work: (bucket: DayBucket, series: ReadonlySet<string>) => Promise<void>,
  ): Promise<void> {
    const plans = plansOf(matchers);
    await forEachConcurrent(await this.#days(rangeMs), DAYS_IN_FLIGHT, async (bucket) => {
      await work(bucket, await selectSeries(this.#store, bucket, tenant, plans, this.#entriesMaxOf(tenant)));
    });
  }

  async #days({ startMs, endMs }: RangeMs): Promise<readonly DayBucket[]> {
    const tables = await this.#store.tables?.();
    return dayBuckets(this.#schema, startMs, endMs, tables && new Set(tables));
  }

  /** Those of the series that pass and have a chunk that overlaps the range. */
  async #withChunks(
    bucket: DayBucket,
    tenant: string,
    series: ReadonlySet<string>,
    rangeMs: RangeMs,
    isAsked: (id: string) => boolean,
  ): Promise<ReadonlySet<string>> {
    const present = new Set<string>();
    for await (const slice of inSlices(series)) {
      await this.#scanChunks(bucket, tenant, slice.filter(isAsked), rangeMs, (_, row) => {
        present.add(row.series);
        return true;
      });
    }
    return present;
  }

  /** Shows the chunks of each series that overlap the range, one after the other in the same place; true ends that series. */
  async #scanChunks(
    bucket: DayBucket,
    tenant: string,
    series: Iterable<string>,
    { startMs, endMs }: RangeMs,
    visit: (chunk: ChunkKeyReader, row: { readonly series: string }) => boolean,
  ): Promise<void> {
    const rangeStart = `${relativeTime(startMs - bucket.day * DAY_MS)}\0`;
    const chunk = new ChunkKeyReader();
    const readChunk = chunkOfTenant(chunk, tenant, bucket.table);
    await this.#store.scan(chunkLookups(bucket, tenant, series, rangeStart), (cells, lookup) => {
      for (let index = 0; index < cells.length; index++) {
        if (!readChunk(cells, index) || chunk.throughMs < startMs || chunk.fromMs > endMs) continue;
        if (visit(chunk, lookup)) return true;
      }
      return false;
    });
  }
}

/** Then every series of the day has a chunk in the range: without one it would have no rows on that day. */
const isWholeDay = ({ day }: DayBucket, { startMs, endMs }: RangeMs): boolean =>
  startMs <= day * DAY_MS && endMs >= (day + 1) * DAY_MS - 1;

function* chunkLookups(bucket: DayBucket, tenant: string, series: Iterable<string>, rangeStart: string) {
  for (const id of series) {
    yield { table: bucket.table, hashValue: chunkRow(bucket, tenant, id), rangeStart, series: id };
  }
}

/** Reads a cell into `chunk`; false if it is not of kind 4. @throws RefusedError INTERNAL for one that names no chunk: leaving it out would hide lines */
const chunkOfTenant = (chunk: ChunkKeyReader, tenant: string, table: string) => {
  const tenantBytes = bytesOfText(tenant);
  return (cells: ShownCells, index: number): boolean => {
    if (!readChunkCell(chunk, cells.bytes, cells.rangeStart(index), cells.rangeEnd(index))) return false;
    if (chunk.isKey && chunk.isOfTenant(tenantBytes)) return true;
    const text = `${table} names a chunk that cannot be: ${JSON.stringify(chunk.key)}`;
    throw new RefusedError({ code: 'INTERNAL', text });
  };
};

/** Loki's rounding: start down, end up. */
const toMs = ({ startNs, endNs }: TimeRangeNs): RangeMs => ({
  startMs: floorMs(startNs),
  endMs: -floorMs(-endNs),
});
