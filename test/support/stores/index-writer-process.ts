/** Writes index entries without end and says which are acknowledged, until it is killed. Argument: the folder. */

import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';

const store = await LmdbIndexStore.open({ path: process.argv[2] ?? '', clock: systemClock });

const writer = async (writerIndex: number): Promise<void> => {
  for (let write = 0; ; write++) {
    const entries = ['a', 'b', 'c'].map((place) => {
      return { table: 'index_1', hashValue: `${writerIndex}:${write}`, rangeValue: place, value: 'v'.repeat(200) };
    });
    await store.write(entries);
    process.stdout.write(`${writerIndex}:${write}\n`);
  }
};

await Promise.all(Array.from({ length: 8 }, (_, writerIndex) => writer(writerIndex)));
