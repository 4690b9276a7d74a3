/**
 * Series that lost their last chunk of a day while flushes may still take their label rows for written: noted, so that those rows go once the day is old enough. In
 * the compactor's table:
 *
 *   row  emptied:tenant:d19458     series 00 'e'   →  -
 */
import type { IndexPlace, IndexStore } from '../storage/index-store.ts';
import { compactorTables } from '../storage/own-tables.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';

const ROW = /^emptied:([^:]+):d(\d+)$/;
const CELL_END = '\0e';

export interface EmptiedDay {
  readonly tenant: string;
  /** Since 1970. */
  readonly day: number;
  readonly series: readonly string[];
}

export class EmptiedSeries {
  readonly #index: IndexStore;
  readonly #tables: readonly [string, ...string[]];

  constructor(index: IndexStore, schema: SchemaConfig) {
    this.#index = index;
    this.#tables = compactorTables(schema);
  }

  async add(emptied: EmptiedDay): Promise<void> {
    await this.#index.write(placesOf(this.#tables[0], emptied).map((place) => ({ ...place, value: '-' })));
  }

  async remove(emptied: EmptiedDay): Promise<void> {
    await this.#index.delete(this.#tables.flatMap((table) => placesOf(table, emptied)));
  }

  /** In no order; those of one day perhaps in several parts. */
  async *all(): AsyncIterable<EmptiedDay> {
    for (const table of this.#tables) {
      for await (const rows of this.#index.rows(table, CELL_END)) {
        for (const { hashValue, cells } of rows) {
          const [, tenant, day] = ROW.exec(hashValue) ?? [];
          if (tenant === undefined) continue;
          const series = cells.map(({ rangeValue }) => rangeValue.slice(0, -CELL_END.length));
          yield { tenant, day: Number(day), series };
        }
      }
    }
  }
}

const placesOf = (table: string, { tenant, day, series }: EmptiedDay): readonly IndexPlace[] =>
  series.map((id) => ({ table, hashValue: `emptied:${tenant}:d${day}`, rangeValue: id + CELL_END }));
