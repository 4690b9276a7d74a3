/** Fields of a protobuf message one after the other, for messages between nodes: what is not known is passed over, so that versions can mix. */
import { badRequest, cursorAfterRead, readSize, readTag, readVarint, skipValue } from './wire.ts';

/** A field as it lies in the message: a varint, or bytes (which are the message's own memory). */
export interface ProtoField {
  readonly number: number;
  /** Of a varint, exact below 2⁵³; 0 for bytes. */
  readonly value: number;
  /** Empty for a varint. */
  readonly bytes: Uint8Array;
}

const VARINT = 0;
const BYTES = 2;
const NOTHING = new Uint8Array(0);

/** @throws RefusedError BAD_REQUEST where the bytes are no message */
export function* protoFields(bytes: Uint8Array, message: string): Generator<ProtoField> {
  const end = bytes.length;
  for (let at = 0; at < end; ) {
    const tag = readTag(bytes, at, end, message);
    const number = Math.floor(tag / 8);
    const start = cursorAfterRead();
    switch (tag % 8) {
      case VARINT: {
        const value = readVarint(bytes, start, end);
        at = cursorAfterRead();
        yield { number, value, bytes: NOTHING };
        break;
      }
      case BYTES: {
        const size = readSize(bytes, start, end);
        const from = cursorAfterRead();
        at = from + size;
        yield { number, value: 0, bytes: bytes.subarray(from, at) };
        break;
      }
      default:
        skipValue(bytes, start, end, tag % 8);
        at = cursorAfterRead();
    }
  }
}

/** @throws RefusedError BAD_REQUEST for a message that lacks what it must have */
export const present = <Value>(value: Value | undefined, message: string, field: string): Value => {
  if (value === undefined) throw badRequest(`${message} without ${field}`);
  return value;
};
