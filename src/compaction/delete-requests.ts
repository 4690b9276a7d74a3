/**
 * Delete requests as all nodes see them, in a table of ringlog's own beside the index (storage/own-tables.ts):
 *
 *   row  deletes:tenant     id 00 'r'               →  the request as JSON
 *                           id 00 table 00 'd'      →  -      the table holds none of its entries any more
 *                           id 00 'p'               →  -      no table does
 */
import type { IndexCell } from '../storage/index-cells.ts';
import type { IndexEntry, IndexStore } from '../storage/index-store.ts';
import { compactorTables } from '../storage/own-tables.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { DeleteRequest, TrackedRequest } from './delete-request.ts';

const ROW_PREFIX = 'deletes:';
const REQUEST_END = '\0r';
const DONE_END = '\0d';
const PROCESSED_END = '\0p';

export class DeleteRequests {
  readonly #index: IndexStore;
  /** The first is written to; a request stays where it was made. */
  readonly #tables: readonly [string, ...string[]];

  constructor(index: IndexStore, schema: SchemaConfig) {
    this.#index = index;
    this.#tables = compactorTables(schema);
  }

  /** Resolves once it is durable: every query that begins then heeds it, on every node. */
  async add(request: DeleteRequest): Promise<void> {
    const { tenant, requestId, ...rest } = request;
    await this.#write(this.#tables[0], tenant, requestId + REQUEST_END, JSON.stringify(rest));
  }

  /** Oldest first. */
  async ofTenant(tenant: string): Promise<readonly TrackedRequest[]> {
    const found: TrackedRequest[] = [];
    for (const table of this.#tables) found.push(...(await this.#ofRow(table, tenant)));
    return found.sort((a, b) => a.createdMs - b.createdMs || (a.requestId < b.requestId ? -1 : 1));
  }

  /** Tenants that have any. */
  async tenants(): Promise<readonly string[]> {
    const tenants = new Set<string>();
    for (const table of this.#tables) {
      for await (const rows of this.#index.rows(table, REQUEST_END)) {
        for (const { hashValue } of rows) {
          if (hashValue.startsWith(ROW_PREFIX)) tenants.add(hashValue.slice(ROW_PREFIX.length));
        }
      }
    }
    return [...tenants];
  }

  async remove(request: TrackedRequest): Promise<void> {
    const { tenant, requestId, doneTables } = request;
    const ends = [REQUEST_END, PROCESSED_END, ...Array.from(doneTables, (table) => `\0${table}${DONE_END}`)];
    await this.#index.delete(
      this.#tables.flatMap((table) =>
        ends.map((end) => ({ table, hashValue: ROW_PREFIX + tenant, rangeValue: requestId + end })),
      ),
    );
  }

  /** The table holds none of its entries any more. */
  async markDone({ tenant, requestId }: DeleteRequest, table: string): Promise<void> {
    await this.#write(this.#tables[0], tenant, `${requestId}\0${table}${DONE_END}`, '-');
  }

  async markProcessed({ tenant, requestId }: DeleteRequest): Promise<void> {
    await this.#write(this.#tables[0], tenant, requestId + PROCESSED_END, '-');
  }

  async #write(table: string, tenant: string, rangeValue: string, value: string): Promise<void> {
    const entry: IndexEntry = { table, hashValue: ROW_PREFIX + tenant, rangeValue, value };
    await this.#index.write([entry]);
  }

  async #ofRow(table: string, tenant: string): Promise<readonly TrackedRequest[]> {
    const requests = new Map<string, Omit<DeleteRequest, 'tenant' | 'requestId'>>();
    const done = new Map<string, Set<string>>();
    const processed = new Set<string>();
    const see = (from: string, { rangeValue, value }: IndexCell): void => {
      const requestId = rangeValue.slice(0, rangeValue.indexOf('\0'));
      const end = rangeValue.slice(-REQUEST_END.length);
      if (end === REQUEST_END && from === table) requests.set(requestId, JSON.parse(value));
      else if (end === PROCESSED_END) processed.add(requestId);
      else if (end === DONE_END) {
        const tables = done.get(requestId) ?? new Set();
        done.set(requestId, tables.add(rangeValue.slice(requestId.length + 1, -DONE_END.length)));
      }
    };
    const lookups = this.#tables.map((from) => ({ table: from, hashValue: ROW_PREFIX + tenant }));
    await this.#index.scan(lookups, (cells, { table: from }) => {
      for (const cell of cells) see(from, cell);
      return false;
    });
    return Array.from(requests, ([requestId, request]) => ({
      tenant,
      requestId,
      ...request,
      doneTables: done.get(requestId) ?? new Set<string>(),
      isProcessed: processed.has(requestId),
    }));
  }
}
