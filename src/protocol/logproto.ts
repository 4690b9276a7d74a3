/** Encoding of Loki's protobuf messages, for clients, tests and load generators. Numbers in the API specification, 1.3 and 6. */
import { sizeOfUvarint } from './column-builder.ts';

export interface PushedEntry {
  /** Nanoseconds since the epoch. */
  readonly timeNs: bigint;
  readonly line: string | Uint8Array;
  /** Structured metadata: name1, value1, … */
  readonly metadata?: readonly string[];
}

export interface PushRequest {
  readonly streams: readonly {
    /** Label-set text: `{app="web"}`. */
    readonly labels: string | Uint8Array;
    readonly entries: readonly PushedEntry[];
  }[];
}

const NS_PER_SECOND = 1_000_000_000n;

/** logproto.PushRequest. A push over HTTP is this in a snappy block; over gRPC it is sent as it is. */
export const encodePushRequest = ({ streams }: PushRequest): Buffer => {
  const writer = new WireWriter();
  for (const { labels, entries } of streams) {
    writer.message(1, () => {
      writer.bytes(1, labels);
      for (const entry of entries) writer.message(2, () => writeEntry(writer, entry));
    });
  }
  return writer.finish();
};

/** The fields of a logproto.EntryAdapter, into a message that is open. */
export const writeEntry = (writer: WireWriter, { timeNs, line, metadata = [] }: PushedEntry): void => {
  writeTimestamp(writer, 1, timeNs);
  writer.bytes(2, line);
  writePairs(writer, 3, metadata);
};

/** A google.protobuf.Timestamp field. */
export const writeTimestamp = (writer: WireWriter, field: number, timeNs: bigint): void => {
  const remainder = timeNs % NS_PER_SECOND;
  const nanos = remainder < 0n ? remainder + NS_PER_SECOND : remainder;
  writer.message(field, () => {
    writer.integer(1, (timeNs - nanos) / NS_PER_SECOND);
    writer.integer(2, nanos);
  });
};

/** A repeated field of messages {name=1, value=2}. */
export const writePairs = (writer: WireWriter, field: number, pairs: readonly string[]): void => {
  for (let index = 0; index < pairs.length; index += 2) {
    writer.message(field, () => {
      writer.bytes(1, pairs[index] ?? '');
      writer.bytes(2, pairs[index + 1] ?? '');
    });
  }
};

/**
 * The `grpc-status-details-bin` of a refusal: google.rpc.Status with an httpgrpc.HTTPResponse in it.
 * @param status HTTP status; Loki's gRPC status code is the same number
 */
export const encodeHttpGrpcStatus = (status: number, text: string): Buffer => {
  const response = new WireWriter();
  response.integer(1, BigInt(status));
  response.bytes(3, text);
  const detail = { type: 'httpgrpc.HTTPResponse', message: response.finish() };
  return encodeStatus({ code: status, message: text, details: [detail] });
};

export interface RpcStatus {
  readonly code?: number;
  readonly message: string;
  /** Messages by the names of their types. */
  readonly details?: readonly { readonly type: string; readonly message: Uint8Array }[];
}

/** google.rpc.Status. */
export const encodeStatus = ({ code = 0, message, details = [] }: RpcStatus): Buffer => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(code));
  writer.bytes(2, message);
  for (const detail of details) {
    writer.message(3, () => {
      writer.bytes(1, `type.googleapis.com/${detail.type}`);
      writer.bytes(2, detail.message);
    });
  }
  return writer.finish();
};

/** Appends protobuf fields to a buffer that grows by doubling. */
export class WireWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #used = 0;

  /** What was written: a view that the next write may change. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  /** An int32, int64 or bool field. Zero is left out, as proto3 does. */
  integer(field: number, value: bigint): void {
    if (value === 0n) return;
    this.#reserve(20);
    this.#uvarint(field * 8);
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.#byte(Number(rest & 0x7fn) | 0x80);
    this.#byte(Number(rest));
  }

  /** A double field. Zero is left out. */
  double(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(20);
    this.#uvarint(field * 8 + 1);
    this.#used = this.#buffer.writeDoubleLE(value, this.#used);
  }

  /** A double field of these bits: a NaN of its own, which a number would not keep. */
  fixed64(field: number, bits: bigint): void {
    this.#reserve(20);
    this.#uvarint(field * 8 + 1);
    this.#used = this.#buffer.writeBigUInt64LE(bits, this.#used);
  }

  /** A string or bytes field. */
  bytes(field: number, value: string | Uint8Array): void {
    const sizeMax = typeof value === 'string' ? value.length * 3 : value.length;
    this.#reserve(sizeMax + 20);
    this.#uvarint(field * 8 + 2);
    if (typeof value !== 'string') {
      this.#uvarint(value.length);
      this.#buffer.set(value, this.#used);
      this.#used += value.length;
      return;
    }
    this.#uvarint(Buffer.byteLength(value));
    this.#used += this.#buffer.write(value, this.#used, 'utf8');
  }

  /** A nested message that `write` fills. */
  message(field: number, write: () => void): void {
    this.#reserve(20);
    this.#uvarint(field * 8 + 2);
    const sizeAt = this.#used;
    // Most messages are short: room for a size of one byte is kept, and the message moved when it needs more.
    this.#used += 1;
    write();
    const size = this.#used - sizeAt - 1;
    const sizeSize = sizeOfUvarint(size);
    this.#reserve(sizeSize);
    if (sizeSize > 1) this.#buffer.copyWithin(sizeAt + sizeSize, sizeAt + 1, this.#used);
    this.#used = sizeAt;
    this.#uvarint(size);
    this.#used += size;
  }

  #uvarint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#byte((rest % 0x80) | 0x80);
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#buffer[this.#used] = value;
    this.#used += 1;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#used + bytes));
    this.#buffer.copy(bigger, 0, 0, this.#used);
    this.#buffer = bigger;
  }
}
