import { RefusedError } from '../protocol/refusal.ts';
import type { Mutation, RowMutations } from './bigtable-mutate-message.ts';
import type { BigtableRpc } from './bigtable-rpc.ts';
import {
  type BigtableError,
  bigtableErrorOf,
  bigtableRetries,
  isNoTable,
  isTransient,
  refusalOf,
} from './bigtable-status.ts';
import type { RetryBudget, RetryDeps } from './retry-budget.ts';
import { inSlices } from './slices.ts';

export interface CellMutation extends Mutation {
  readonly table: string;
  readonly rowKey: Buffer;
}

/** Measured: 500 rows a call cost little more a row than 1,000, and building it takes 2 ms of the event loop. */
const BATCH_ROWS_MAX = 500;
/** With fewer waiting a call goes out only if none is under way. */
const BATCH_ROWS_MIN = 100;
const BATCH_MUTATIONS_MAX = 2_000;
/** Of one row in a batch; Bigtable takes 100,000. */
const ROW_MUTATIONS_MAX = 1_000;
const BATCH_BYTES_MAX = 1 << 20;

/** Chosen: hides round trips; more would only make smaller batches. */
const CALLS_IN_FLIGHT = 4;

/** Chosen: about 40 MiB of keys and values. */
const WAITING_MUTATIONS_MAX = 100_000;

const CALL_TIMEOUT_MS = 10_000;
/** Chosen: of one batch with all its tries. */
const WRITE_TIMEOUT_MS = 30_000;

export interface BigtableWriterDeps extends RetryDeps {
  readonly rpc: BigtableRpc;
  /** Makes a table that is not there. @throws RefusedError */
  readonly createTable: (table: string) => Promise<void>;
  /** Resolves when rows in that table are seen by every reader; awaited before each write to it. */
  readonly whenSeen: (table: string) => Promise<void> | undefined;
}

interface WaitingWrite {
  rowsLeft: number;
  readonly resolve: () => void;
  readonly reject: (error: RefusedError) => void;
}

/** One row's part of a write. */
interface RowWrite {
  readonly write: WaitingWrite;
  readonly rowKey: Buffer;
  /** Its bytes as latin1 text. */
  readonly keyText: string;
  readonly mutations: readonly CellMutation[];
  readonly bytes: number;
}

/** What waits for one table. */
interface TableQueue {
  readonly table: string;
  rows: RowWrite[];
  callsInFlight: number;
}

/**
 * Writes cells in bulk: what arrives while calls are under way goes into the next one together. A row that fails is tried again without the others;
 * a write resolves once all its rows are durable. Writes that wait at the same time may be done in any order.
 */
export class BigtableWriter {
  readonly #deps: BigtableWriterDeps;
  readonly #queues = new Map<string, TableQueue>();
  readonly #writes = new Set<Promise<void>>();
  #waitingMutations = 0;
  #isClosed = false;

  constructor(deps: BigtableWriterDeps) {
    this.#deps = deps;
  }

  /** @throws RefusedError OVERLOADED, STORAGE_UNAVAILABLE, or BAD_REQUEST for what Bigtable never takes; other rows of the write may be durable */
  async write(mutations: readonly CellMutation[]): Promise<void> {
    if (this.#isClosed) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'the index is closed' });
    if (mutations.length === 0) return;
    if (this.#waitingMutations > 0 && this.#waitingMutations + mutations.length > WAITING_MUTATIONS_MAX) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many index writes are waiting', retryAfterMs: 100 });
    }
    this.#waitingMutations += mutations.length;
    const written = this.#write(mutations).finally(() => {
      this.#waitingMutations -= mutations.length;
      this.#writes.delete(written);
    });
    this.#writes.add(written);
    await written;
  }

  /** Waits for the writes that were accepted. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#writes);
  }

  async #write(mutations: readonly CellMutation[]): Promise<void> {
    const rows = await rowsOf(mutations);
    await new Promise<void>((resolve, reject) => {
      const write: WaitingWrite = { rowsLeft: 0, resolve, reject };
      const queues = new Set<TableQueue>();
      for (const row of rows) {
        const { table, rowKey, keyText } = row;
        const queue = this.#queueOf(table);
        queues.add(queue);
        for (const part of row.parts()) {
          write.rowsLeft += 1;
          queue.rows.push({ write, rowKey, keyText, mutations: part, bytes: sizeOf(rowKey, part) });
        }
      }
      // Writes of the same turn go out together.
      for (const queue of queues) queueMicrotask(() => this.#send(queue));
    });
  }

  #queueOf(table: string): TableQueue {
    const known = this.#queues.get(table);
    if (known) return known;
    const queue: TableQueue = { table, rows: [], callsInFlight: 0 };
    this.#queues.set(table, queue);
    return queue;
  }

  #send(queue: TableQueue): void {
    while (queue.rows.length > 0 && queue.callsInFlight < CALLS_IN_FLIGHT) {
      if (queue.callsInFlight > 0 && queue.rows.length < BATCH_ROWS_MIN) return;
      const rows = nextBatch(queue);
      queue.callsInFlight += 1;
      void this.#perform(queue.table, rows).finally(() => {
        queue.callsInFlight -= 1;
        this.#send(queue);
        if (queue.rows.length === 0 && queue.callsInFlight === 0) this.#queues.delete(queue.table);
      });
    }
  }

  /** Resolves or rejects the writes of the rows. */
  async #perform(table: string, rows: readonly RowWrite[]): Promise<void> {
    let entries = entriesOf(rows);
    let budget: RetryBudget | undefined;
    while (entries.length > 0) {
      try {
        // First: that may take as long as a list of tables is kept.
        await this.#deps.whenSeen(table);
        budget ??= bigtableRetries(this.#deps, WRITE_TIMEOUT_MS);
        entries = await this.#attempt(table, entries, budget);
      } catch (error) {
        const refused = refusedOf(error);
        for (const entry of entries) for (const { write } of entry.rows) write.reject(refused);
        return;
      }
    }
  }

  /** @returns what is to be tried again @throws BigtableError, RefusedError */
  async #attempt(table: string, entries: readonly BatchEntry[], budget: RetryBudget): Promise<readonly BatchEntry[]> {
    const { rpc } = this.#deps;
    let outcomes: readonly (BigtableError | undefined)[];
    try {
      const timeoutMs = Math.min(CALL_TIMEOUT_MS, budget.leftMs);
      outcomes = await rpc.mutateRows(
        table,
        entries.map(({ mutations }) => mutations),
        timeoutMs,
      );
    } catch (error) {
      const failure = bigtableErrorOf(error);
      outcomes = entries.map(() => failure);
    }
    const failed: BatchEntry[] = [];
    let failure: BigtableError | undefined;
    for (const [index, entry] of entries.entries()) {
      const outcome = outcomes[index];
      if (outcome && (isTransient(outcome) || isNoTable(outcome))) {
        failed.push(entry);
        failure = outcome;
      } else for (const { write } of entry.rows) settle(write, outcome);
    }
    if (!failure) return failed;
    if (failed.length < entries.length) budget.progressed();
    await this.#beforeNext(table, failure, budget, failed);
    return failed;
  }

  /** Of what is left the writes are rejected here, not those of the rows that came through. */
  async #beforeNext(table: string, failure: BigtableError, budget: RetryBudget, failed: BatchEntry[]): Promise<void> {
    try {
      if (!(await budget.wait())) throw refusalOf('cannot write the index', failure);
      if (isNoTable(failure)) await this.#deps.createTable(table);
    } catch (error) {
      const refused = refusedOf(error);
      for (const entry of failed.splice(0)) for (const { write } of entry.rows) write.reject(refused);
    }
  }
}

/** A row of a call, and whose it is. */
interface BatchEntry {
  readonly rows: readonly RowWrite[];
  readonly mutations: RowMutations;
}

const refusedOf = (error: unknown): RefusedError =>
  error instanceof RefusedError ? error : refusalOf('cannot write the index', bigtableErrorOf(error));

const settle = (write: WaitingWrite, failure: BigtableError | undefined): void => {
  if (failure) {
    write.reject(refusalOf('cannot write the index', failure));
    return;
  }
  write.rowsLeft -= 1;
  if (write.rowsLeft === 0) write.resolve();
};

/** A row that a write has cells of. */
class WrittenRow {
  readonly table: string;
  readonly rowKey: Buffer;
  readonly keyText: string;
  mutations: CellMutation[];
  /** Where in `mutations` each cell is, once there are several. */
  #places: Map<string, number> | undefined;

  constructor(first: CellMutation, keyText: string) {
    this.table = first.table;
    this.rowKey = first.rowKey;
    this.keyText = keyText;
    this.mutations = [first];
  }

  /** The last of equal cells counts. */
  add(mutation: CellMutation): void {
    this.#places ??= new Map(this.mutations.map((known, index) => [cellOf(known), index]));
    const cell = cellOf(mutation);
    const known = this.#places.get(cell);
    if (known !== undefined) {
      this.mutations[known] = mutation;
      return;
    }
    this.#places.set(cell, this.mutations.length);
    this.mutations.push(mutation);
  }

  /** A row of very many cells is several. */
  parts(): readonly (readonly CellMutation[])[] {
    const { mutations } = this;
    if (mutations.length <= ROW_MUTATIONS_MAX) return [mutations];
    const parts: (readonly CellMutation[])[] = [];
    for (let first = 0; first < mutations.length; first += ROW_MUTATIONS_MAX) {
      parts.push(mutations.slice(first, first + ROW_MUTATIONS_MAX));
    }
    return parts;
  }
}

const cellOf = ({ family, qualifier }: CellMutation): string => family + qualifier.toString('latin1');

const rowsOf = async (mutations: readonly CellMutation[]): Promise<readonly WrittenRow[]> => {
  const all: WrittenRow[] = [];
  const tables = new Map<string, Map<string, WrittenRow>>();
  for await (const slice of inSlices(mutations)) {
    for (const mutation of slice) {
      const { table, rowKey } = mutation;
      const rows = tables.get(table) ?? new Map<string, WrittenRow>();
      if (rows.size === 0) tables.set(table, rows);
      const keyText = rowKey.toString('latin1');
      const known = rows.get(keyText);
      if (known) {
        known.add(mutation);
        continue;
      }
      const row = new WrittenRow(mutation, keyText);
      rows.set(keyText, row);
      all.push(row);
    }
  }
  return all;
};

const sizeOf = (rowKey: Buffer, mutations: readonly CellMutation[]): number => {
  let size = rowKey.length;
  for (const { qualifier, value } of mutations)
    size += qualifier.length + (value?.length ?? 0) + MUTATION_OVERHEAD_BYTES;
  return size;
};

const MUTATION_OVERHEAD_BYTES = 16;

const nextBatch = (queue: TableQueue): readonly RowWrite[] => {
  let [end, mutations, bytes] = [0, 0, 0];
  while (end < queue.rows.length && end < BATCH_ROWS_MAX) {
    const row = queue.rows[end];
    mutations += row?.mutations.length ?? 0;
    bytes += row?.bytes ?? 0;
    if (end > 0 && (mutations > BATCH_MUTATIONS_MAX || bytes > BATCH_BYTES_MAX)) break;
    end += 1;
  }
  return queue.rows.splice(0, end);
};

/** Entries of one call may be done in any order: a row is one of them. */
const entriesOf = (rows: readonly RowWrite[]): readonly BatchEntry[] => {
  const same = new Map<string, RowWrite[]>();
  for (const row of rows) {
    const known = same.get(row.keyText);
    if (known) known.push(row);
    else same.set(row.keyText, [row]);
  }
  return Array.from(same.values(), (group) => {
    const [first] = group;
    const mutations = first && group.length === 1 ? first.mutations : group.flatMap((row) => row.mutations);
    return { rows: group, mutations: { rowKey: first?.rowKey ?? NO_KEY, mutations } };
  });
};

const NO_KEY = Buffer.alloc(0);
