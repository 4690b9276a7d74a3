import { tooMany } from '../column-builder.ts';
import type { TextCache } from '../text-cache.ts';
import {
  badRequest,
  cursorAfterRead,
  readExactInt64,
  readSize,
  readTag,
  readVarint,
  skipValue,
  unexpectedEnd,
  wrongWireType,
} from '../wire.ts';
import { type AnyValue, DEPTH_MAX, LIST_BYTES_MAX, NAME_BYTES_MAX, VALUES_MAX } from './any-value.ts';

const FIELD_NAMES = [
  '',
  'StringValue',
  'BoolValue',
  'IntValue',
  'DoubleValue',
  'ArrayValue',
  'KvlistValue',
  'BytesValue',
];

/** Reads AnyValue messages (the API specification, 2.2). */
export class AnyValueReader {
  readonly #bytes: Buffer;
  readonly #texts: TextCache;
  /** Values and fields read since the caller set it to 0: what they cost, and a bound on what they become. */
  values = 0;
  /** Bytes of the lists and maps among them: their text costs more than reading them. */
  listBytes = 0;

  constructor(bytes: Buffer, texts: TextCache) {
    this.#bytes = bytes;
    this.#texts = texts;
  }

  /** The AnyValue [start, end); of several values the last counts. @throws RefusedError BAD_REQUEST, TOO_LARGE */
  read(start: number, end: number, depth = 0): AnyValue {
    const bytes = this.#bytes;
    this.count();
    // Most values are a text and nothing else.
    if (start < end && bytes[start] === 0x0a) {
      const size = readSize(bytes, start + 1, end);
      const at = cursorAfterRead();
      if (at + size === end) return this.#texts.textAt(at, size);
    }
    let value: AnyValue = null;
    for (let at = start; at < end; ) {
      const tag = readTag(bytes, at, end, 'AnyValue');
      this.count();
      const next = cursorAfterRead();
      const known = this.#field(tag, next, end, depth);
      if (known === undefined) {
        const field = FIELD_NAMES[tag >> 3];
        if (field) throw wrongWireType(tag, field);
        skipValue(bytes, next, end, tag & 7);
        at = cursorAfterRead();
      } else {
        value = known;
        at = this.#end;
      }
    }
    return value;
  }

  reset(): void {
    this.values = 0;
    this.listBytes = 0;
  }

  /** One more value or field. @throws RefusedError TOO_LARGE */
  count(): void {
    this.values += 1;
    if (this.values > VALUES_MAX) throw tooMany('values in one record');
  }

  /** Where the last field ended. */
  #end = 0;

  /** undefined for what is no field of an AnyValue. */
  #field(tag: number, at: number, end: number, depth: number): AnyValue | undefined {
    const bytes = this.#bytes;
    switch (tag) {
      case 0x10: {
        const value = readVarint(bytes, at, end) !== 0;
        this.#end = cursorAfterRead();
        return value;
      }
      case 0x18: {
        const value = readExactInt64(bytes, at, end);
        this.#end = cursorAfterRead();
        return value;
      }
      case 0x21:
        this.#end = at + 8;
        if (at + 8 > end) throw unexpectedEnd();
        return bytes.readDoubleLE(at);
      case 0x0a:
      case 0x2a:
      case 0x32:
      case 0x3a: {
        const size = readSize(bytes, at, end);
        const start = cursorAfterRead();
        const value = this.#sized(tag, start, start + size, depth);
        this.#end = start + size;
        return value;
      }
      default:
        return undefined;
    }
  }

  #sized(tag: number, start: number, end: number, depth: number): AnyValue {
    if (tag === 0x0a) return this.#texts.textAt(start, end - start);
    if (tag === 0x3a) return this.#bytes.subarray(start, end);
    if (depth === DEPTH_MAX) throw badRequest(`proto: values are nested deeper than ${DEPTH_MAX}`);
    if (end - start > LIST_BYTES_MAX) throw tooMany('bytes in one list or map');
    if (depth === 0) this.listBytes += end - start;
    return tag === 0x2a ? this.#list(start, end, depth) : this.#map(start, end, depth);
  }

  #list(start: number, end: number, depth: number): AnyValue {
    const values: AnyValue[] = [];
    this.#elements(start, end, 'ArrayValue', (from, to) => values.push(this.read(from, to, depth + 1)));
    return values;
  }

  #map(start: number, end: number, depth: number): AnyValue {
    const values = new Map<string, AnyValue>();
    this.#elements(start, end, 'KeyValueList', (from, to) => {
      const value = this.readPair(from, to, depth + 1);
      values.set(this.key, value);
    });
    return values;
  }

  /** The `values` (field 1) of a list or a map. */
  #elements(start: number, end: number, message: string, element: (start: number, end: number) => void): void {
    const bytes = this.#bytes;
    for (let at = start; at < end; ) {
      const tag = readTag(bytes, at, end, message);
      this.count();
      const next = cursorAfterRead();
      if (tag === 0x0a) {
        const size = readSize(bytes, next, end);
        const from = cursorAfterRead();
        element(from, from + size);
        at = from + size;
        continue;
      }
      if (tag >> 3 === 1) throw wrongWireType(tag, 'Values');
      skipValue(bytes, next, end, tag & 7);
      at = cursorAfterRead();
    }
  }

  /** The key of the pair read last. */
  key = '';

  /** The KeyValue [start, end): leaves its key, @returns its value */
  readPair(start: number, end: number, depth = 0): AnyValue {
    const bytes = this.#bytes;
    let key = '';
    let value: AnyValue = null;
    for (let at = start; at < end; ) {
      const tag = readTag(bytes, at, end, 'KeyValue');
      this.count();
      if (tag === 0x0a || tag === 0x12) {
        const size = readSize(bytes, cursorAfterRead(), end);
        const from = cursorAfterRead();
        if (tag === 0x0a) key = this.#keyAt(from, size);
        else value = this.read(from, from + size, depth);
        at = from + size;
        continue;
      }
      if (tag >> 3 === 1) throw wrongWireType(tag, 'Key');
      if (tag >> 3 === 2) throw wrongWireType(tag, 'Value');
      skipValue(bytes, cursorAfterRead(), end, tag & 7);
      at = cursorAfterRead();
    }
    this.key = key;
    return value;
  }

  #keyAt(start: number, size: number): string {
    if (size > NAME_BYTES_MAX) throw tooMany('bytes in the name of an attribute');
    return this.#texts.textAt(start, size);
  }
}
