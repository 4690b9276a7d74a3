import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { BigtableAdmin } from './bigtable-admin.ts';
import { INDEX_FAMILY } from './bigtable-row-key.ts';
import { expectedTables, expiredTables, type TablePeriod, type TablePlanOptions } from './bigtable-table-plan.ts';
import { dayOf } from './schema-config.ts';

export interface BigtableTablesOptions extends TablePlanOptions {
  /** Schema periods whose rows are in this store. */
  readonly periods: readonly TablePeriod[];
  /** A list of the instance's tables may be so old. */
  readonly listAgeMs: number;
  /** How often tables are made and dropped. */
  readonly pollMs: number;
  /** False: none are dropped, whatever the retention. */
  readonly dropsTables?: boolean;
}

export interface BigtableTablesDeps {
  readonly admin: Pick<BigtableAdmin, 'tables' | 'families' | 'create' | 'drop'>;
  readonly clock: Clock;
  readonly report: (problem: string, error: unknown) => void;
}

const CREATED_TOGETHER = 4;

/**
 * Tables of the index: made ahead of time, or when the first row of one comes; dropped when all their days are past the retention.
 *
 * Readers skip days without a table, by a list that may be `listAgeMs` old. So that they miss nothing, they take every table for there that is to be there
 * until now and `graceMs`; and rows are written to any other table only once this store has known it for `listAgeMs`: then every list has it.
 */
export class BigtableTables {
  readonly #options: BigtableTablesOptions;
  readonly #deps: BigtableTablesDeps;
  /** When each table was first known to be there, by the monotonic clock. */
  readonly #knownSince = new Map<string, number>();
  readonly #creating = new Map<string, Promise<void>>();
  readonly #read: DayWindow;
  readonly #written: DayWindow;
  #list: { readonly sinceMs: number; readonly tables: Promise<readonly string[]> } | undefined;
  #cancel: () => void = () => undefined;
  #maintaining: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: BigtableTablesOptions, deps: BigtableTablesDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#read = new DayWindow(options.periods, options.graceMs);
    this.#written = new DayWindow(options.periods, 0);
  }

  /**
   * Looks whether the instance is there, makes the tables that are written to now, and goes on with the others.
   * @param own a table that is no index, and its families
   * @throws RefusedError STORAGE_UNAVAILABLE
   */
  async open(own: string, families: readonly string[]): Promise<void> {
    const there = new Set(await this.#listed());
    if (!there.has(own)) await this.create(own, families);
    const expected = expectedTables(this.#options.periods, this.#deps.clock.nowMs(), this.#options);
    // The newest are first: that of now, and one that begins within the grace.
    const [next, current] = expected;
    for (const table of [current, next]) if (table !== undefined && !there.has(table)) await this.create(table);
    this.#maintain();
  }

  /** Those that there may be rows in. @throws RefusedError STORAGE_UNAVAILABLE */
  async names(): Promise<readonly string[]> {
    const window = this.#read.tablesAt(this.#deps.clock.nowMs());
    const listed = await this.#listed();
    return [...window, ...listed.filter((table) => !window.has(table))];
  }

  /** With the family of index rows, unless others are named. @throws RefusedError STORAGE_UNAVAILABLE */
  create(table: string, families: readonly string[] = [INDEX_FAMILY]): Promise<void> {
    const known = this.#creating.get(table);
    if (known !== undefined) return known;
    const create = async (): Promise<void> => {
      try {
        await this.#deps.admin.create(table, families);
        this.#knownSince.set(table, this.#deps.clock.monotonicMs());
        this.#list = undefined;
      } finally {
        this.#creating.delete(table);
      }
    };
    const creating = create();
    this.#creating.set(table, creating);
    return creating;
  }

  /** Resolves when every reader looks into the table; undefined: it does already. */
  whenSeen(table: string): Promise<void> | undefined {
    const { clock } = this.#deps;
    const { listAgeMs } = this.#options;
    if (listAgeMs === 0 || this.#written.tablesAt(clock.nowMs()).has(table)) return undefined;
    const sinceMs = this.#knownSince.get(table);
    if (sinceMs !== undefined && clock.monotonicMs() - sinceMs >= listAgeMs) return undefined;
    return this.#waitUntilSeen(table);
  }

  /** Makes and drops what is due; what fails holds up nothing else. @throws RefusedError STORAGE_UNAVAILABLE, the first, once all was tried */
  async tidy(): Promise<void> {
    const { admin, clock } = this.#deps;
    const { periods } = this.#options;
    const listed = await admin.tables();
    const there = new Set(listed);
    const failures: unknown[] = [];
    const tried = (work: (table: string) => Promise<void>) => async (table: string) => {
      if (!this.#isClosed) await work(table).catch((error: unknown) => failures.push(error));
    };
    const missing = expectedTables(periods, clock.nowMs(), this.#options).filter((table) => !there.has(table));
    await forEachConcurrent(
      missing,
      CREATED_TOGETHER,
      tried((table) => this.create(table)),
    );
    if (this.#options.dropsTables === false) return throwFirst(failures);
    const drop = tried((table) => this.#drop(table));
    for (const table of expiredTables(periods, listed, clock.nowMs(), this.#options)) await drop(table);
    throwFirst(failures);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#maintaining;
  }

  async #drop(table: string): Promise<void> {
    const { admin } = this.#deps;
    // Whatever has other families was made by somebody else for something else.
    const families = await admin.families(table);
    if (families.length !== 1 || families[0] !== INDEX_FAMILY || this.#isClosed) return;
    await admin.drop(table);
    this.#knownSince.delete(table);
    this.#list = undefined;
  }

  #maintain(): void {
    if (this.#isClosed || this.#options.periods.length === 0) return;
    this.#maintaining = this.tidy()
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#deps.report('tables of the index could not be made or dropped; trying again', error);
      })
      .finally(() => {
        if (!this.#isClosed) this.#cancel = this.#deps.clock.after(this.#options.pollMs, () => this.#maintain());
      });
  }

  async #waitUntilSeen(table: string): Promise<void> {
    const { clock } = this.#deps;
    if (!this.#knownSince.has(table)) {
      const isThere = (await this.#listed()).includes(table);
      if (isThere) this.#knownSince.set(table, clock.monotonicMs());
      else await this.create(table);
    }
    const sinceMs = this.#knownSince.get(table) ?? clock.monotonicMs();
    const leftMs = sinceMs + this.#options.listAgeMs - clock.monotonicMs();
    if (leftMs > 0) await new Promise<void>((resolve) => void clock.after(leftMs, resolve));
  }

  /** Of those who ask while a list is on its way, all share it that may have one so old. */
  #listed(): Promise<readonly string[]> {
    const { admin, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#list && nowMs - this.#list.sinceMs < this.#options.listAgeMs) return this.#list.tables;
    const tables = admin.tables();
    const list = { sinceMs: nowMs, tables };
    this.#list = list;
    tables.catch(() => {
      if (this.#list === list) this.#list = undefined;
    });
    return tables;
  }
}

const throwFirst = (failures: readonly unknown[]): void => {
  if (failures.length > 0) throw failures[0];
};

/** The expected tables until some time from now, whatever is kept; they change at midnight only. */
class DayWindow {
  readonly #periods: readonly TablePeriod[];
  readonly #aheadMs: number;
  #day = Number.NaN;
  #tables: ReadonlySet<string> = new Set();

  constructor(periods: readonly TablePeriod[], aheadMs: number) {
    this.#periods = periods;
    this.#aheadMs = aheadMs;
  }

  tablesAt(nowMs: number): ReadonlySet<string> {
    const day = dayOf(nowMs + this.#aheadMs);
    if (day !== this.#day) {
      this.#tables = new Set(expectedTables(this.#periods, nowMs, { graceMs: this.#aheadMs, retentionMs: 0 }));
      this.#day = day;
    }
    return this.#tables;
  }
}
