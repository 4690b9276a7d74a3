import type { Clock } from '../protocol/clock.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { parseChunkKey } from '../storage/chunk-key.ts';
import type { ChunkMarks, MarkedChunk } from '../storage/chunk-marks.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { chunkEntry, chunkRow, labelEntries } from '../storage/index-row.ts';
import type { IndexPlace, IndexStore } from '../storage/index-store.ts';
import { LABEL_ROWS_KEPT_DAYS } from '../storage/index-writer.ts';
import { DAY_MS, type DayBucket, dayBuckets, dayOf, type SchemaConfig } from '../storage/schema-config.ts';
import type { SeriesLabels } from '../storage/series-labels.ts';
import { EmptiedSeries } from './emptied-series.ts';

/** A chunk, and the series that its rows are under. */
export interface StoredChunk {
  readonly ref: ChunkRef;
  readonly series: string;
}

export interface ChunkRemovalDeps {
  readonly index: IndexStore;
  readonly chunks: Pick<ChunkStore, 'delete'>;
  readonly schema: SchemaConfig;
  readonly marks: ChunkMarks;
  readonly labels: SeriesLabels;
  readonly clock: Clock;
  /** What was removed from the index may still be on the way to a query for so long. */
  readonly delayMs: number;
}

/** Objects deleted before the next look at the marks. */
const SWEPT_TOGETHER = 100;

/**
 * Removes chunks so that no row is ever without its object, and whoever ends in between leaves a mark by which the next one goes on:
 *
 *   mark → rows → rows of the series' labels, if that was its last chunk of the day → …delay… → object → those rows once more → the mark goes
 *
 * All steps may be repeated, and done by two nodes at a time.
 */
export class ChunkRemoval {
  readonly #deps: ChunkRemovalDeps;
  readonly #emptied: EmptiedSeries;

  constructor(deps: ChunkRemovalDeps) {
    this.#deps = deps;
    this.#emptied = new EmptiedSeries(deps.index, deps.schema);
  }

  /** Removes them from the index; their objects go with a later `sweep`. None of them is unsettled (IndexStore). */
  async remove(chunks: readonly StoredChunk[]): Promise<void> {
    if (chunks.length === 0) return;
    const { index, marks, clock } = this.#deps;
    const markedMs = clock.nowMs();
    await marks.add(chunks.map(({ ref, series }) => ({ key: ref.key, series, markedMs })));
    await index.delete(chunks.flatMap((chunk) => this.#placesOf(chunk)));
    await this.#removeLabels(chunks);
  }

  /** Deletes the objects of chunks that were removed long enough ago, and label rows that had to stay until their day was. @returns how many objects */
  async sweep(signal: AbortSignal): Promise<number> {
    const { marks, clock, delayMs } = this.#deps;
    let due: MarkedChunk[] = [];
    let count = 0;
    for await (const part of marks.all()) {
      due.push(...part.filter(({ markedMs }) => markedMs <= clock.nowMs() - delayMs));
      if (due.length < SWEPT_TOGETHER) continue;
      count += await this.#sweep(due, signal);
      due = [];
    }
    count += await this.#sweep(due, signal);
    await this.#sweepLabels(signal);
    return count;
  }

  async #sweepLabels(signal: AbortSignal): Promise<void> {
    const { schema } = this.#deps;
    const lastDay = this.#lastDay();
    for await (const emptied of this.#emptied.all()) {
      signal.throwIfAborted();
      const { tenant, day, series } = emptied;
      if (day >= lastDay) continue;
      const [bucket] = dayBuckets(schema, day * DAY_MS, (day + 1) * DAY_MS - 1);
      if (bucket) await this.#removeSeries(bucket, tenant, await this.#withoutChunks(bucket, tenant, series));
      await this.#emptied.remove(emptied);
    }
  }

  /** The first day whose label rows flushes may take for written. */
  #lastDay(): number {
    return dayOf(this.#deps.clock.nowMs()) - LABEL_ROWS_KEPT_DAYS;
  }

  async #sweep(due: readonly MarkedChunk[], signal: AbortSignal): Promise<number> {
    const { index, chunks, marks } = this.#deps;
    const unsettled = await index.unsettled(due.map(({ key }) => key));
    const again: StoredChunk[] = [];
    const without: StoredChunk[] = [];
    const ready: string[] = [];
    for (const { key, series } of due) {
      signal.throwIfAborted();
      const ref = parseChunkKey(key);
      if (unsettled.has(key)) continue;
      if (ref && (await this.#hasRows({ ref, series }))) {
        again.push({ ref, series });
        continue;
      }
      if (ref) without.push({ ref, series });
      ready.push(key);
    }
    // Whoever deleted the rows may have ended before it could tell the caches of the index: they would name the chunk for good.
    await index.delete(without.flatMap((chunk) => this.#placesOf(chunk)));
    const gone: string[] = [];
    let deleted = 0;
    for (const key of ready) {
      signal.throwIfAborted();
      if (await chunks.delete(key)) deleted += 1;
      gone.push(key);
    }
    // It may have ended before it was done with these too.
    await this.#removeLabels(without);
    await marks.remove(gone);
    // Whoever marked them ended before their rows were gone: queries may be reading them now.
    await this.remove(again);
    return deleted;
  }

  #placesOf({ ref, series }: StoredChunk): readonly IndexPlace[] {
    return this.#bucketsOf(ref).map((bucket) => chunkEntry(bucket, ref.tenant, series, ref.key));
  }

  #bucketsOf({ fromMs, throughMs }: ChunkRef): readonly DayBucket[] {
    return dayBuckets(this.#deps.schema, fromMs, throughMs);
  }

  async #hasRows(chunk: StoredChunk): Promise<boolean> {
    for (const { table, hashValue, rangeValue } of this.#placesOf(chunk)) {
      if (await this.#hasCell(table, hashValue, rangeValue)) return true;
    }
    return false;
  }

  async #hasCell(table: string, hashValue: string, rangePrefix: string): Promise<boolean> {
    let hasCell = false;
    await this.#deps.index.scan([{ table, hashValue, rangePrefix }], (cells) => {
      hasCell = cells.length > 0;
      return hasCell;
    });
    return hasCell;
  }

  /** By day, the series that lost a chunk: where that was the last one, the series leaves the day; later, if flushes may take its rows for written. */
  async #removeLabels(chunks: readonly StoredChunk[]): Promise<void> {
    const lastDay = this.#lastDay();
    const days = new Map<
      string,
      { readonly bucket: DayBucket; readonly tenant: string; readonly series: Set<string> }
    >();
    for (const { ref, series } of chunks) {
      for (const bucket of this.#bucketsOf(ref)) {
        const name = `${ref.tenant}:${bucket.day}`;
        const day = days.get(name) ?? { bucket, tenant: ref.tenant, series: new Set() };
        days.set(name, day);
        day.series.add(series);
      }
    }
    for (const { bucket, tenant, series } of days.values()) {
      const empty = await this.#withoutChunks(bucket, tenant, [...series]);
      if (bucket.day < lastDay) await this.#removeSeries(bucket, tenant, empty);
      else await this.#emptied.add({ tenant, day: bucket.day, series: empty });
    }
  }

  async #withoutChunks(bucket: DayBucket, tenant: string, series: readonly string[]): Promise<readonly string[]> {
    const having = new Set<string>();
    const lookups = series.map((id) => ({ table: bucket.table, hashValue: chunkRow(bucket, tenant, id), id }));
    await this.#deps.index.scan(lookups, (cells, { id }) => {
      if (cells.length > 0) having.add(id);
      return true;
    });
    return series.filter((id) => !having.has(id));
  }

  /** Their rows of kinds 1 and 2; those of kind 3 belong to all tenants and days. */
  async #removeSeries(bucket: DayBucket, tenant: string, series: readonly string[]): Promise<void> {
    const { index, labels } = this.#deps;
    if (series.length === 0) return;
    for (const [id, pairs] of await labels.labelsOf(bucket, tenant, series)) {
      const rows = labelEntries(bucket, tenant, labelSetOf(pairs), id);
      await index.delete(rows.filter(({ hashValue }) => hashValue !== id));
      // A flush of late entries may have found the rows there a moment ago.
      if ((await this.#withoutChunks(bucket, tenant, [id])).length === 0) await index.write(rows);
    }
  }
}
