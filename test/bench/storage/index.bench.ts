import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { bench, do_not_optimize, group } from 'mitata';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { LabelMatcher } from '../../../src/protocol/matcher.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { chunkEntries, type IndexedChunk } from '../../../src/storage/index-row.ts';
import { commitChunk, WrittenSeries } from '../../../src/storage/index-writer.ts';
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { DAY_MS, defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { systemClock } from '../../../src/system-clock.ts';

const STREAMS = 100;
const CHUNKS_PER_STREAM = 30;
const schema = defaultSchemaConfig();
const start = Date.UTC(2024, 4, 1);
const range = { startNs: BigInt(start) * 1_000_000n, endNs: BigInt(start + DAY_MS - 1) * 1_000_000n };

const chunkOf = (stream: number, sequence: number): IndexedChunk => {
  const labels = labelSetOf([
    'app',
    `app-${stream % 10}`,
    'env',
    'prod',
    'host',
    `node-${stream % 7}`,
    'pod',
    `pod-${stream}`,
  ]);
  const fromMs = start + (sequence % 80) * 600_000;
  const throughMs = fromMs + 700_000;
  const identity = { tenant: 'tenant-a', fingerprint: labels.fingerprint, fromMs, throughMs, checksum: sequence };
  return { tenant: 'tenant-a', labels, fromMs, throughMs, key: chunkKey(schema, identity) };
};

/** Index rows: built, written to LMDB and synced, read back. 100 streams of 30 chunks in one day, 16 row shards. */
export const registerBenches = async (): Promise<void> => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const store = await LmdbIndexStore.open({ path: path.join(folder, 'index'), clock: systemClock });
  const written = new WrittenSeries(() => 0);
  const writes: Promise<unknown>[] = [];
  for (let stream = 0; stream < STREAMS; stream++) {
    for (let sequence = 0; sequence < CHUNKS_PER_STREAM; sequence++) {
      writes.push(commitChunk(store, schema, [], chunkOf(stream, sequence), written));
    }
  }
  await Promise.all(writes);
  const reader = new SchemaIndexReader(store, schema);
  const app: LabelMatcher = { name: 'app', op: '=', value: 'app-1' };
  const anyApp: LabelMatcher = { name: 'app', op: '=~', value: '.+' };
  let sequence = CHUNKS_PER_STREAM;
  const nextChunk = (): IndexedChunk => {
    sequence += 1;
    // Beside what is read: that stays as it is.
    return { ...chunkOf(sequence % STREAMS, sequence), tenant: 'tenant-b' };
  };

  group('index rows', () => {
    bench('all entries of a chunk of 4 labels', () => do_not_optimize(chunkEntries(schema, chunkOf(1, 1))));
  });
  group('index write, LMDB, synced', () => {
    bench('1 chunk', () => commitChunk(store, schema, [], nextChunk(), written));
    bench('100 chunks at once', () =>
      Promise.all(Array.from({ length: 100 }, () => commitChunk(store, schema, [], nextChunk(), written))),
    );
    bench('100 chunks at once, label rows too', () =>
      Promise.all(Array.from({ length: 100 }, () => store.write(chunkEntries(schema, nextChunk())))),
    );
  });
  group('index read, LMDB', () => {
    bench('chunks of {app="app-1"}: 10 streams, 300 chunks', async () =>
      do_not_optimize(await reader.chunkRefs('tenant-a', [app], range)),
    );
    bench('chunks of {app=~".+"}: 100 streams, 3,000 chunks', async () =>
      do_not_optimize(await reader.chunkRefs('tenant-a', [anyApp], range)),
    );
    bench('label names', async () => do_not_optimize(await reader.labelNames('tenant-a', [], range)));
    bench('values of a label: 100', async () =>
      do_not_optimize(await reader.labelValues('tenant-a', 'pod', [], range)),
    );
    bench('series: 100', async () => do_not_optimize(await reader.series('tenant-a', [], range)));
  });
};
