/** What the soak test pushes: an entry's line and metadata follow from its stream and number, so that an answer can be checked without keeping it. */
import { seededRandom } from '../support/corpus.ts';

export interface SoakStream {
  /** In the order of all streams. */
  readonly index: number;
  readonly tenant: string;
  /** Pushed by this one alone, and selected by it. */
  readonly pusher: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly labelText: string;
}

export const TENANTS = ['one', 'two'] as const;

/** Streams of each pusher; the pushers take turns with the tenants. */
export const soakStreams = (pusherCount: number, streamsEach: number): readonly SoakStream[] =>
  Array.from({ length: pusherCount * streamsEach }, (_, index) => {
    const owner = Math.floor(index / streamsEach);
    const labels = { app: 'soak', pusher: `p${owner}`, stream: `s${index}` };
    const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
    const tenant = TENANTS[owner % TENANTS.length] as string;
    return { index, tenant, pusher: labels.pusher, labels, labelText: `{${pairs.join(', ')}}` };
  });

const PADDING_SIZE = 8192;
const PADDING_LONGEST = 500;
/** Every so many entries have structured metadata. */
const METADATA_EVERY = 5;

const textOf = (random: () => number): string => {
  let text = '';
  while (text.length < PADDING_SIZE) text += `${random().toString(36).slice(2)} `;
  return text;
};

const mixed = (stream: number, number: number): number =>
  (Math.imul(stream + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0;

export class SoakEntries {
  readonly #padding: string;

  constructor(seed: number) {
    this.#padding = textOf(seededRandom(seed));
  }

  line(stream: number, number: number): string {
    const mix = mixed(stream, number);
    const length = 10 + (mix % PADDING_LONGEST);
    const from = (mix >>> 8) % (PADDING_SIZE - length);
    return `s${stream} n${number} ${this.#padding.slice(from, from + length)}`;
  }

  /** Flat pairs. */
  metadata(stream: number, number: number): readonly string[] {
    return number % METADATA_EVERY === 0 ? ['trace', `t${mixed(stream, number)}`] : [];
  }

  /** The number in a line of the stream; undefined if no such line was ever made. */
  numberOf(stream: number, line: string): number | undefined {
    const match = /^s(\d+) n(\d+) /.exec(line);
    if (!match || Number(match[1]) !== stream) return undefined;
    const number = Number(match[2]);
    return this.line(stream, number) === line ? number : undefined;
  }
}
