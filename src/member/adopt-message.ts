/**
 * Segments on their way to another node: `AdoptRequest` and `AdoptReply` of src/protocol/ringlog.proto.
 *
 *   header size u32 │ AdoptRequest │ zeros up to a multiple of 8 │ parts (log/segment-part.ts), each padded to a multiple of 8
 */
import { paddedSize } from '../log/record-format.ts';
import { WireWriter } from '../protocol/logproto.ts';
import { protoFields } from '../protocol/proto-fields.ts';
import { badRequest } from '../protocol/wire.ts';

export interface OfferedPart {
  /** Custody epoch of the giver's copy. */
  readonly epoch: number;
  /** Entries of the whole segment: with its last part; 0 before. */
  readonly finalCount: number;
  readonly part: Uint8Array;
}

/** One that is to be sent. */
export interface OutgoingPart extends Omit<OfferedPart, 'part'> {
  /** As `encodeSegmentPart` makes them. */
  readonly pieces: readonly Uint8Array[];
  /** Bytes of them together. */
  readonly size: number;
}

export interface AdoptRequest<Part> {
  /** The giver's view. */
  readonly changedAt: number;
  readonly parts: readonly Part[];
}

/** adopted: the taker is custodian, at the epoch. taken: the part is durable there. refused: offer the segment again, or to another. */
export type PartAnswer =
  | { readonly type: 'adopted'; readonly epoch: number }
  | { readonly type: 'taken' }
  | { readonly type: 'refused' };

export interface AdoptReply {
  /** The taker's view. */
  readonly changedAt: number;
  /** In the order of the parts. */
  readonly answers: readonly PartAnswer[];
}

const SIZE_BYTES = 4;
/** By their numbers on the wire. */
const ANSWERS = ['refused', 'taken', 'adopted'] as const;

export const encodeAdoptRequest = ({ changedAt, parts }: AdoptRequest<OutgoingPart>): readonly Uint8Array[] => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const { epoch, finalCount, size } of parts) {
    writer.message(2, () => {
      writer.integer(1, BigInt(size));
      writer.integer(2, BigInt(epoch));
      writer.integer(3, BigInt(finalCount));
    });
  }
  const header = writer.finish();
  const front = Buffer.alloc(paddedSize(SIZE_BYTES + header.length));
  front.writeUInt32LE(header.length);
  front.set(header, SIZE_BYTES);
  return [front, ...parts.flatMap(({ pieces, size }) => [...pieces, new Uint8Array(paddedSize(size) - size)])];
};

/** The parts are views of the message. @throws RefusedError BAD_REQUEST */
export const decodeAdoptRequest = (message: Uint8Array): AdoptRequest<OfferedPart> => {
  if (message.length < SIZE_BYTES) throw badRequest('AdoptRequest: cut off');
  const size = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  let changedAt = 0;
  let at = paddedSize(SIZE_BYTES + size);
  const parts: OfferedPart[] = [];
  for (const { number, value, bytes } of protoFields(message.subarray(SIZE_BYTES, SIZE_BYTES + size), 'AdoptRequest')) {
    if (number === 1) changedAt = value;
    else if (number === 2) {
      const { length, epoch, finalCount } = readPart(bytes);
      if (at + length > message.length) throw badRequest('AdoptRequest: a part is cut off');
      parts.push({ epoch, finalCount, part: message.subarray(at, at + length) });
      at += paddedSize(length);
    }
  }
  return { changedAt, parts };
};

const readPart = (bytes: Uint8Array): { length: number; epoch: number; finalCount: number } => {
  const part = { length: 0, epoch: 0, finalCount: 0 };
  for (const { number, value } of protoFields(bytes, 'OfferedPart')) {
    if (number === 1) part.length = value;
    else if (number === 2) part.epoch = value;
    else if (number === 3) part.finalCount = value;
  }
  return part;
};

export const encodeAdoptReply = ({ changedAt, answers }: AdoptReply): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const answer of answers) {
    writer.message(2, () => {
      writer.integer(1, BigInt(ANSWERS.indexOf(answer.type)));
      writer.integer(2, BigInt(answer.type === 'adopted' ? answer.epoch : 0));
    });
  }
  return writer.finish();
};

/** @throws RefusedError BAD_REQUEST */
export const decodeAdoptReply = (message: Uint8Array): AdoptReply => {
  let changedAt = 0;
  const answers: PartAnswer[] = [];
  for (const { number, value, bytes } of protoFields(message, 'AdoptReply')) {
    if (number === 1) changedAt = value;
    else if (number === 2) answers.push(readAnswer(bytes));
  }
  return { changedAt, answers };
};

const readAnswer = (bytes: Uint8Array): PartAnswer => {
  let [type, epoch] = [0, 0];
  for (const { number, value } of protoFields(bytes, 'PartAnswer')) {
    if (number === 1) type = value;
    else if (number === 2) epoch = value;
  }
  const name = ANSWERS[type] ?? 'refused';
  return name === 'adopted' ? { type: name, epoch } : { type: name };
};
