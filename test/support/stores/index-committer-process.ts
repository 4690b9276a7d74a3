/**
 * Commits segments that another process commits too, many at a time, and says which it was first with. Arguments: the folder, its name, how many,
 * when to begin (ms since 1970).
 */
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';

const [path = '', name = '', count = '0', beginMs = '0'] = process.argv.slice(2);
const store = await LmdbIndexStore.open({ path, clock: systemClock, isShared: true });
await new Promise((resolve) => setTimeout(resolve, Number(beginMs) - Date.now()));

const commit = async (segment: string): Promise<readonly string[]> => {
  const row = { table: 'index_1', hashValue: segment, rangeValue: name, value: '-' };
  const before = await store.commit([segment], `${name}:${segment}`, [row]);
  return before.size === 0 ? [segment] : [];
};

const LANES = 16;
const lane = async (first: number): Promise<readonly string[]> => {
  const won: string[] = [];
  for (let index = first; index < Number(count); index += LANES) won.push(...(await commit(`node/1/${index}`)));
  return won;
};
const won = await Promise.all(Array.from({ length: LANES }, (_, first) => lane(first)));
await store.close();
process.stdout.write(JSON.stringify(won.flat()));
