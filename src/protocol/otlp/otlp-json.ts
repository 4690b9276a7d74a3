import { writeSizeBefore } from '../column-builder.ts';
import type { PushedStream } from '../entry-columns.ts';
import { JsonCursor } from '../json-cursor.ts';
import { badRequest } from '../wire.ts';
import { type AnyValue, isComposite, textOf } from './any-value.ts';
import { JsonValueReader } from './json-value-reader.ts';
import { OtlpStreams, type OtlpStreamsOptions } from './otlp-streams.ts';

const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COLON = 0x3a;
const QUOTE = 0x22;

const RECORD_BYTES_GUESS = 256;

/** Beyond the bytes read, as in otlp-decoder.ts. */
const RECORD_COST = 1024;
/** Of a resource or a scope. */
const GROUP_COST = 256;
const VALUE_COST = 128;
const TEXT_COST = 8;
/** A byte of a list or a map. */
const LIST_COST = 8;

const SEVERITIES = ['UNSPECIFIED', 'TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

/** What the record being read has; lines that are plain text stay in the body. */
interface OtlpRecord {
  /** −1: the body is a value, or there is none. */
  lineStart: number;
  lineEnd: number;
  body: AnyValue;
  timeNs: bigint;
  observedNs: bigint;
  severityNumber: number;
  severityText: string;
  droppedCount: bigint;
  flags: bigint;
  traceId: string;
  spanId: string;
}

/**
 * OTLP's logs as JSON → columns that lie in the body (the API specification, 2.2): each line is unescaped where it stands, its length put
 * over the punctuation in front of it. Takes the bytes over. Members may come in any order: a resource is looked for before its records
 * are read, a scope too.
 */
export class OtlpJsonDecoder {
  readonly #cursor: JsonCursor;
  readonly #values: JsonValueReader;
  readonly #out: OtlpStreams;
  readonly #walk: Generator<undefined, void>;
  /** Where this step ends. Moves towards the cursor as costs are counted, and back when the cursor goes back. */
  #stop = 0;

  constructor(bytes: Buffer, options: OtlpStreamsOptions) {
    this.#cursor = new JsonCursor(bytes);
    this.#values = new JsonValueReader(this.#cursor);
    this.#out = new OtlpStreams(bytes, Math.ceil(bytes.length / RECORD_BYTES_GUESS), options);
    this.#walk = this.#request();
  }

  /** As PushDecoder.step. @throws RefusedError BAD_REQUEST, TOO_LARGE, OVERLOADED */
  step(budget: number): boolean {
    this.#stop = this.#cursor.at + budget;
    return this.#walk.next().done === true;
  }

  /** The streams that have records, once `step` has returned true. */
  streams(): readonly PushedStream[] {
    return this.#out.streams();
  }

  /** As OtlpStreams.bytes. */
  get pushBytes(): number {
    return this.#out.bytes;
  }

  *#request(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (cursor.bytes.length === 0) throw badRequest('EOF');
    for (const member of this.#values.members()) {
      if (member === 'resourceLogs') yield* this.#resourceLogs();
      else cursor.skipValue();
      if (cursor.at >= this.#stop) yield;
    }
  }

  *#resourceLogs(): Generator<undefined, void> {
    for (const _ of this.#values.elements()) {
      this.#stop -= GROUP_COST;
      this.#values.reset();
      this.#out.startResource();
      const found = yield* this.#find('resource');
      if (found) this.#resource();
      const foundEnd = this.#goBack(found);
      for (const member of this.#values.members()) {
        if (this.#isAt(found)) this.#cursor.at = foundEnd;
        else if (member === 'scopeLogs') yield* this.#scopeLogs();
        else this.#cursor.skipValue();
        if (this.#cursor.at >= this.#stop) yield;
      }
      if (this.#cursor.at >= this.#stop) yield;
    }
  }

  *#scopeLogs(): Generator<undefined, void> {
    for (const _ of this.#values.elements()) {
      this.#stop -= GROUP_COST;
      this.#values.reset();
      this.#out.startScope();
      const found = yield* this.#find('scope');
      if (found) this.#scope();
      const foundEnd = this.#goBack(found);
      this.#out.endScope();
      for (const member of this.#values.members()) {
        if (this.#isAt(found)) this.#cursor.at = foundEnd;
        else if (member === 'logRecords') yield* this.#records();
        else this.#cursor.skipValue();
        if (this.#cursor.at >= this.#stop) yield;
      }
      if (this.#cursor.at >= this.#stop) yield;
    }
  }

  /**
   * Looks for a member of the object that comes next, without unescaping what it passes. The cursor is then at the member's value, or
   * where it was if there is none.
   */
  *#find(name: string): Generator<undefined, { readonly objectAt: number; readonly valueAt: number } | undefined> {
    const cursor = this.#cursor;
    const isObject = cursor.peek() === OPEN_OBJECT;
    const objectAt = cursor.at;
    if (!isObject) return undefined;
    cursor.expect(OPEN_OBJECT);
    if (!cursor.take(CLOSE_OBJECT)) {
      do {
        if (cursor.peek() !== QUOTE) throw cursor.unexpected('expected a name');
        const keyAt = cursor.at;
        cursor.skipValue();
        const isFound = cursor.bytes.toString('latin1', keyAt + 1, Math.min(cursor.at - 1, keyAt + 17)) === name;
        cursor.expect(COLON);
        if (isFound) {
          cursor.peek();
          return { objectAt, valueAt: cursor.at };
        }
        yield* this.#pass();
        if (cursor.at >= this.#stop) yield;
      } while (cursor.more(CLOSE_OBJECT));
    }
    this.#moveTo(objectAt);
    return undefined;
  }

  /** Skips a value; a long list element by element, in turns. */
  *#pass(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (cursor.peek() !== OPEN_ARRAY) {
      cursor.skipValue();
      return;
    }
    cursor.expect(OPEN_ARRAY);
    if (cursor.take(CLOSE_ARRAY)) return;
    do {
      cursor.skipValue();
      if (cursor.at >= this.#stop) yield;
    } while (cursor.more(CLOSE_ARRAY));
  }

  /** To the beginning of the object in which something was found. @returns where the cursor was */
  #goBack(found: { readonly objectAt: number } | undefined): number {
    const { at } = this.#cursor;
    if (found) this.#moveTo(found.objectAt);
    return at;
  }

  #isAt(found: { readonly valueAt: number } | undefined): boolean {
    this.#cursor.peek();
    return this.#cursor.at === found?.valueAt;
  }

  #moveTo(at: number): void {
    this.#stop -= this.#cursor.at - at;
    this.#cursor.rewind(at);
  }

  #resource(): void {
    this.#values.reset();
    for (const member of this.#values.members()) {
      if (member === 'attributes') this.#values.pairs((value) => this.#out.resourceAttribute(this.#values.key, value));
      else this.#cursor.skipValue();
    }
    this.#stop -= this.#values.values * VALUE_COST + this.#values.listBytes * LIST_COST;
  }

  #scope(): void {
    const values = this.#values;
    let name = '';
    let version = '';
    let dropped = 0n;
    values.reset();
    for (const member of values.members()) {
      if (member === 'name') name = values.text();
      else if (member === 'version') version = values.text();
      else if (member === 'droppedAttributesCount') dropped = values.uint64();
      else if (member === 'attributes') values.pairs((value) => this.#out.scopeAttribute(values.key, value));
      else this.#cursor.skipValue();
    }
    this.#out.scopeField('scope_name', name);
    this.#out.scopeField('scope_version', version);
    if (dropped > 0n) this.#out.scopeField('scope_dropped_attributes_count', String(dropped));
    this.#stop -= values.values * VALUE_COST + values.listBytes * LIST_COST;
  }

  *#records(): Generator<undefined, void> {
    for (const _ of this.#values.elements()) {
      this.#record();
      if (this.#cursor.at >= this.#stop) yield;
    }
  }

  #record(): void {
    const cursor = this.#cursor;
    const record = emptyRecord();
    this.#values.reset();
    for (const member of this.#values.members()) this.#recordMember(member, record);
    this.#stop -= RECORD_COST + this.#values.values * VALUE_COST + this.#values.listBytes * LIST_COST;
    this.#stop -= this.#out.sharedTexts * TEXT_COST;
    this.#add(record, cursor.at);
  }

  #recordMember(member: string, record: OtlpRecord): void {
    const values = this.#values;
    switch (member) {
      case 'timeUnixNano':
        record.timeNs = values.uint64();
        return;
      case 'observedTimeUnixNano':
        record.observedNs = values.uint64();
        return;
      case 'severityNumber':
        record.severityNumber = this.#severityNumber();
        return;
      case 'severityText':
        record.severityText = values.text();
        return;
      case 'body':
        this.#readBody(record);
        return;
      case 'attributes':
        values.pairs((value) => this.#out.recordAttribute(values.key, value));
        return;
      case 'droppedAttributesCount':
        record.droppedCount = values.uint64();
        return;
      case 'flags':
        record.flags = values.uint64();
        return;
      case 'traceId':
        record.traceId = idOf(values.text(), 16, 'TraceID');
        return;
      case 'spanId':
        record.spanId = idOf(values.text(), 8, 'SpanID');
        return;
      default:
        this.#cursor.skipValue();
    }
  }

  /** Plain text stays where it lies, though of several values the last counts. */
  #readBody(record: OtlpRecord): void {
    const cursor = this.#cursor;
    const start = cursor.at;
    record.lineStart = -1;
    record.body = null;
    for (const member of this.#values.members()) {
      if (member === 'stringValue' && cursor.peek() === QUOTE) {
        cursor.string();
        record.lineStart = cursor.stringStart;
        record.lineEnd = cursor.stringEnd;
      } else {
        record.lineStart = -1;
        record.body = this.#values.member(member, 0);
      }
    }
    if (isComposite(record.body)) this.#values.countList(cursor.at - start);
  }

  /** A number, or its name: `SEVERITY_NUMBER_INFO2`. */
  #severityNumber(): number {
    if (this.#cursor.peek() !== QUOTE) return Number(BigInt.asIntN(32, this.#values.uint64()));
    const [, name = '', digit = '1'] = /^SEVERITY_NUMBER_([A-Z]+)([234])?$/.exec(this.#values.text()) ?? [];
    const index = SEVERITIES.indexOf(name);
    if (index < 0) throw badRequest('json: no such severity number');
    return index === 0 ? 0 : index * 4 - 4 + Number(digit);
  }

  /** In the order of Loki: of equal names the last counts. `end`: of the record. */
  #add(record: OtlpRecord, end: number): void {
    const out = this.#out;
    const { timeNs, observedNs, lineStart, lineEnd } = record;
    if (timeNs !== 0n && observedNs !== 0n) {
      out.recordField('observed_timestamp', String(BigInt.asIntN(64, observedNs)));
    }
    if (record.severityNumber !== 0) out.recordField('severity_number', String(record.severityNumber));
    if (record.severityText !== '') out.severityText(record.severityText);
    if (record.droppedCount !== 0n) out.recordField('dropped_attributes_count', String(record.droppedCount));
    if (record.flags !== 0n) out.recordField('flags', String(record.flags));
    if (record.traceId !== '') out.recordField('trace_id', record.traceId);
    if (record.spanId !== '') out.recordField('span_id', record.spanId);
    const ns = timeNs === 0n ? observedNs : timeNs;
    const low = Number(ns & 0xffffffffn);
    const high = Number(ns >> 32n);
    if (lineStart >= 0) {
      // At least five bytes of this record stand in front of the line, already read.
      const lineOffset = writeSizeBefore(this.#cursor.bytes, lineStart, lineEnd - lineStart);
      out.addInPlace(lineOffset, lineStart, lineEnd, low, high);
    } else if (record.body === null) {
      // The bracket just read becomes the length of an empty line.
      this.#cursor.bytes[end - 1] = 0;
      out.addInPlace(end - 1, end, end, low, high);
    } else {
      out.addLine(textOf(record.body), low, high);
    }
  }
}

const emptyRecord = (): OtlpRecord => ({
  lineStart: -1,
  lineEnd: -1,
  body: null,
  timeNs: 0n,
  observedNs: 0n,
  severityNumber: 0,
  severityText: '',
  droppedCount: 0n,
  flags: 0n,
  traceId: '',
  spanId: '',
});

/** Lower-case hex; "" for none, and for zeros. */
const idOf = (text: string, size: number, name: string): string => {
  if (text === '') return '';
  if (text.length !== size * 2 || !/^[0-9a-fA-F]+$/.test(text)) throw badRequest(`json: invalid ${name}`);
  return /^0+$/.test(text) ? '' : text.toLowerCase();
};
