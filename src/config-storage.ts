/** Settings of stores that are not embedded, under Loki's names where it has them. */
import { z } from 'zod';
import { bigtable } from './config-bigtable.ts';
import { duration, flag, text, wholeNumber } from './config-values.ts';

/** What a period's `object_store` may be. */
export const CHUNK_STORES = ['filesystem', 'gcs'] as const;

type ChunkStoreKind = (typeof CHUNK_STORES)[number];

/** Cloud Storage. Credentials are not configured: they come from where Google's libraries look for them. */
const gcs = z.strictObject({
  bucket_name: text('the name of a bucket, or nothing', /^([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])?$/).prefault(''),
  /** Another service than Cloud Storage itself, such as a private endpoint; over https it gets credentials. */
  api_endpoint: text('a URL as https://host, or nothing', /^(https?:\/\/[^/]+)?$/).prefault(''),
  /** One request; it is sent again within `call_timeout`. */
  request_timeout: duration({ min: '10ms', max: '1h' }).prefault('20s'),
  /** A chunk written or read: the wait for its turn, its requests and the pauses between them. */
  call_timeout: duration({ min: '10ms', max: '1h' }).prefault('1m'),
  /** Requests at a time, of writing and of reading each. */
  max_concurrent_requests: wholeNumber(1, 1000).prefault(64),
  /** Calls that may wait for their turn; more are refused. */
  max_waiting_requests: wholeNumber(0, 1_000_000).prefault(10_000),
});

/** Of `max_size_mb`. */
export const BYTES_PER_MB = 2 ** 20;

/** Loki's, in memory. */
export const cacheConfig = (isEnabled: boolean, megabytes: number) =>
  z
    .strictObject({
      embedded_cache: z
        .strictObject({
          enabled: flag().prefault(isEnabled),
          max_size_mb: wholeNumber(1, 1_000_000).prefault(megabytes),
        })
        .prefault({}),
    })
    .prefault({});

export const storageConfig = z.strictObject({
  gcs: gcs.prefault({}),
  bigtable: bigtable.prefault({}),
  /** Of index rows of past days in Bigtable. Only where nobody but ringlog of this version on writes to the tables: others do not tell of late rows. */
  index_queries_cache_config: cacheConfig(false, 100),
});

/** Of chunks that come over the network; files are in the system's own cache. */
export const chunkStoreConfig = z.strictObject({
  chunk_cache_config: cacheConfig(true, 100),
});

interface StorageSettings {
  readonly schema_config: { readonly configs: readonly { readonly object_store?: ChunkStoreKind | undefined }[] };
  readonly storage_config: z.output<typeof storageConfig>;
}

/** The store of the chunks of all periods; files unless it is said. */
export const chunkStoreKind = ({
  schema_config: { configs },
}: Pick<StorageSettings, 'schema_config'>): ChunkStoreKind => configs[0]?.object_store ?? 'filesystem';

/** What is wrong with the settings of the chunk store together. */
export const chunkStoreProblems = (settings: StorageSettings): readonly string[] => {
  const kind = chunkStoreKind(settings);
  const problems = settings.schema_config.configs.flatMap(({ object_store: other = 'filesystem' }, index) =>
    other === kind
      ? []
      : [
          `schema_config.configs[${index}].object_store: got "${other}", want "${kind}" as before: all chunks lie in one store`,
        ],
  );
  if (kind === 'gcs' && settings.storage_config.gcs.bucket_name === '') {
    problems.push('storage_config.gcs.bucket_name: got "", want the name of a bucket, for object_store: gcs');
  }
  return problems;
};
