/** Index rows of many series of one day, for benches of Bigtable: SERIES series of CHUNKS chunks each. */
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { chunkEntries, chunkEntry, type IndexedChunk, seriesIdOf } from '../../../src/storage/index-row.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { createSchemaConfig, DAY_MS, dayBuckets } from '../../../src/storage/schema-config.ts';

export const benchPeriods = [
  { from: '2024-05-01', schema: 'v13', store: 'bigtable-hashed', prefix: 'bench_', periodHours: 168, rowShards: 16 },
] as const;

export const benchSchema = createSchemaConfig(benchPeriods);

const start = Date.UTC(2024, 4, 2);

export const benchDay = { startNs: BigInt(start) * 1_000_000n, endNs: BigInt(start + DAY_MS - 1) * 1_000_000n };

export const benchChunk = (series: number, sequence: number): IndexedChunk => {
  const labels = labelSetOf(['app', 'bench', 'pod', `pod-${series}`]);
  const fromMs = start + sequence * 60_000;
  const throughMs = fromMs + 50_000;
  const identity = { tenant: 'bench', fingerprint: labels.fingerprint, fromMs, throughMs, checksum: series + sequence };
  return { tenant: 'bench', labels, fromMs, throughMs, key: chunkKey(benchSchema, identity) };
};

/** All entries of a series: its label rows once, and a chunk row for each chunk. */
export const benchEntries = (series: number, chunks: number): readonly IndexEntry[] => {
  const [bucket] = dayBuckets(benchSchema, start, start);
  if (!bucket) return [];
  const id = seriesIdOf(benchChunk(series, 0).labels);
  const rest = Array.from({ length: chunks - 1 }, (_, index) => {
    const { key, throughMs } = benchChunk(series, index + 1);
    return chunkEntry({ ...bucket, throughInDayMs: throughMs - start }, 'bench', id, key);
  });
  return [...chunkEntries(benchSchema, benchChunk(series, 0)), ...rest];
};
