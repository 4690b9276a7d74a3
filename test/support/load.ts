/** Builds push bodies from the corpus, before anything is measured. */
import snappy from 'snappy';
import { encodePushRequest } from '../../src/protocol/logproto.ts';
import { type CorpusStream, LineSource } from './corpus.ts';

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
}

export interface Load {
  /** Snappy-compressed protobuf bodies, in the order each connection sends them. */
  readonly bodies: readonly (readonly Buffer[])[];
  readonly lineBytes: number;
  readonly lines: number;
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`;

/** Stream i belongs to connection i mod connections, as to an agent; each stream's entries are in order. */
export const buildLoad = (options: LoadOptions): Load => {
  const sources = options.streams.map((stream, index) => ({
    labels: labelText(stream.labels),
    lines: new LineSource(stream.system, index + 1),
  }));
  const rounds = Math.ceil(options.totalBytes / (options.batchBytes * options.connections));
  const roundMs = options.spanMs / rounds;
  const bodies: Buffer[][] = [];
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
        const texts: string[] = [];
        let bytes = 0;
        while (bytes < options.batchBytes / perPush) {
          const line = source.lines.next(options.startMs + round * roundMs);
          texts.push(line);
          bytes += line.length;
        }
        const stepNs = (roundMs * 1e6) / texts.length;
        const startNs = BigInt(Math.floor((options.startMs + round * roundMs) * 1e3)) * 1000n;
        const entries = texts.map((line, index) => ({ timeNs: startNs + BigInt(Math.floor(stepNs * index)), line }));
        streams.push({ labels: source.labels, entries });
        lineBytes += bytes;
        lines += texts.length;
      }
      sent.push(snappy.compressSync(encodePushRequest({ streams })) as Buffer);
    }
    bodies.push(sent);
  }
  return { bodies, lineBytes, lines };
};
