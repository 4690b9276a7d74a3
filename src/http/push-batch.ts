import { WireWriter } from '../protocol/logproto.ts';

const NS_PER_SECOND = 1_000_000_000n;

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
    stream.message(2, () => writeEntry(stream, timeNs, line, metadata));
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

const writeEntry = (
  writer: WireWriter,
  timeNs: bigint,
  line: Uint8Array | string,
  metadata: readonly string[],
): void => {
  const remainder = timeNs % NS_PER_SECOND;
  const nanos = remainder < 0n ? remainder + NS_PER_SECOND : remainder;
  writer.message(1, () => {
    writer.integer(1, (timeNs - nanos) / NS_PER_SECOND);
    writer.integer(2, nanos);
  });
  writer.bytes(2, line);
  for (let index = 0; index + 1 < metadata.length; index += 2) {
    writer.message(3, () => {
      writer.bytes(1, metadata[index] ?? '');
      writer.bytes(2, metadata[index + 1] ?? '');
    });
  }
};
