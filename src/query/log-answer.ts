import { isUtf8 } from 'node:buffer';
import { textOfBytes, wellFormed } from '../protocol/byte-text.ts';
import { canonicalText, compareBytes } from '../protocol/label-text.ts';
import type { LogEntry, LogStream } from './query-messages.ts';
import type { EntryLabels, LogResult } from './scan/scan-messages.ts';
import { keyOfLabels } from './step-series.ts';

interface Stream {
  readonly labels: readonly string[];
  readonly entries: LogEntry[];
}

/** Entries in the order they are found, regrouped by final labels. */
export class LogAnswer {
  readonly #streams = new Map<string, Stream>();
  /** Streams of a batch's label sets, so that a label set's key is made once. */
  #byBatch = new Map<LogResult, (Stream | undefined)[]>();
  count = 0;
  lineBytes = 0;

  add(batch: LogResult, place: number, line: string): void {
    const labelIndex = batch.labelIndexes[place]!;
    const labels = batch.labelSets[labelIndex]!;
    this.#streamOf(batch, labelIndex, labels).entries.push(entryOf(batch.times[place]!, line, labels));
    this.count += 1;
    this.lineBytes += line.length;
  }

  /** Streams by their printed labels; empties the answer. */
  take(): LogStream[] {
    const named = [...this.#streams.values()].map((stream) => ({ stream, name: canonicalText(stream.labels) }));
    this.#streams.clear();
    this.#byBatch = new Map();
    this.count = 0;
    this.lineBytes = 0;
    return named.sort((a, b) => compareBytes(a.name, b.name)).map(({ stream }) => stream);
  }

  #streamOf(batch: LogResult, labelIndex: number, { labels }: EntryLabels): Stream {
    const streams = this.#byBatch.get(batch) ?? [];
    if (streams.length === 0) this.#byBatch.set(batch, streams);
    const known = streams[labelIndex];
    if (known) return known;
    const key = keyOfLabels(labels);
    const stream = this.#streams.get(key) ?? { labels, entries: [] };
    this.#streams.set(key, stream);
    streams[labelIndex] = stream;
    return stream;
  }
}

const entryOf = (timeNs: bigint, line: string, { metadata, parsed }: EntryLabels): LogEntry => ({
  timeNs,
  line,
  ...(metadata && metadata.length > 0 && { metadata }),
  ...(parsed && parsed.length > 0 && { parsed }),
});

/** Lines of a batch as text. What is not UTF-8 is U+FFFD, one for each byte, as Go does. */
export class BatchLines {
  readonly #bytes: Buffer;
  readonly #ends: Uint32Array;
  readonly #isUtf8: boolean;

  constructor({ bytes, lineEnds }: LogResult) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#ends = lineEnds;
    this.#isUtf8 = isUtf8(this.#bytes);
  }

  at(place: number): string {
    const start = place === 0 ? 0 : this.#ends[place - 1]!;
    const end = this.#ends[place]!;
    return this.#isUtf8 ? this.#bytes.toString('utf8', start, end) : wellFormed(textOfBytes(this.#bytes, start, end));
  }
}
