import { bucketsOf } from '../compaction/walk-chunks.ts';
import { hasSpan } from '../copy/chunk-labels.ts';
import { parseChunkKey } from '../storage/chunk-key.ts';
import {
  chunkRow,
  LABEL_VALUE_RANGE_END,
  labelRow,
  SERIES_RANGE_END,
  seriesIdOf,
  seriesOfCell,
  seriesOfLabelCell,
  seriesRow,
  shardPrefixOf,
} from '../storage/index-row.ts';
import type { IndexEntry, IndexRow } from '../storage/index-store.ts';
import { LABEL_ROWS_KEPT_DAYS } from '../storage/index-writer.ts';
import { DAY_MS, type DayBucket, dayOf } from '../storage/schema-config.ts';
import type { SeriesDays } from './series-days.ts';
import { dayInScope, type StoreCheck } from './store-check.ts';

/** Rows of kind 4 looked up together. */
const ROWS_TOGETHER = 1_000;
/** Chosen: about 5 MB. */
const SUSPECTS_MAX = 10_000;

/** `03:tenant:d19458:logs`, or with `:name` behind; without a shard in schema v9. */
const LABEL_ROW = /^(?:\d{2,}:)?([^:]+):d(\d+):logs(?::(.+))?$/s;

/** A cell of kind 1 or 2, and the row in which its series has its chunks of that day. */
interface LabelCell {
  readonly entry: IndexEntry;
  readonly chunkRow: string;
}

/**
 * Rows of kinds 1 and 2 of series without chunks on their day: a query finds the series there and nothing in it. Those of kind 3 belong to all tenants and days.
 * Days of which flushes may take such rows for written are left out.
 */
export class StaleLabelCheck {
  readonly #check: StoreCheck;
  readonly #seriesDays: SeriesDays;
  #waiting: LabelCell[] = [];
  #suspects: LabelCell[] = [];

  constructor(check: StoreCheck, seriesDays: SeriesDays) {
    this.#check = check;
    this.#seriesDays = seriesDays;
  }

  async run(table: string): Promise<void> {
    const { side, deps } = this.#check;
    const bucketOf = bucketsOf(side.schema, table);
    for (const rangeEnd of [SERIES_RANGE_END, LABEL_VALUE_RANGE_END]) {
      for await (const rows of side.index.rows(table, rangeEnd)) {
        if (deps.signal.aborted) return;
        for (const row of rows) await this.#row(row, bucketOf);
      }
    }
    await this.#look();
    await this.#decide();
  }

  async #row({ hashValue, cells }: IndexRow, bucketOf: (day: number) => DayBucket | undefined): Promise<void> {
    const [, tenant = '', dayText = '', name] = LABEL_ROW.exec(hashValue) ?? [];
    const day = Number(dayText);
    const bucket = dayText === '' ? undefined : bucketOf(day);
    if (!bucket || !this.#check.hasTenant(tenant) || !this.#isWanted(day)) return;
    const { table, period } = bucket;
    for (const { rangeValue, value } of cells) {
      const series = name === undefined ? seriesOfCell(rangeValue) : seriesOfLabelCell(rangeValue);
      if (series === undefined) continue;
      const shard = shardPrefixOf(period, series);
      // Another row is not the schema's, and nobody reads it.
      if (hashValue !== (name === undefined ? seriesRow(bucket, tenant, shard) : labelRow(bucket, tenant, shard, name)))
        continue;
      this.#check.figures.rows += 1;
      const row = chunkRow(bucket, tenant, series);
      if (this.#seriesDays.isKnown(row)) continue;
      this.#waiting.push({ entry: { table, hashValue, rangeValue, value }, chunkRow: row });
      if (this.#waiting.length >= ROWS_TOGETHER) await this.#look();
    }
  }

  #isWanted(day: number): boolean {
    const { options, deps } = this.#check;
    const lastDay = dayOf(deps.clock.nowMs()) - LABEL_ROWS_KEPT_DAYS;
    return day < lastDay && this.#check.isOld((day + 1) * DAY_MS) && dayInScope(options.scope, day);
  }

  /** The suspects among those that wait. Somebody may be writing the chunk's row just now, or removing that of the label: so they are looked at again, later. */
  async #look(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const empty = await this.#withoutChunks(waiting);
    this.#suspects.push(...empty);
    if (this.#suspects.length >= SUSPECTS_MAX) await this.#decide();
  }

  async #withoutChunks(cells: readonly LabelCell[]): Promise<readonly LabelCell[]> {
    const rows = new Map(cells.map(({ entry, chunkRow: hashValue }) => [hashValue, { table: entry.table, hashValue }]));
    await this.#check.side.index.scan(rows.values(), (found, { hashValue }) => {
      if (found.length > 0) this.#seriesDays.note(hashValue);
      return true;
    });
    return cells.filter(({ chunkRow: row }) => !this.#seriesDays.isKnown(row));
  }

  async #decide(): Promise<void> {
    const suspects = this.#suspects;
    this.#suspects = [];
    if (suspects.length === 0) return;
    const { options, deps, side } = this.#check;
    await new Promise<void>((resolve) => deps.clock.after(options.secondLookMs, resolve));
    const awaited = await this.#awaitedRows();
    for (const { entry, chunkRow: row } of await this.#withoutChunks(suspects)) {
      if (deps.signal.aborted) return;
      if (awaited.has(row)) {
        this.#check.figures.young += 1;
        continue;
      }
      if (!(await this.#check.hasCell(entry))) continue;
      if (options.fixes) await side.index.delete([entry]);
      // Late entries may have come, whose flush found the row there.
      const hasChunks = options.fixes && (await this.#withoutChunks([{ entry, chunkRow: row }])).length === 0;
      if (hasChunks) await side.index.write([entry]);
      else {
        const why = 'its series has no chunk on that day';
        await this.#check.found({ kind: 'stale-label-row', row: entry, why, isMended: options.fixes });
      }
    }
  }

  /** Rows of chunks that unfinished commits may still write: rows of labels may come before them. Asked before the last look, or one that ends in between is missed. */
  async #awaitedRows(): Promise<ReadonlySet<string>> {
    const { side } = this.#check;
    const rows = new Set<string>();
    let last = '';
    for await (const { chunkKey, isUnfinished } of side.index.commits()) {
      const ref = parseChunkKey(chunkKey);
      // Segments of one chunk follow each other.
      if (!isUnfinished || chunkKey === last || !ref || !this.#check.hasTenant(ref.tenant)) continue;
      last = chunkKey;
      const labels = hasSpan(ref) ? await this.#seriesDays.labelsOf(ref) : undefined;
      if (!labels) continue;
      for (const bucket of this.#check.daysOf(ref)) rows.add(chunkRow(bucket, ref.tenant, seriesIdOf(labels)));
    }
    return rows;
  }
}
