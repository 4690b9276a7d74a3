import path from 'node:path';
import type { Config } from './config.ts';
import { BYTES_PER_MB, chunkStoreKind } from './config-storage.ts';
import { holdProcess } from './hold-process.ts';
import { CachedChunkStore } from './storage/cached-chunk-store.ts';
import type { ChunkStore } from './storage/chunk-store.ts';
import { FileChunkStore } from './storage/file-chunk-store.ts';
import type { GcsChunkStoreOptions } from './storage/gcs-chunk-store.ts';
import type { RetryDeps } from './storage/retry-budget.ts';

/**
 * Opens the chunk store that the configuration names. `isReadOnly`: it must be there, and nothing of it is touched.
 * @throws RefusedError STORAGE_UNAVAILABLE if it cannot be used; its text says why
 */
export const chunkStoreOf = async (
  config: Pick<Config, 'schema_config' | 'storage_config' | 'chunk_store_config' | 'data_dir' | 'store_dir'>,
  deps: RetryDeps,
  isReadOnly = false,
): Promise<ChunkStore> => {
  if (chunkStoreKind(config) === 'filesystem') {
    const isShared = config.store_dir !== '';
    const folder = path.join(isShared ? config.store_dir : config.data_dir, 'chunks');
    return await FileChunkStore.open(folder, { isShared, isReadOnly });
  }
  // Loaded only where it is used: the client takes 140 ms.
  const { GcsChunkStore } = await import('./storage/gcs-chunk-store.ts');
  const options = gcsOptionsOf(config, process.env['STORAGE_EMULATOR_HOST']);
  const store = await GcsChunkStore.open({ ...options, isReadOnly }, { ...deps, holdProcess });
  const { enabled, max_size_mb: megabytes } = config.chunk_store_config.chunk_cache_config.embedded_cache;
  return enabled ? new CachedChunkStore(store, megabytes * BYTES_PER_MB) : store;
};

/** @param emulatorHost where Google's libraries look for an emulator: a URL, or host:port; a configured endpoint goes before it */
const gcsOptionsOf = (
  { storage_config: { gcs } }: Pick<Config, 'storage_config'>,
  emulatorHost: string | undefined,
): GcsChunkStoreOptions => ({
  bucket: gcs.bucket_name,
  ...endpointOf(gcs.api_endpoint, emulatorHost),
  requestTimeoutMs: gcs.request_timeout,
  callTimeoutMs: gcs.call_timeout,
  concurrencyMax: gcs.max_concurrent_requests,
  waitingMax: gcs.max_waiting_requests,
});

const endpointOf = (
  configured: string,
  emulatorHost: string | undefined,
): Pick<GcsChunkStoreOptions, 'endpoint' | 'sendsCredentials'> => {
  if (configured !== '') return { endpoint: configured };
  if (!emulatorHost) return {};
  const endpoint = /^https?:\/\//.test(emulatorHost) ? emulatorHost : `http://${emulatorHost}`;
  return { endpoint: endpoint.replace(/\/+$/, ''), sendsCredentials: false };
};
