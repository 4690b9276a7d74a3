import type { EntryColumns } from '../protocol/entry-columns.ts';

/** One push has one EntryColumns for all its streams: the view is made once, not for each stream. */
const views = new WeakMap<EntryColumns, Int32Array>();

/** The times as 32-bit words, low word first (times[i] = words[2i+1] << 32 | words[2i]): no BigInt for an entry. */
export const timeWordsOf = (columns: EntryColumns): Int32Array => {
  let words = views.get(columns);
  if (!words) {
    const { times } = columns;
    words = new Int32Array(times.buffer, times.byteOffset, 2 * times.length);
    views.set(columns, words);
  }
  return words;
};
