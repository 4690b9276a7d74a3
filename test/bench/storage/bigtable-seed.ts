/** Writes the rows of the selector's bench: a process of its own, so that its memory is not the reader's.   bigtable-seed.ts HOST INSTANCE SERIES CHUNKS */
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { benchEntries } from './bigtable-rows.ts';

const [host = '', instance = '', series = '0', chunks = '0'] = process.argv.slice(2);
const SERIES_TOGETHER = 200;
const LANES = 4;

const store = await openBigtable(bigtableOptions(host, { instance }));
let next = 0;
const lane = async (): Promise<void> => {
  while (next < Number(series)) {
    const first = next;
    next += SERIES_TOGETHER;
    const last = Math.min(next, Number(series));
    const entries = [];
    for (let number = first; number < last; number++) entries.push(...benchEntries(number, Number(chunks)));
    await store.write(entries);
  }
};
await Promise.all(Array.from({ length: LANES }, lane));
await store.close();
