import { compareInt64 } from './varint.ts';

/** Entry numbers 0 … count-1 in time order; equal times keep their order. `words`: int64 times as words, low first. */
export const orderByTime = (words: Int32Array, count: number): Uint32Array => {
  const order = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) order[index] = index;
  return order.sort((a, b) => {
    const byTime = compareInt64(words[2 * a]!, words[2 * a + 1]!, words[2 * b]!, words[2 * b + 1]!);
    return byTime === 0 ? a - b : byTime;
  });
};
