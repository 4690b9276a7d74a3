/**
 * A push on its way to the node that writes its streams: what `AppendRequest` and `AppendReply` of src/protocol/ringlog.proto say.
 *
 *   header size u32 │ AppendRequest │ zeros up to a multiple of 8 │ entries of the first range │ … of the next
 *
 * A range's entries lie as in an APPEND record of the log (log/append-record.ts), so that reading them is no copy.
 */
import type { ForwardedStream } from '../actors/append-router.ts';
import type { AppendOutcome, AppendRefusal } from '../actors/stream-state.ts';
import { type AppendPlan, readAppend, writeAppend } from '../log/append-record.ts';
import { paddedSize } from '../log/record-format.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import { WireWriter } from '../protocol/logproto.ts';
import { present, protoFields } from '../protocol/proto-fields.ts';
import { badRequest } from '../protocol/wire.ts';

export interface AppendRequest {
  /** The sender's view. */
  readonly changedAt: number;
  readonly tenant: string;
  /** Another node should have got it. */
  readonly isFallback: boolean;
  /** Of the sender's ring: see `ringDigest`. */
  readonly ringDigest: number;
  readonly streams: readonly ForwardedStream[];
}

export interface AppendReply {
  /** The receiver's view. */
  readonly changedAt: number;
  /** In the order of the streams. */
  readonly outcomes: readonly AppendOutcome[];
}

/** A stream's entries, and how they will lie in the message: as they do in a record of the log. */
export interface PlannedAppend {
  readonly canonical: string;
  readonly plans: readonly AppendPlan[];
}

const HEADER_AT = 4;

/** In memory that begins at a multiple of 8. */
export const encodeAppendRequest = (
  { changedAt, tenant, isFallback, ringDigest }: Omit<AppendRequest, 'streams'>,
  streams: readonly PlannedAppend[],
): Uint8Array => {
  const header = new WireWriter();
  header.integer(1, BigInt(changedAt));
  header.bytes(2, tenant);
  for (const { canonical, plans } of streams) {
    header.message(3, () => {
      header.bytes(1, bytesOfText(canonical));
      for (const { length } of plans) header.integer(2, BigInt(length));
    });
  }
  header.integer(4, isFallback ? 1n : 0n);
  header.integer(5, BigInt(ringDigest));
  const headerBytes = header.finish();
  const runsAt = paddedSize(HEADER_AT + headerBytes.length);
  const plans = streams.flatMap((stream) => stream.plans);
  const size = plans.reduce((sum, { length }) => sum + paddedSize(length), runsAt);
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer, 0, size >>> 2);
  words[0] = headerBytes.length;
  bytes.set(headerBytes, HEADER_AT);
  let at = runsAt;
  for (const plan of plans) {
    writeAppend(bytes, words, at, 0, plan);
    at += paddedSize(plan.length);
  }
  return bytes;
};

/** Begins at a multiple of 8, and may be released. */
export const ownCopy = (message: Uint8Array): Uint8Array => {
  const bytes = Buffer.allocUnsafeSlow(message.length);
  bytes.set(message);
  return bytes;
};

/** The entries are views of `bytes`, which begin at a multiple of 8. @throws RefusedError BAD_REQUEST */
export const decodeAppendRequest = (bytes: Uint8Array): AppendRequest => {
  if (bytes.length < HEADER_AT) throw badRequest('AppendRequest: too short');
  const headerSize = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (HEADER_AT + headerSize > bytes.length) throw badRequest('AppendRequest: too short');
  let changedAt = 0;
  let tenant: string | undefined;
  let isFallback = false;
  let ringDigest = 0;
  const streams: ForwardedStream[] = [];
  let at = paddedSize(HEADER_AT + headerSize);
  for (const { number, value, bytes: field } of protoFields(
    bytes.subarray(HEADER_AT, HEADER_AT + headerSize),
    'AppendRequest',
  )) {
    if (number === 1) changedAt = value;
    else if (number === 2) tenant = textOfBytes(field);
    else if (number === 4) isFallback = value === 1;
    else if (number === 5) ringDigest = value;
    else if (number === 3) {
      const { labelText, sizes } = decodeStream(field);
      const ranges = sizes.map((size) => {
        const range = rangeAt(bytes, at, size);
        at += paddedSize(size);
        return range;
      });
      streams.push({ labelText, ranges });
    }
  }
  return { changedAt, tenant: present(tenant, 'AppendRequest', 'tenant'), isFallback, ringDigest, streams };
};

const decodeStream = (bytes: Uint8Array): { readonly labelText: Uint8Array; readonly sizes: readonly number[] } => {
  let labelText: Uint8Array | undefined;
  const sizes: number[] = [];
  for (const { number, value, bytes: field } of protoFields(bytes, 'AppendStream')) {
    if (number === 1) labelText = field;
    else if (number === 2) sizes.push(value);
  }
  return { labelText: present(labelText, 'AppendStream', 'labels'), sizes };
};

const rangeAt = (bytes: Uint8Array, at: number, size: number): EntryRange => {
  if (at + size > bytes.length) throw badRequest('AppendRequest: entries are cut off');
  const { columns, count } = readAppend(bytes.subarray(at, at + size));
  return { columns, first: 0, end: count };
};

/** By their place: never reordered, only added to. */
const REFUSAL_CODES: readonly AppendRefusal['code'][] = [
  'INVALID_ENTRIES',
  'RATE_LIMITED',
  'STREAM_LIMIT',
  'NOT_LOGGED',
  'INTERNAL',
];

export const encodeAppendReply = ({ changedAt, outcomes }: AppendReply): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const { acceptedLines, acceptedBytes, refusal } of outcomes) {
    writer.message(2, () => {
      writer.integer(1, BigInt(acceptedLines));
      writer.integer(2, BigInt(acceptedBytes));
      if (!refusal) return;
      writer.integer(3, BigInt(REFUSAL_CODES.indexOf(refusal.code) + 1));
      writer.bytes(4, refusal.text);
      writer.integer(5, BigInt(refusal.lines));
      writer.integer(6, BigInt(refusal.bytes));
    });
  }
  return writer.finish();
};

/** @throws RefusedError BAD_REQUEST */
export const decodeAppendReply = (bytes: Uint8Array): AppendReply => {
  let changedAt = 0;
  const outcomes: AppendOutcome[] = [];
  for (const { number, value, bytes: field } of protoFields(bytes, 'AppendReply')) {
    if (number === 1) changedAt = value;
    else if (number === 2) outcomes.push(decodeOutcome(field));
  }
  return { changedAt, outcomes };
};

const decodeOutcome = (bytes: Uint8Array): AppendOutcome => {
  let [acceptedLines, acceptedBytes, code, lines, refusedBytes] = [0, 0, 0, 0, 0];
  let text = '';
  for (const { number, value, bytes: field } of protoFields(bytes, 'AppendOutcome')) {
    if (number === 1) acceptedLines = value;
    else if (number === 2) acceptedBytes = value;
    else if (number === 3) code = value;
    else if (number === 4) text = textOfBytes(field);
    else if (number === 5) lines = value;
    else if (number === 6) refusedBytes = value;
  }
  const refusal: AppendRefusal | undefined =
    code === 0 ? undefined : { code: REFUSAL_CODES[code - 1] ?? 'INTERNAL', text, lines, bytes: refusedBytes };
  return { acceptedLines, acceptedBytes, refusal };
};
