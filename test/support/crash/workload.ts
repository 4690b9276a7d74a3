/** Pushes that a killed process and the one that checks it both know by their number. */
import { createHash } from 'node:crypto';
import type { DecodedPush } from '../../../src/actors/node-services.ts';
import { entryAt, pushOf, type TestEntry } from '../entries.ts';

export const STREAM_COUNT = 3;
const LINES_PER_PUSH = 40;
const LINE_SIZE = 320;

/** Streams take turns; one push of the first kind is a tenth of a chunk. */
export const pushNumbered = (number: number): DecodedPush =>
  pushOf({ [`{app="s${number % STREAM_COUNT}"}`]: entriesOf(number) });

/** Few entries, in a stream of its own that no chunk is full of. */
export const smallPush = (number: number): DecodedPush =>
  pushOf({ '{app="small"}': [entryAt(number, lineOf(number, 'small'))] });

export const linesOfPush = (number: number): readonly string[] => entriesOf(number).map(({ line }) => line);
export const linesOfSmallPush = (number: number): readonly string[] => [lineOf(number, 'small')];

/** Two lines share each time. */
const entriesOf = (number: number): readonly TestEntry[] =>
  Array.from({ length: LINES_PER_PUSH }, (_, index) => entryAt(number * 100 + (index >> 1), lineOf(number, index)));

/** Does not compress to nothing. */
const lineOf = (number: number, index: number | 'small'): string => {
  const seed = createHash('sha512').update(`${number} ${index}`).digest('base64');
  return `${number} ${index} ${seed.repeat(Math.ceil(LINE_SIZE / seed.length))}`.slice(0, LINE_SIZE);
};
