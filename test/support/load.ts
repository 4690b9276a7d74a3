/** Builds push bodies from the corpus, before anything is measured. */
import snappy from 'snappy';
import { encodePushRequest } from '../../src/protocol/logproto.ts';
import { type CorpusStream, LineSource } from './corpus.ts';

/** What one push carries of one stream. */
export interface LoadStream {
  readonly labels: Readonly<Record<string, string>>;
  readonly entries: readonly { readonly timeNs: bigint; readonly line: string }[];
}

/** How pushes are sent. */
export interface LoadFormat {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly encode: (streams: readonly LoadStream[]) => Buffer;
}

export interface LoadOptions {
  readonly streams: readonly CorpusStream[];
  readonly connections: number;
  /** Line bytes a push carries. */
  readonly batchBytes: number;
  readonly totalBytes: number;
  /** How many of its streams a connection puts into one push. */
  readonly streamsPerPush: number;
  /** Entries are spread evenly over [startMs, startMs + spanMs). */
  readonly startMs: number;
  readonly spanMs: number;
  /** Snappy protobuf by default. */
  readonly format?: LoadFormat;
}

export interface Load {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** In the order each connection sends them. */
  readonly bodies: readonly (readonly Buffer[])[];
  readonly lineBytes: number;
  readonly lines: number;
  /** The same lines as bare text, up to SAMPLE_SIZE: blocks of 256 KiB of one stream each, newlines between, for the bare work. */
  readonly sample: readonly Buffer[];
}

const BLOCK_SIZE = 262_144;
const SAMPLE_SIZE = 64_000_000;

/** Gathers a stream's lines into blocks as a node would cut them. */
class BlockSample {
  readonly blocks: Buffer[] = [];
  readonly #open = new Map<object, { lines: string[]; size: number }>();

  add(stream: object, line: string): void {
    if (this.blocks.length * BLOCK_SIZE >= SAMPLE_SIZE) return;
    const open = this.#open.get(stream) ?? { lines: [], size: 0 };
    this.#open.set(stream, open);
    open.lines.push(line);
    open.size += line.length;
    if (open.size < BLOCK_SIZE) return;
    this.blocks.push(Buffer.from(open.lines.join('\n')));
    this.#open.delete(stream);
  }
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`;

/** @param metadata of each entry, by its number in the push */
export const lokiFormat = (metadata?: (index: number) => readonly string[]): LoadFormat => ({
  path: '/loki/api/v1/push',
  headers: { 'content-type': 'application/x-protobuf' },
  encode: (streams) => {
    const encoded = streams.map(({ labels, entries }) => ({
      labels: labelText(labels),
      entries: metadata ? entries.map((entry, index) => ({ ...entry, metadata: metadata(index) })) : entries,
    }));
    return snappy.compressSync(encodePushRequest({ streams: encoded })) as Buffer;
  },
});

/** Stream i belongs to connection i mod connections, as to an agent; each stream's entries are in order. */
export const buildLoad = (options: LoadOptions): Load => {
  const { path, headers, encode } = options.format ?? lokiFormat();
  const sources = options.streams.map((stream, index) => ({
    labels: stream.labels,
    lines: new LineSource(stream.system, index + 1),
  }));
  const rounds = Math.ceil(options.totalBytes / (options.batchBytes * options.connections));
  const roundMs = options.spanMs / rounds;
  const bodies: Buffer[][] = [];
  const sample = new BlockSample();
  let lineBytes = 0;
  let lines = 0;
  for (let connection = 0; connection < options.connections; connection += 1) {
    const own = sources.filter((_, index) => index % options.connections === connection);
    const perPush = Math.min(options.streamsPerPush, own.length);
    const sent: Buffer[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const streams = [];
      for (let slot = 0; slot < perPush; slot += 1) {
        const source = own[(round * perPush + slot) % own.length] as (typeof own)[number];
        // The entry's time is the one in its text, in whole ms, as an agent that parses timestamps sends it.
        const entries: { timeNs: bigint; line: string }[] = [];
        const roundStartMs = options.startMs + round * roundMs;
        const perEntryMs = (roundMs * perPush * 130) / options.batchBytes;
        let bytes = 0;
        while (bytes < options.batchBytes / perPush) {
          const timeMs = Math.floor(roundStartMs + Math.min(roundMs, entries.length * perEntryMs));
          const line = source.lines.next(timeMs);
          entries.push({ timeNs: BigInt(timeMs) * 1_000_000n, line });
          sample.add(source, line);
          bytes += line.length;
        }
        streams.push({ labels: source.labels, entries });
        lineBytes += bytes;
        lines += entries.length;
      }
      sent.push(encode(streams));
    }
    bodies.push(sent);
  }
  return { path, headers, bodies, lineBytes, lines, sample: sample.blocks };
};
