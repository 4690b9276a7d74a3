import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { IndexEntry } from '../storage/index-store.ts';
import type { StoreCheck } from './store-check.ts';

/** Chosen: about 60 MB. Further ones are told, and left to the next run. */
export const DANGLING_MAX = 100_000;

const WHY = 'its object is not there';

/** A row whose object was not there when it was met. */
export interface DanglingRow {
  readonly ref: ChunkRef;
  readonly entry: IndexEntry;
}

/** Rows without objects. None goes before all rows were looked at: where too many dangle the bucket is another one, or gone. */
export class DanglingRows {
  readonly #check: StoreCheck;
  readonly #rowsMax: number;
  #rows: DanglingRow[] = [];

  constructor(check: StoreCheck, rowsMax: number) {
    this.#check = check;
    this.#rowsMax = rowsMax;
  }

  async add(row: DanglingRow): Promise<void> {
    const { options, rowLimit } = this.#check;
    if (!(await this.#isOne(row))) return;
    rowLimit.lose(row.ref.tenant);
    if (!options.fixes) await this.#found(row, WHY, false);
    else if (this.#rows.length < this.#rowsMax) this.#rows.push(row);
    else await this.#found(row, `${WHY}; too many to remember, the next run removes it`, false);
  }

  /** Once all rows were looked at. */
  async remove(): Promise<void> {
    const { options, deps, figures } = this.#check;
    const rows = this.#rows;
    this.#rows = [];
    const isEmpty = figures.objects === 0;
    await forEachConcurrent(rows, options.concurrency, async (row) => {
      if (deps.signal.aborted || !(await this.#isOne(row))) return;
      const whyHeld = isEmpty ? 'kept: no object at all is there' : this.#check.rowLimit.whyHeld(row.ref.tenant);
      const isMended = whyHeld === undefined && (await this.#removed(row));
      await this.#found(row, whyHeld === undefined ? WHY : `${WHY}; ${whyHeld}`, isMended);
    });
  }

  /** Removed in order, a row goes before its object. */
  async #isOne({ ref, entry }: DanglingRow): Promise<boolean> {
    const check = this.#check;
    if (!(await check.hasCell(entry))) return false;
    if (await check.isMarked(ref.key)) {
      check.figures.marked += 1;
      return false;
    }
    return !(await check.isThere(ref.key));
  }

  /** The object may come in this moment: then the row comes back. */
  async #removed({ ref, entry }: DanglingRow): Promise<boolean> {
    const check = this.#check;
    if (!check.isOld(ref.throughMs) || (await check.isUnsettled(ref.key))) return false;
    await check.side.index.delete([entry]);
    if (!(await check.isThere(ref.key))) return true;
    await check.side.index.write([entry]);
    return false;
  }

  async #found({ ref, entry }: DanglingRow, why: string, isMended: boolean): Promise<void> {
    await this.#check.found({ kind: 'dangling-row', chunk: ref.key, row: entry, why, isMended });
  }
}
