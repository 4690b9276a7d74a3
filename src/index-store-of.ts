import type { Config } from './config.ts';
import { BYTES_PER_MB } from './config-storage.ts';
import { holdProcess } from './hold-process.ts';
import type { BigtableIndexStoreDeps, BigtableIndexStoreOptions } from './storage/bigtable-index-store.ts';
import { tablePeriods } from './storage/bigtable-table-plan.ts';
import { CachedIndexStore, type IndexCacheFigures } from './storage/cached-index-store.ts';
import type { IndexStore } from './storage/index-store.ts';
import { LmdbIndexStore } from './storage/lmdb-index-store.ts';
import { PeriodIndexStore } from './storage/period-index-store.ts';
import type { IndexStoreName } from './storage/schema-config.ts';

export interface IndexStoreDeps extends Omit<BigtableIndexStoreDeps, 'holdProcess'> {
  /** Names the folder of an embedded index, and makes it. */
  readonly folder: () => Promise<string>;
  /** Other processes have the embedded index open too. */
  readonly isShared: boolean;
  /** Nothing is written or made; what is not there is refused. */
  readonly isReadOnly?: boolean;
  /** False: no table is made ahead of its rows, and none is taken for there that is not. */
  readonly makesTables?: boolean;
  /** False: tables past their retention stay. */
  readonly dropsTables?: boolean;
}

export interface OpenIndex {
  readonly index: IndexStore;
  /** undefined where nothing is cached. */
  readonly cacheFigures: () => IndexCacheFigures | undefined;
}

/**
 * Opens the index stores that the schema periods name; if there are several, as one.
 * @throws RefusedError STORAGE_UNAVAILABLE if one cannot be used; its text says why
 */
export const indexStoreOf = async (
  config: Pick<Config, 'schema' | 'storage_config' | 'table_manager'>,
  deps: IndexStoreDeps,
): Promise<OpenIndex> => {
  const stores = new Map<IndexStoreName, IndexStore>();
  const caches: CachedIndexStore[] = [];
  try {
    for (const { store } of config.schema)
      if (!stores.has(store)) stores.set(store, await opened(store, config, deps, caches));
  } catch (error) {
    await Promise.allSettled(Array.from(stores.values(), (store) => store.close()));
    throw error;
  }
  const newest = (config.schema.at(-1) ?? config.schema[0]).store;
  const [only] = stores.values();
  const index = stores.size === 1 && only ? only : new PeriodIndexStore(stores, newest);
  return { index, cacheFigures: () => sumOf(caches) };
};

const sumOf = (caches: readonly CachedIndexStore[]): IndexCacheFigures | undefined => {
  if (caches.length === 0) return undefined;
  const sum = { requests: 0, hits: 0, bytes: 0 };
  for (const { figures } of caches) {
    sum.requests += figures.requests;
    sum.hits += figures.hits;
    sum.bytes += figures.bytes;
  }
  return sum;
};

const opened = async (
  name: IndexStoreName,
  config: Pick<Config, 'schema' | 'storage_config' | 'table_manager'>,
  deps: IndexStoreDeps,
  caches: CachedIndexStore[],
): Promise<IndexStore> => {
  switch (name) {
    case 'lmdb':
      return await LmdbIndexStore.open({ ...deps, path: await deps.folder() });
    case 'bigtable':
    case 'bigtable-hashed': {
      // Loaded only where it is used: the client takes a second.
      const { BigtableIndexStore } = await import('./storage/bigtable-index-store.ts');
      const options = bigtableOptionsOf(name, config, process.env['BIGTABLE_EMULATOR_HOST']);
      const { isReadOnly = false, makesTables = true, dropsTables = true } = deps;
      const store = await BigtableIndexStore.open(
        { ...options, isReadOnly, dropsTables, ...(makesTables ? {} : { periods: [] }) },
        { ...deps, holdProcess },
      );
      const { enabled, max_size_mb: megabytes } = config.storage_config.index_queries_cache_config.embedded_cache;
      if (!enabled) return store;
      const cached = new CachedIndexStore(store, deps.clock, megabytes * BYTES_PER_MB);
      caches.push(cached);
      return cached;
    }
  }
};

/** 0: tables are kept for ever. */
export const tableRetentionMs = ({ table_manager }: Pick<Config, 'table_manager'>): number =>
  table_manager.retention_deletes_enabled ? table_manager.retention_period : 0;

/** @param emulatorHost where Google's libraries look for an emulator: host:port */
const bigtableOptionsOf = (
  layout: BigtableIndexStoreOptions['layout'],
  { schema, storage_config: { bigtable }, table_manager }: Pick<Config, 'schema' | 'storage_config' | 'table_manager'>,
  emulatorHost: string | undefined,
): BigtableIndexStoreOptions => ({
  project: bigtable.project,
  instance: bigtable.instance,
  appProfile: bigtable.app_profile_id,
  layout,
  emulatorHost: emulatorHost || undefined,
  periods: tablePeriods(schema),
  listAgeMs: bigtable.table_cache_expiration,
  graceMs: table_manager.creation_grace_period,
  retentionMs: tableRetentionMs({ table_manager }),
  pollMs: table_manager.poll_interval,
});
