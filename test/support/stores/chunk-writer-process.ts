/** Puts chunks without end and says which are acknowledged, until it is killed. Arguments: the folder, a name for this run. */
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';

const [folder = '', run = ''] = process.argv.slice(2);
const store = await FileChunkStore.open(folder);

const writer = async (writerIndex: number): Promise<void> => {
  for (let write = 0; ; write++) {
    const key = `tenant/${run}${writerIndex.toString(16)}/${write.toString(16)}:${write.toString(16)}:1`;
    // Larger than a page, so that half a file could be seen.
    await store.put(key, Buffer.from(key.padEnd(20_000, '.')));
    process.stdout.write(`${key}\n`);
  }
};

await Promise.all(Array.from({ length: 16 }, (_, writerIndex) => writer(writerIndex)));
