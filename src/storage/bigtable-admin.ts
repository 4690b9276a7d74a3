/** Tables of a Bigtable instance, over the official client. */
import type { Bigtable } from '@google-cloud/bigtable';
import { status } from '@grpc/grpc-js';
import { bigtableErrorOf, bigtableRetries, isTransient, refusalOf, withinMs } from './bigtable-status.ts';
import type { RetryDeps } from './retry-budget.ts';

/** Chosen: a table takes a second or so to make. */
const CALL_TIMEOUT_MS = 15_000;
/** With all tries. */
const TIMEOUT_MS = 30_000;

/** All throw RefusedError STORAGE_UNAVAILABLE. */
export class BigtableAdmin {
  readonly #client: Bigtable;
  readonly #instanceId: string;
  readonly #retry: RetryDeps;

  constructor(client: Bigtable, instanceId: string, retry: RetryDeps) {
    this.#client = client;
    this.#instanceId = instanceId;
    this.#retry = retry;
  }

  async tables(): Promise<readonly string[]> {
    const options = { view: 'name', gaxOptions: GAX_OPTIONS } as const;
    const [tables] = await this.#call('cannot list the tables', () => this.#instance.getTables(options));
    return tables.map(({ id }) => id);
  }

  async families(table: string): Promise<readonly string[]> {
    const read = () => this.#instance.table(table).getFamilies(GAX_OPTIONS);
    const [families] = await this.#call(`cannot read of the table ${table}`, read);
    return families.map(({ id }) => id);
  }

  /** One version of each cell is kept. It is fine if the table is there. */
  async create(table: string, families: readonly string[]): Promise<void> {
    const options = {
      families: families.map((name) => ({ name, rule: { versions: 1 } })),
      gaxOptions: GAX_OPTIONS,
    };
    await this.#call(`cannot make the table ${table}`, () => this.#instance.createTable(table, options), ALREADY_THERE);
  }

  /** It is fine if there is none. */
  async drop(table: string): Promise<void> {
    await this.#call(
      `cannot drop the table ${table}`,
      () => this.#instance.table(table).delete(GAX_OPTIONS),
      NOT_THERE,
    );
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  get #instance() {
    return this.#client.instance(this.#instanceId);
  }

  async #call<T>(what: string, call: () => Promise<T>): Promise<T>;
  async #call<T>(what: string, call: () => Promise<T>, fine: number): Promise<T | undefined>;
  async #call<T>(what: string, call: () => Promise<T>, fine?: number): Promise<T | undefined> {
    const budget = bigtableRetries(this.#retry, TIMEOUT_MS);
    for (;;) {
      try {
        return await withinMs(this.#retry.clock, Math.min(CALL_TIMEOUT_MS, budget.leftMs), call());
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (failure.code === fine) return undefined;
        if (!isTransient(failure) || !(await budget.wait())) throw refusalOf(what, failure);
      }
    }
  }
}

/** Its own retries know no end that we set. */
const GAX_OPTIONS = { timeout: CALL_TIMEOUT_MS, retry: null };

const ALREADY_THERE = status.ALREADY_EXISTS;
const NOT_THERE = status.NOT_FOUND;
