import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { BIGTABLE_LAYOUTS } from '../../../src/storage/bigtable-row-key.ts';
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';
import { GcsChunkStore } from '../../../src/storage/gcs-chunk-store.ts';
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { LATER } from '../../support/check-sides.ts';
import { GcsServer } from '../../support/gcs/gcs-server.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { storeCheckContract } from '../../support/stores/store-check-contract.ts';

describe('a check of embedded stores', function () {
  this.timeout(60_000);

  storeCheckContract('v12-bigtable.json', async (schema) => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-check-'));
    const chunks = await FileChunkStore.open(path.join(folder, 'chunks'));
    const index = await LmdbIndexStore.open({ path: path.join(folder, 'index'), clock: systemClock });
    const remove = async (): Promise<void> => {
      await Promise.all([chunks.close(), index.close()]);
      await rm(folder, { recursive: true });
    };
    return { chunks, index, schema, remove };
  });
});

describe('a check of Cloud Storage and Bigtable', function () {
  this.timeout(120_000);
  const emulator = suiteBigtable();

  for (const [layout, dump] of [
    [BIGTABLE_LAYOUTS[0], 'v9-bigtable.json'],
    [BIGTABLE_LAYOUTS[1], 'v11-bigtable-hashed.json'],
  ] as const) {
    describe(`in the layout ${layout}`, () => {
      storeCheckContract(dump, async (schema) => {
        const server = await GcsServer.start();
        const deps = { clock: systemClock, chance: Math.random };
        const chunks = await GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url }, deps);
        const options = bigtableOptions(emulator().host, { layout });
        // A commit of just now is left alone.
        const index = await openBigtable(options, () => undefined, LATER);
        const committing = await openBigtable(options);
        const remove = async (): Promise<void> => {
          await Promise.all([chunks.close(), index.close(), committing.close()]);
          await server.close();
        };
        return { chunks, index, schema, remove, committing };
      });
    });
  }
});
