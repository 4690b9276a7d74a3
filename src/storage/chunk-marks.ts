/**
 * Chunks that are to be deleted: noted before their rows are removed, so that a process that ends in between leaves nothing that nobody knows of. Their objects go
 * later, when no query can be reading them any more. A row of the compactor's table for each stream:
 *
 *   row  mark:tenant/fingerprint     chunk key 00 'm'   →  ms since 1970 in decimal, space, series id
 */
import { streamOfChunkKey } from './chunk-key.ts';
import type { IndexPlace, IndexStore } from './index-store.ts';
import { compactorTables } from './own-tables.ts';
import type { SchemaConfig } from './schema-config.ts';

const ROW_PREFIX = 'mark:';
const MARK_END = '\0m';

export interface MarkedChunk {
  readonly key: string;
  /** Of its series, which names its rows. */
  readonly series: string;
  readonly markedMs: number;
}

export class ChunkMarks {
  readonly #index: IndexStore;
  readonly #tables: readonly [string, ...string[]];

  constructor(index: IndexStore, schema: SchemaConfig) {
    this.#index = index;
    this.#tables = compactorTables(schema);
  }

  async add(marks: readonly MarkedChunk[]): Promise<void> {
    await this.#index.write(
      marks.map(({ key, series, markedMs }) => ({ ...placeOf(this.#tables[0], key), value: `${markedMs} ${series}` })),
    );
  }

  /** Everything else of them is gone. */
  async remove(keys: readonly string[]): Promise<void> {
    await this.#index.delete(this.#tables.flatMap((table) => keys.map((key) => placeOf(table, key))));
  }

  /** Those of the chunks that are marked. One read a stream. */
  async among(keys: readonly string[]): Promise<ReadonlySet<string>> {
    const asked = new Set(keys);
    const marked = new Set<string>();
    const rows = new Set(keys.map((key) => ROW_PREFIX + streamOfChunkKey(key)));
    const lookups = this.#tables.flatMap((table) => Array.from(rows, (hashValue) => ({ table, hashValue })));
    await this.#index.scan(lookups, (cells) => {
      for (const { rangeValue } of cells) {
        const key = rangeValue.endsWith(MARK_END) ? rangeValue.slice(0, -MARK_END.length) : '';
        if (asked.has(key)) marked.add(key);
      }
      return false;
    });
    return marked;
  }

  /** In no order. */
  async *all(): AsyncIterable<readonly MarkedChunk[]> {
    for (const table of this.#tables) {
      for await (const rows of this.#index.rows(table, MARK_END)) {
        yield rows.flatMap(({ hashValue, cells }) =>
          hashValue.startsWith(ROW_PREFIX)
            ? cells.map(({ rangeValue, value }) => markOf(rangeValue.slice(0, -MARK_END.length), value))
            : [],
        );
      }
    }
  }
}

const placeOf = (table: string, key: string): IndexPlace => ({
  table,
  hashValue: ROW_PREFIX + streamOfChunkKey(key),
  rangeValue: key + MARK_END,
});

const markOf = (key: string, value: string): MarkedChunk => {
  const end = value.indexOf(' ');
  return { key, series: value.slice(end + 1), markedMs: Number(value.slice(0, end)) };
};
