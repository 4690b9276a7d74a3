import { compareBytes } from '../protocol/label-text.ts';

/** Order of label sets in answers: pair by pair, name before value, by bytes; a prefix comes first. */
export const compareLabels = (a: readonly string[], b: readonly string[]): number => {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    if (a[index] !== b[index]) return compareBytes(a[index]!, b[index]!);
  }
  return a.length - b.length;
};
