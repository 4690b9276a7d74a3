/** Fields of a protobuf message one after the other, for messages between nodes: what is not known is passed over, so that versions can mix. */
import { badRequest, cursorAfterRead, readSize, readTag, readVarint, skipValue } from './wire.ts';

/** A field as it lies in the message: a varint, or bytes (which are the message's own memory). Good until the next one is asked for. */
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
export const protoFields = (bytes: Uint8Array, message: string): Iterable<ProtoField> =>
  new FieldReader(bytes, message);

/** No generator, and one object for all fields: those of small messages were a twentieth of what a push that goes on allocates. */
class FieldReader implements Iterable<ProtoField>, Iterator<ProtoField, undefined>, ProtoField {
  readonly #message: Uint8Array;
  readonly #name: string;
  readonly #result = { done: false as const, value: this };
  #at = 0;
  number = 0;
  value = 0;
  bytes: Uint8Array = NOTHING;

  constructor(message: Uint8Array, name: string) {
    this.#message = message;
    this.#name = name;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<ProtoField, undefined> {
    const message = this.#message;
    const end = message.length;
    while (this.#at < end) {
      const tag = readTag(message, this.#at, end, this.#name);
      const start = cursorAfterRead();
      this.number = Math.floor(tag / 8);
      switch (tag % 8) {
        case VARINT:
          this.value = readVarint(message, start, end);
          this.bytes = NOTHING;
          this.#at = cursorAfterRead();
          return this.#result;
        case BYTES: {
          const size = readSize(message, start, end);
          const from = cursorAfterRead();
          this.value = 0;
          this.#at = from + size;
          this.bytes = message.subarray(from, this.#at);
          return this.#result;
        }
        default:
          skipValue(message, start, end, tag % 8);
          this.#at = cursorAfterRead();
      }
    }
    return DONE;
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** @throws RefusedError BAD_REQUEST for a message that lacks what it must have */
export const present = <Value>(value: Value | undefined, message: string, field: string): Value => {
  if (value === undefined) throw badRequest(`${message} without ${field}`);
  return value;
};
