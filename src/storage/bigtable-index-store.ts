import { Bigtable } from '@google-cloud/bigtable';
import { type ChannelCredentials, credentials, Metadata } from '@grpc/grpc-js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { BigtableAdmin } from './bigtable-admin.ts';
import { BigtableCommits, COMMIT_FAMILIES } from './bigtable-commits.ts';
import { BigtableReader } from './bigtable-reader.ts';
import { type BigtableLayout, INDEX_FAMILY, rowKeyOf } from './bigtable-row-key.ts';
import { BigtableRpc, CHANNEL_OPTIONS } from './bigtable-rpc.ts';
import { BigtableTables, type BigtableTablesOptions } from './bigtable-tables.ts';
import { BigtableWriter, type CellMutation } from './bigtable-writer.ts';
import { generationsOf } from './index-generation.ts';
import type {
  IndexEntry,
  IndexLookup,
  IndexPlace,
  IndexRow,
  IndexStore,
  SegmentCommit,
  SegmentName,
  StreamSegment,
  VisitCells,
} from './index-store.ts';
import { COMMIT_TABLE, OWN_TABLES } from './own-tables.ts';
import type { RetryDeps } from './retry-budget.ts';

export interface BigtableIndexStoreOptions extends BigtableTablesOptions {
  readonly project: string;
  readonly instance: string;
  /** With single-cluster routing and single-row transactions: commits need them. Empty: the instance's default. */
  readonly appProfile: string;
  readonly layout: BigtableLayout;
  /** `host:port` of an emulator: no TLS, no credentials. */
  readonly emulatorHost: string | undefined;
  /** Nothing is written, and no table is made or dropped. */
  readonly isReadOnly?: boolean;
}

export interface BigtableIndexStoreDeps extends RetryDeps {
  readonly report: (problem: string, error: unknown) => void;
  /** Keeps the process alive until the answer is called: the clock's timers do not, and between two tries there may be no connection. */
  readonly holdProcess?: () => () => void;
}

const ENDPOINT = 'bigtable.googleapis.com:443';

/**
 * Index rows in Google Cloud Bigtable, where Loki's stores `bigtable` and `bigtable-hashed` have them. Every call ends within about 40 s; what may pass by itself
 * is tried again for so long, then refused as STORAGE_UNAVAILABLE.
 */
export class BigtableIndexStore implements IndexStore {
  readonly #layout: BigtableLayout;
  readonly #admin: BigtableAdmin;
  readonly #rpc: BigtableRpc;
  readonly #tables: BigtableTables;
  readonly #reader: BigtableReader;
  readonly #writer: BigtableWriter;
  readonly #commits: BigtableCommits;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #holdProcess: () => () => void;
  readonly #deps: RetryDeps;
  readonly #isReadOnly: boolean;
  #changes = 0;
  #isClosed = false;

  private constructor(
    layout: BigtableLayout,
    admin: BigtableAdmin,
    rpc: BigtableRpc,
    tables: BigtableTables,
    deps: BigtableIndexStoreDeps,
    isReadOnly: boolean,
  ) {
    this.#layout = layout;
    this.#isReadOnly = isReadOnly;
    this.#deps = deps;
    this.#holdProcess = deps.holdProcess ?? holdNothing;
    this.#admin = admin;
    this.#rpc = rpc;
    this.#tables = tables;
    this.#reader = new BigtableReader(layout, { ...deps, rpc, isFound: () => this.#isProfileFound() });
    this.#writer = new BigtableWriter({
      ...deps,
      rpc,
      createTable: (table) => this.#createTable(table),
      whenSeen: (table) => (OWN_TABLES.includes(table) ? undefined : tables.whenSeen(table)),
    });
    this.#commits = new BigtableCommits({
      ...deps,
      rpc,
      write: (mutations) => this.#writer.write(mutations),
      layout,
      writeEntries: (redone, entries) => this.#change(redone, entries),
      createTable: () => this.#createTable(COMMIT_TABLE),
    });
  }

  /** @throws RefusedError STORAGE_UNAVAILABLE if the instance is not there or does not answer */
  static async open(options: BigtableIndexStoreOptions, deps: BigtableIndexStoreDeps): Promise<BigtableIndexStore> {
    const { project, instance, appProfile, layout, emulatorHost, isReadOnly = false } = options;
    const release = (deps.holdProcess ?? holdNothing)();
    const client = new Bigtable({
      projectId: project,
      // Its exporter ends the process where there are no credentials; the calls it would count are not made with it.
      metricsEnabled: false,
      ...(emulatorHost === undefined ? {} : emulatorOptions(emulatorHost)),
      ...CHANNEL_OPTIONS,
    });
    const admin = new BigtableAdmin(client, instance, deps);
    const tables = new BigtableTables(isReadOnly ? { ...options, periods: [] } : options, { ...deps, admin });
    try {
      const channel = emulatorHost === undefined ? await googleCredentials(client) : credentials.createInsecure();
      if (isReadOnly) await tables.names();
      else await tables.open(COMMIT_TABLE, COMMIT_FAMILIES);
      const instanceName = `projects/${project}/instances/${instance}`;
      const address = { endpoint: emulatorHost ?? ENDPOINT, credentials: channel, instanceName, appProfile };
      const rpc = new BigtableRpc(address, deps.clock);
      const store = new BigtableIndexStore(layout, admin, rpc, tables, deps, isReadOnly);
      if (await store.#isProfileFound()) return store;
      rpc.close();
      const text = `Bigtable does not find ${appProfile === '' ? 'a default app profile' : `the app profile ${appProfile}`} of the instance ${instance}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text });
    } catch (error) {
      await tables.close();
      await admin.close();
      if (error instanceof RefusedError) throw error;
      const text = `cannot open the Bigtable instance ${instance}: ${(error as Error).message}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
    } finally {
      release();
    }
  }

  /** Asked by a table that is there: the one of commits; of a store that is only read, whose writer may be Loki, any. */
  async #isProfileFound(): Promise<boolean> {
    const table = this.#isReadOnly ? (await this.#tables.names())[0] : COMMIT_TABLE;
    return table === undefined || (await this.#commits.isFound(table));
  }

  write(entries: readonly IndexEntry[]): Promise<void> {
    return this.#run(() => this.#change(this.#layout, entries));
  }

  commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>> {
    return this.#run(() => this.#commits.commit({ segments, chunkKey, entries, shared }));
  }

  committed(segment: StreamSegment): Promise<string | undefined> {
    return this.#run(() => this.#commits.committed(segment));
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    this.#refuseIfClosed();
    // Reads are not waited for at the end, but in a pause between two tries nothing else may hold the process.
    const release = this.#holdProcess();
    try {
      yield* this.#commits.commits();
    } finally {
      release();
    }
  }

  forget(segments: readonly StreamSegment[]): Promise<void> {
    return this.#run(() => this.#commits.forget(segments));
  }

  unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#run(() => this.#commits.unsettled(chunkKeys));
  }

  delete(entries: readonly IndexPlace[]): Promise<void> {
    const places = entries.map(({ table, hashValue, rangeValue }) => ({ table, hashValue, rangeValue }));
    return this.#run(() => this.#change(this.#layout, places));
  }

  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    this.#refuseIfClosed();
    const release = this.#holdProcess();
    try {
      yield* this.#reader.rows(table, rangeEnd);
    } finally {
      release();
    }
  }

  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    this.#refuseIfClosed();
    const release = this.#holdProcess();
    try {
      await this.#reader.scan(lookups, visit);
    } finally {
      release();
    }
  }

  async tables(): Promise<readonly string[]> {
    return (await this.#tables.names()).filter((table) => !OWN_TABLES.includes(table));
  }

  /** Waits for the writes that were accepted. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const release = this.#holdProcess();
    try {
      await Promise.allSettled(this.#underWay);
      await this.#commits.close();
      await this.#writer.close();
      await this.#tables.close();
      this.#rpc.close();
      await this.#admin.close();
    } finally {
      release();
    }
  }

  /** Those of a day long past are told of once they are durable, and before anybody relies on them: rows of such days may be cached. */
  async #change(layout: BigtableLayout, entries: readonly ChangedEntry[]): Promise<void> {
    await this.#writer.write(mutationsOf(layout, entries));
    const { clock, chance } = this.#deps;
    this.#changes += 1;
    const generation = `${clock.nowMs().toString(36)}.${this.#changes.toString(36)}.${chance().toString(36).slice(2)}`;
    const told = generationsOf(entries, clock.nowMs(), generation);
    if (told.length > 0) await this.#writer.write(mutationsOf(layout, told));
  }

  #createTable(table: string): Promise<void> {
    return this.#tables.create(table, table === COMMIT_TABLE ? COMMIT_FAMILIES : [INDEX_FAMILY]);
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'the index is closed' });
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#refuseIfClosed();
    const release = this.#holdProcess();
    const running = work();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
      release();
    }
  }
}

const holdNothing = (): (() => void) => () => undefined;

type ChangedEntry = Pick<IndexEntry, 'table' | 'hashValue' | 'rangeValue'> & Partial<IndexEntry>;

/** What has no value is deleted. */
const mutationsOf = (layout: BigtableLayout, entries: readonly ChangedEntry[]): readonly CellMutation[] => {
  const rows = new Map<string, Buffer>();
  return entries.map(({ table, hashValue, rangeValue, value }) => {
    const rowKey = rows.get(hashValue) ?? rowKeyOf(layout, hashValue);
    rows.set(hashValue, rowKey);
    return {
      table,
      rowKey,
      family: INDEX_FAMILY,
      qualifier: bytesOfText(rangeValue),
      value: value === undefined ? undefined : bytesOfText(value),
    };
  });
};

/** Without a universe the client looks for the credentials' one, which takes 3 s where there is no metadata server. */
const emulatorOptions = (apiEndpoint: string) => ({
  apiEndpoint,
  clientOptions: { universeDomain: 'googleapis.com' },
});

/** TLS, and the tokens of the environment's account: those that the official client would use. */
const googleCredentials = async (client: Bigtable): Promise<ChannelCredentials> => {
  const account = await client.auth.getClient();
  // gRPC's own adapter takes the headers for a plain object, and would send none.
  const tokens = credentials.createFromMetadataGenerator(({ service_url: url }, callback) => {
    account.getRequestHeaders(url).then(
      (headers) => {
        const metadata = new Metadata();
        headers.forEach((value, name) => {
          metadata.set(name, value);
        });
        callback(null, metadata);
      },
      (error: Error) => callback(error),
    );
  });
  return credentials.combineChannelCredentials(credentials.createSsl(), tokens);
};
