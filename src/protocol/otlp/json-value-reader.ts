import { tooMany } from '../column-builder.ts';
import type { JsonCursor } from '../json-cursor.ts';
import { TextCache } from '../text-cache.ts';
import { badRequest } from '../wire.ts';
import { type AnyValue, DEPTH_MAX, isComposite, LIST_BYTES_MAX, NAME_BYTES_MAX, VALUES_MAX } from './any-value.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LETTER_N = 0x6e;

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/** Values of OTLP's JSON: AnyValue objects, numbers that may stand as text, members in either spelling. */
export class JsonValueReader {
  readonly #cursor: JsonCursor;
  /** Names and values come again with every record. */
  readonly #texts: TextCache;
  /** Members and elements read since the caller set it to 0: what they cost, and a bound on what they become. */
  values = 0;
  /** Bytes of the lists and maps among them: their text costs more than reading them. */
  listBytes = 0;
  /** The key of the pair read last. */
  key = '';

  constructor(cursor: JsonCursor) {
    this.#cursor = cursor;
    this.#texts = new TextCache(cursor.bytes);
  }

  /** Stops at the value of each member of an object, or of `null`, which has none; the key is in camel case. */
  *members(): Generator<string, void> {
    const cursor = this.#cursor;
    if (this.#takeNull()) return;
    cursor.expect(OPEN_OBJECT);
    if (cursor.take(CLOSE_OBJECT)) return;
    do {
      cursor.string();
      const key = camelCase(this.#lastText());
      cursor.expect(COLON);
      this.#count();
      yield key;
    } while (cursor.more(CLOSE_OBJECT));
  }

  /** Stops at each element of an array, or of `null`, which has none. */
  *elements(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (this.#takeNull()) return;
    cursor.expect(OPEN_ARRAY);
    if (cursor.take(CLOSE_ARRAY)) return;
    do {
      this.#count();
      yield;
    } while (cursor.more(CLOSE_ARRAY));
  }

  /** `[{"key": …, "value": {…}}, …]`. @param take is called after each; `key` is that pair's */
  pairs(take: (value: AnyValue) => void, depth = 0): void {
    for (const _ of this.elements()) {
      let key = '';
      let value: AnyValue = null;
      for (const member of this.members()) {
        if (member === 'key') key = this.#name();
        else if (member === 'value') value = this.read(depth);
        else this.#cursor.skipValue();
      }
      this.key = key;
      take(value);
    }
  }

  /** `{"stringValue": "…"}` and the like; of several the last counts. @throws RefusedError BAD_REQUEST, TOO_LARGE */
  read(depth = 0): AnyValue {
    let value: AnyValue = null;
    const start = this.#cursor.at;
    for (const member of this.members()) value = this.member(member, depth);
    if (isComposite(value)) this.countList(this.#cursor.at - start, depth);
    return value;
  }

  /** The value of one member of an AnyValue. */
  member(name: string, depth: number): AnyValue {
    switch (name) {
      case 'stringValue':
        return this.text();
      case 'boolValue':
        return this.#boolean();
      case 'intValue':
        return this.#int64();
      case 'doubleValue':
        return this.#double();
      case 'bytesValue':
        return Buffer.from(this.text(), 'base64');
      case 'arrayValue':
        return this.#list(nested(depth));
      case 'kvlistValue':
        return this.#map(nested(depth));
      default:
        this.#cursor.skipValue();
        return null;
    }
  }

  /** A string; `null` is none. */
  text(): string {
    if (this.#takeNull()) return '';
    this.#cursor.string();
    return this.#lastText();
  }

  reset(): void {
    this.values = 0;
    this.listBytes = 0;
  }

  /** A list or a map of so many bytes has been read. @throws RefusedError TOO_LARGE */
  countList(bytes: number, depth = 0): void {
    if (bytes > LIST_BYTES_MAX) throw tooMany('bytes in one list or map');
    if (depth === 0) this.listBytes += bytes;
  }

  #count(): void {
    this.values += 1;
    if (this.values > VALUES_MAX) throw tooMany('values in one record');
  }

  #name(): string {
    const name = this.text();
    if (name.length > NAME_BYTES_MAX) throw tooMany('bytes in the name of an attribute');
    return name;
  }

  #lastText(): string {
    const { stringStart, stringEnd } = this.#cursor;
    return this.#texts.textAt(stringStart, stringEnd - stringStart);
  }

  /** Digits, as a number or as a string; `null` is 0. */
  uint64(): bigint {
    const value = this.#integer();
    if (value < 0n || value > UINT64_MAX) throw badRequest(`json: ${value} is no unsigned 64-bit integer`);
    return value;
  }

  #int64(): number | bigint {
    const value = this.#integer();
    if (value > INT64_MAX || value < -INT64_MAX - 1n) throw badRequest(`json: ${value} is no 64-bit integer`);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #integer(): bigint {
    const text = this.#scalar();
    if (text === 'null') return 0n;
    if (!/^-?\d{1,20}$/.test(text)) throw badRequest(`json: ${JSON.stringify(text.slice(0, 40))} is no integer`);
    return BigInt(text);
  }

  #double(): number {
    const text = this.#scalar();
    const value = text === 'null' || text === '' ? 0 : Number(text);
    if (Number.isNaN(value) && text !== 'NaN') {
      throw badRequest(`json: ${JSON.stringify(text.slice(0, 40))} is no number`);
    }
    return value;
  }

  #boolean(): boolean {
    const text = this.#scalar();
    if (text !== 'true' && text !== 'false' && text !== 'null') {
      throw badRequest(`json: ${JSON.stringify(text.slice(0, 40))} is neither true nor false`);
    }
    return text === 'true';
  }

  /** The text of a number or a word, or what stands in a string. */
  #scalar(): string {
    const cursor = this.#cursor;
    const first = cursor.peek();
    if (first === QUOTE) return this.text();
    if (first === OPEN_ARRAY || first === OPEN_OBJECT) throw cursor.unexpected('expected a number or a word');
    const start = cursor.at;
    cursor.skipValue();
    return cursor.bytes.toString('latin1', start, cursor.at);
  }

  #list(depth: number): AnyValue {
    const values: AnyValue[] = [];
    for (const member of this.members()) {
      if (member !== 'values') this.#cursor.skipValue();
      else for (const _ of this.elements()) values.push(this.read(depth));
    }
    return values;
  }

  #map(depth: number): AnyValue {
    const values = new Map<string, AnyValue>();
    for (const member of this.members()) {
      if (member === 'values') this.pairs((value) => values.set(this.key, value), depth);
      else this.#cursor.skipValue();
    }
    return values;
  }

  #takeNull(): boolean {
    if (this.#cursor.peek() !== LETTER_N) return false;
    this.#cursor.skipValue();
    return true;
  }
}

const nested = (depth: number): number => {
  if (depth === DEPTH_MAX) throw badRequest(`json: values are nested deeper than ${DEPTH_MAX}`);
  return depth + 1;
};

/** `resource_logs` → `resourceLogs`: Protobuf's JSON allows both. */
const camelCase = (name: string): string =>
  name.includes('_') ? name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : name;
