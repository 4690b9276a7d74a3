import type { Config } from './config.ts';
import { holdProcess } from './hold-process.ts';
import type { BigtableIndexStoreDeps, BigtableIndexStoreOptions } from './storage/bigtable-index-store.ts';
import { tablePeriods } from './storage/bigtable-table-plan.ts';
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
}

/**
 * Opens the index stores that the schema periods name; if there are several, as one.
 * @throws RefusedError STORAGE_UNAVAILABLE if one cannot be used; its text says why
 */
export const indexStoreOf = async (
  config: Pick<Config, 'schema' | 'storage_config' | 'table_manager'>,
  deps: IndexStoreDeps,
): Promise<IndexStore> => {
  const stores = new Map<IndexStoreName, IndexStore>();
  try {
    for (const { store } of config.schema) if (!stores.has(store)) stores.set(store, await opened(store, config, deps));
  } catch (error) {
    await Promise.allSettled(Array.from(stores.values(), (store) => store.close()));
    throw error;
  }
  const newest = (config.schema.at(-1) ?? config.schema[0]).store;
  const [only] = stores.values();
  return stores.size === 1 && only ? only : new PeriodIndexStore(stores, newest);
};

const opened = async (
  name: IndexStoreName,
  config: Pick<Config, 'schema' | 'storage_config' | 'table_manager'>,
  deps: IndexStoreDeps,
): Promise<IndexStore> => {
  switch (name) {
    case 'lmdb':
      return await LmdbIndexStore.open({ ...deps, path: await deps.folder() });
    case 'bigtable':
    case 'bigtable-hashed': {
      // Loaded only where it is used: the client takes a second.
      const { BigtableIndexStore } = await import('./storage/bigtable-index-store.ts');
      const options = bigtableOptionsOf(name, config, process.env['BIGTABLE_EMULATOR_HOST']);
      return await BigtableIndexStore.open(
        { ...options, isReadOnly: deps.isReadOnly ?? false },
        { ...deps, holdProcess },
      );
    }
  }
};

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
  retentionMs: table_manager.retention_deletes_enabled ? table_manager.retention_period : 0,
  pollMs: table_manager.poll_interval,
});
