import { CorruptChunkError, UnknownChunkFormatError } from '../chunk/corrupt-chunk-error.ts';
import { type StoredChunkRow, walkChunkRows } from '../compaction/walk-chunks.ts';
import { hasSpan } from '../copy/chunk-labels.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { parseChunkKey } from '../storage/chunk-key.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { chunkEntry, chunkKeyOfCell } from '../storage/index-row.ts';
import type { IndexEntry } from '../storage/index-store.ts';
import { dayBuckets } from '../storage/schema-config.ts';
import { readLabels } from './check-objects.ts';
import type { DanglingRows } from './dangling-rows.ts';
import type { SeriesDays } from './series-days.ts';
import { dayInScope, type StoreCheck } from './store-check.ts';
import type { Suspects } from './suspects.ts';

/** A row of a chunk, where it stands. */
interface PlacedRow {
  readonly row: StoredChunkRow;
  readonly ref: ChunkRef;
  readonly entry: IndexEntry;
}

/** Goes over the rows of chunks of a table, and looks for their objects. */
export class ChunkRowCheck {
  readonly #check: StoreCheck;
  readonly #suspects: Suspects;
  readonly #seriesDays: SeriesDays;
  readonly #dangling: DanglingRows;

  /** @param seriesDays gets the series that have chunks that are there */
  constructor(check: StoreCheck, suspects: Suspects, seriesDays: SeriesDays, dangling: DanglingRows) {
    this.#check = check;
    this.#suspects = suspects;
    this.#seriesDays = seriesDays;
    this.#dangling = dangling;
  }

  async run(table: string): Promise<void> {
    const { side, options, deps } = this.#check;
    const onOther = (rangeValues: readonly string[]): void => this.#outside(rangeValues, table);
    for await (const rows of walkChunkRows(side.index, side.schema, table, onOther)) {
      if (deps.signal.aborted) return;
      const wanted = rows.filter(({ tenant }) => this.#check.hasTenant(tenant));
      for (const { tenant, rangeValues } of rows) if (!this.#check.hasTenant(tenant)) onOther(rangeValues);
      const cells = wanted.flatMap((row) => row.rangeValues.map((rangeValue) => ({ row, rangeValue })));
      await forEachConcurrent(cells, options.concurrency, async ({ row, rangeValue }) => {
        if (!deps.signal.aborted) await this.#cell(row, rangeValue);
      });
      await this.#seriesDays.checkIfMany();
    }
    await this.#seriesDays.check();
  }

  /** Rows that are not the schema's, or another tenant's: what they name is no orphan. */
  #outside(rangeValues: readonly string[], table: string): void {
    for (const rangeValue of rangeValues) {
      const ref = parseChunkKey(chunkKeyOfCell(rangeValue) ?? '');
      if (ref) this.#suspects.noteOutside(ref.key, table);
    }
  }

  async #cell(row: StoredChunkRow, rangeValue: string): Promise<void> {
    const { hashValue, tenant, bucket } = row;
    const { scope } = this.#check.options;
    const place = { table: bucket.table, hashValue, rangeValue };
    const ref = parseChunkKey(chunkKeyOfCell(rangeValue) ?? '');
    if (ref) this.#suspects.takeOrphan(ref.key);
    if (!ref || ref.tenant !== tenant) {
      if (!dayInScope(scope, bucket.day)) return;
      this.#check.figures.rows += 1;
      await this.#check.found({
        kind: 'unreadable-row',
        row: place,
        why: 'it names no chunk of its tenant',
        isMended: false,
      });
      return;
    }
    if (!this.#check.inScope(ref)) return;
    this.#check.figures.rows += 1;
    const placed = { row, ref, entry: { ...place, value: chunkEntry(bucket, tenant, row.series, ref.key).value } };
    if (!(await this.#check.isThere(ref.key))) {
      await this.#dangling.add({ ref, entry: placed.entry });
      return;
    }
    this.#check.rowLimit.keep(ref.tenant);
    if (this.#suspects.isCorrupt(ref.key)) await this.#ofCorrupt(placed);
    else if (!isInPlace(this.#check, placed))
      await this.#seriesDays.misplaced(placed.entry, ref, "its day or time is not the chunk's");
    else await this.#seriesDays.add(row, ref);
  }

  /** That it is corrupt was told with the object. */
  async #ofCorrupt({ ref, entry }: PlacedRow): Promise<void> {
    const { options, side, figures, corruptLimit } = this.#check;
    if (!options.unindexesCorrupt || (await this.#isReadable(ref))) return;
    const whyHeld = corruptLimit.whyHeld(ref.tenant);
    if (whyHeld !== undefined) {
      figures.held.set(whyHeld, (figures.held.get(whyHeld) ?? 0) + 1);
      return;
    }
    await side.index.delete([entry]);
    figures.unindexed += 1;
  }

  async #isReadable(ref: ChunkRef): Promise<boolean> {
    try {
      return hasSpan(ref) && (await readLabels(this.#check, ref)) !== undefined;
    } catch (error) {
      if (error instanceof CorruptChunkError) return error instanceof UnknownChunkFormatError;
      throw error;
    }
  }
}

/** The day is one of the chunk's, and its time stands in the row as the schema has it. */
const isInPlace = ({ side }: StoreCheck, { row, ref, entry }: PlacedRow): boolean => {
  if (!hasSpan(ref)) return false;
  const bucket = dayBuckets(side.schema, ref.fromMs, ref.throughMs).find(({ day }) => day === row.bucket.day);
  return bucket !== undefined && chunkEntry(bucket, ref.tenant, row.series, ref.key).rangeValue === entry.rangeValue;
};
