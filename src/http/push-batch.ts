import { WireWriter, writeEntry } from '../protocol/logproto.ts';

/** Entries on their way into one PushRequest; encoded as they come, nothing but bytes is kept. */
export class PushBatch {
  /** Label-set text → the stream's message so far. */
  readonly #streams = new Map<string, WireWriter>();
  #size = 0;
  lines = 0;
  /** Σ line bytes. */
  lineBytes = 0;

  /** Bytes of the streams encoded so far. */
  get size(): number {
    return this.#size;
  }

  /** `labels` is the label-set text; `metadata` flat pairs of structured metadata. */
  add(labels: string, timeNs: bigint, line: Uint8Array | string, metadata: readonly string[] = []): void {
    const stream = this.#streams.get(labels) ?? this.#open(labels);
    const before = stream.finish().length;
    stream.message(2, () => writeEntry(stream, { timeNs, line, metadata }));
    this.#size += stream.finish().length - before;
    this.lines += 1;
    this.lineBytes += typeof line === 'string' ? Buffer.byteLength(line) : line.length;
  }

  /** The logproto.PushRequest; valid until the next `add`. */
  encode(): Buffer {
    const request = new WireWriter();
    for (const stream of this.#streams.values()) request.bytes(1, stream.finish());
    return request.finish();
  }

  #open(labels: string): WireWriter {
    const stream = new WireWriter();
    stream.bytes(1, labels);
    this.#streams.set(labels, stream);
    this.#size += stream.finish().length;
    return stream;
  }
}
