/** Opens the stores of two configurations: those to copy from, read only, and those to copy to. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { chunkStoreOf } from './chunk-store-of.ts';
import type { Config } from './config.ts';
import { chunkStoreKind } from './config-storage.ts';
import type { CopySide } from './copy/copy-chunks.ts';
import { type IndexStoreDeps, indexStoreOf, tableRetentionMs } from './index-store-of.ts';
import type { Clock } from './protocol/clock.ts';
import { expiredTables, tablePeriods } from './storage/bigtable-table-plan.ts';
import { FolderLock } from './storage/folder-lock.ts';
import { makeFolder } from './storage/make-folder.ts';
import { splitTable } from './storage/schema-config.ts';

export interface OpenCopySide extends CopySide {
  close(): Promise<void>;
}

type Deps = Pick<IndexStoreDeps, 'clock' | 'chance' | 'report'>;

/** The folder of the embedded stores; nodes may run on the source's. */
const folderOf = ({ store_dir, data_dir }: Config): string => path.resolve(store_dir || data_dir);

/** Where the chunks are: of two configurations that say the same, the same. */
const chunkPlace = (config: Config): string => {
  if (chunkStoreKind(config) === 'filesystem') return `file:${folderOf(config)}`;
  const { bucket_name: bucket, api_endpoint: endpoint } = config.storage_config.gcs;
  return `gcs:${endpoint}/${bucket}`;
};

const usesLmdb = ({ schema }: Config): boolean => schema.some(({ store }) => store === 'lmdb');

/** Where the index is, and how its rows look. */
const indexPlace = (config: Config): string => {
  const { project, instance } = config.storage_config.bigtable;
  return JSON.stringify([config.schema, usesLmdb(config) ? folderOf(config) : '', project, instance]);
};

export const sharesChunks = (source: Config, target: Config): boolean => chunkPlace(source) === chunkPlace(target);

/** Why nothing can be copied between the two; undefined if it can. */
export const copyProblem = (source: Config, target: Config): string | undefined => {
  if (sharesChunks(source, target) && indexPlace(source) === indexPlace(target)) {
    return 'both configurations name the same stores';
  }
  if (usesLmdb(source) && usesLmdb(target) && folderOf(source) === folderOf(target)) {
    return `both configurations have their index in ${folderOf(source)}: it cannot be copied into itself`;
  }
  return undefined;
};

/** Whether there is something in the target's folder that could be looked at; what is in the cloud has to be there. */
export const isThere = (target: Config): boolean => {
  const folder = folderOf(target);
  const hasChunks = chunkStoreKind(target) !== 'filesystem' || existsSync(path.join(folder, 'chunks'));
  return hasChunks && (!usesLmdb(target) || existsSync(path.join(folder, 'index', 'data.mdb')));
};

/** Which of a target's tables are past their retention now: whatever is written there, its nodes drop it. */
export const keptTables = (config: Config, clock: Pick<Clock, 'nowMs'>): Required<Pick<CopySide, 'isKept'>> => {
  const periods = tablePeriods(config.schema);
  const retentionMs = tableRetentionMs(config);
  const isRouted = config.schema.some(({ prefix, tablePrefix }) => prefix !== tablePrefix);
  const isKept = (name: string): boolean => {
    const { store, table } = isRouted ? splitTable(name) : { store: undefined, table: name };
    return store === 'lmdb' || expiredTables(periods, [table], clock.nowMs(), { retentionMs }).length === 0;
  };
  return { isKept: retentionMs === 0 ? undefined : isKept };
};

/** Nothing of it is written, made or dropped. @throws RefusedError STORAGE_UNAVAILABLE */
export const openCopySource = (config: Config, deps: Deps): Promise<OpenCopySide> => openSide(config, deps, true);

/** As the target of a copy, but that what is there is not added to: no tables that retention may have dropped. */
export const openForRepair = (config: Config, deps: Deps): Promise<OpenCopySide> => openLocked(config, deps, false);

/**
 * Makes what is not there, but no tables past their retention. Embedded stores in a data folder are kept from nodes meanwhile; nothing is dropped.
 * @throws RefusedError STORAGE_UNAVAILABLE, also if a node has the data folder
 */
export const openCopyTarget = (config: Config, deps: Deps): Promise<OpenCopySide> => openLocked(config, deps, true);

const openLocked = async (config: Config, deps: Deps, makesTables: boolean): Promise<OpenCopySide> => {
  const isOwn = config.store_dir === '' && (usesLmdb(config) || chunkStoreKind(config) === 'filesystem');
  const lock = isOwn ? await FolderLock.make(folderOf(config)) : undefined;
  try {
    const side = await openSide(config, deps, false, makesTables);
    return {
      ...side,
      close: async () => {
        await side.close();
        await lock?.release();
      },
    };
  } catch (error) {
    await lock?.release();
    throw error;
  }
};

const openSide = async (
  config: Config,
  deps: Deps,
  isReadOnly: boolean,
  makesTables = false,
): Promise<OpenCopySide> => {
  const chunks = await chunkStoreOf(uncached(config), deps, isReadOnly);
  const folder = async (): Promise<string> => {
    const name = path.join(folderOf(config), 'index');
    if (!isReadOnly) await makeFolder(name);
    return name;
  };
  try {
    const isShared = isReadOnly || config.store_dir !== '';
    const indexDeps = { ...deps, folder, isShared, isReadOnly, makesTables, dropsTables: false };
    const { index } = await indexStoreOf(uncached(config), indexDeps);
    const close = async (): Promise<void> => {
      await Promise.all([chunks.close(), index.close()]);
    };
    return { chunks, index, schema: config.schema, close };
  } catch (error) {
    await chunks.close().catch(() => undefined);
    throw error;
  }
};

const NO_CACHE = { embedded_cache: { enabled: false, max_size_mb: 1 } };

/** Each object is read once; rows are looked at again to see what others have changed. */
const uncached = (config: Config): Config => ({
  ...config,
  chunk_store_config: { chunk_cache_config: NO_CACHE },
  storage_config: { ...config.storage_config, index_queries_cache_config: NO_CACHE },
});
