/** Index entries as operations on keys. */
import type { IndexEntry, IndexPlace } from './index-store.ts';
import { cellKey, cellValue, type RowKey, rowKey } from './lmdb-index-key.ts';

/** A put, or a removal if there is no value. */
export interface Operation {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

export const putsOf = (entries: readonly IndexEntry[]): readonly Operation[] => {
  const rows = new RowKeys();
  return entries.map(({ table, hashValue, rangeValue, value }) => {
    const row = rows.of(table, hashValue);
    return { key: cellKey(row, rangeValue), value: cellValue(row, value) };
  });
};

export const removalsOf = (places: readonly IndexPlace[]): readonly Operation[] => {
  const rows = new RowKeys();
  return places.map(({ table, hashValue, rangeValue }) => {
    return { key: cellKey(rows.of(table, hashValue), rangeValue), value: undefined };
  });
};

/** Neighbouring entries mostly share their row. */
class RowKeys {
  #table = '';
  #hashValue = '';
  #row: RowKey | undefined;

  of(table: string, hashValue: string): RowKey {
    if (!this.#row || table !== this.#table || hashValue !== this.#hashValue) {
      this.#row = rowKey(table, hashValue);
      this.#table = table;
      this.#hashValue = hashValue;
    }
    return this.#row;
  }
}
