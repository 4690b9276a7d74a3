import { writeSizeBefore } from '../column-builder.ts';
import type { PushedStream } from '../entry-columns.ts';
import { TextCache } from '../text-cache.ts';
import {
  badRequest,
  cursorAfterRead,
  readInt32,
  readSize,
  readTag,
  skipValue,
  unexpectedEnd,
  wrongWireType,
} from '../wire.ts';
import { type AnyValue, textOf } from './any-value.ts';
import { AnyValueReader } from './any-value-reader.ts';
import { OtlpStreams, type OtlpStreamsOptions } from './otlp-streams.ts';

/** Bytes of wire per record that the first columns are sized for. */
const RECORD_BYTES_GUESS = 160;

/** What costs more than its bytes is counted as more bytes of the budget; one byte is about 1 ns (measured, push-decode bench). */
const FIELD_COST = 32;
/** Of a resource or a scope. */
const GROUP_COST = 256;
const RECORD_COST = 256;
const VALUE_COST = 64;
const TEXT_COST = 8;
/** A byte of a list or a map. */
const LIST_COST = 8;

const RECORD_FIELDS = [
  ...['', 'TimeUnixNano', 'SeverityNumber', 'SeverityText', '', 'Body', 'Attributes', 'DroppedAttributesCount'],
  ...['Flags', 'TraceId', 'SpanId', 'ObservedTimeUnixNano'],
];

/**
 * OTLP's ExportLogsServiceRequest → columns, in one pass over its bytes (numbers in the API specification, 2.2). A resource is looked
 * for before its records are read, a scope too: fields may come in any order.
 *
 * Takes the bytes over: lines that are plain text stay where they lie, and a zero length is put over bytes already read where a record
 * has no body.
 */
export class OtlpDecoder {
  readonly #bytes: Buffer;
  readonly #out: OtlpStreams;
  readonly #texts: TextCache;
  readonly #values: AnyValueReader;
  readonly #walk: Generator<undefined, void>;
  /** What is left of this step. */
  #left = 0;
  /** Of the record being read. The body: a range of the bytes (`lineOffset` ≥ 0), or a value. */
  #lineOffset = -1;
  #lineStart = 0;
  #lineEnd = 0;
  #body: AnyValue = null;
  #timeAt = -1;
  #observedAt = -1;
  #severityNumber = 0;
  #severityText = '';
  #droppedCount = 0;
  #flags = 0;
  #traceId = '';
  #spanId = '';

  constructor(bytes: Buffer, options: OtlpStreamsOptions) {
    this.#bytes = bytes;
    this.#out = new OtlpStreams(bytes, Math.ceil(bytes.length / RECORD_BYTES_GUESS), options);
    this.#texts = new TextCache(bytes);
    this.#values = new AnyValueReader(bytes, this.#texts);
    this.#walk = this.#request();
  }

  /** As PushDecoder.step. @throws RefusedError BAD_REQUEST, TOO_LARGE, OVERLOADED */
  step(budget: number): boolean {
    this.#left = budget;
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
    const bytes = this.#bytes;
    for (let at = 0; at < bytes.length; ) {
      const end = this.#sized(at, bytes.length, 0x0a, 'ExportLogsServiceRequest', 'ResourceLogs');
      if (this.#start >= 0) yield* this.#resourceLogs(this.#start, end);
      at = end;
      if (this.#left <= 0) yield;
    }
  }

  /** The first byte of the value that `#sized` found; −1 if the field was another. */
  #start = -1;

  /** The field at `at`, which is wanted if its tag is `wanted`: leaves its start. @returns its end */
  #sized(at: number, end: number, wanted: number, message: string, field: string): number {
    const bytes = this.#bytes;
    const tag = readTag(bytes, at, end, message);
    this.#left -= FIELD_COST;
    this.#start = -1;
    if (tag === wanted) {
      const size = readSize(bytes, cursorAfterRead(), end);
      this.#start = cursorAfterRead();
      return this.#start + size;
    }
    if (tag >> 3 === wanted >> 3) throw wrongWireType(tag, field);
    skipValue(bytes, cursorAfterRead(), end, tag & 7);
    return cursorAfterRead();
  }

  *#resourceLogs(start: number, end: number): Generator<undefined, void> {
    this.#left -= GROUP_COST;
    this.#out.startResource();
    for (let at = start; at < end; ) {
      at = this.#sized(at, end, 0x0a, 'ResourceLogs', 'Resource');
      if (this.#start >= 0) this.#resource(this.#start, at);
      if (this.#left <= 0) yield;
    }
    for (let at = start; at < end; ) {
      const next = this.#sized(at, end, 0x12, 'ResourceLogs', 'ScopeLogs');
      if (this.#start >= 0) yield* this.#scopeLogs(this.#start, next);
      at = next;
      if (this.#left <= 0) yield;
    }
  }

  #resource(start: number, end: number): void {
    this.#values.reset();
    for (let at = start; at < end; ) {
      at = this.#sized(at, end, 0x0a, 'Resource', 'Attributes');
      this.#values.count();
      if (this.#start < 0) continue;
      const value = this.#values.readPair(this.#start, at);
      this.#out.resourceAttribute(this.#values.key, value);
    }
    this.#left -= end - start + this.#valuesCost();
  }

  *#scopeLogs(start: number, end: number): Generator<undefined, void> {
    this.#left -= GROUP_COST;
    this.#out.startScope();
    for (let at = start; at < end; ) {
      at = this.#sized(at, end, 0x0a, 'ScopeLogs', 'Scope');
      if (this.#start >= 0) this.#scope(this.#start, at);
      if (this.#left <= 0) yield;
    }
    this.#out.endScope();
    for (let at = start; at < end; ) {
      const next = this.#sized(at, end, 0x12, 'ScopeLogs', 'LogRecords');
      if (this.#start >= 0) this.#record(this.#start, next);
      at = next;
      if (this.#left <= 0) yield;
    }
  }

  #scope(start: number, end: number): void {
    const bytes = this.#bytes;
    let name = '';
    let version = '';
    let dropped = 0;
    this.#values.reset();
    for (let at = start; at < end; ) {
      const tag = readTag(bytes, at, end, 'InstrumentationScope');
      this.#values.count();
      const next = cursorAfterRead();
      if (tag === 0x20) {
        dropped = readInt32(bytes, next, end) >>> 0;
        at = cursorAfterRead();
        continue;
      }
      if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a) {
        if (tag >> 3 <= 4)
          throw wrongWireType(tag, ['', 'Name', 'Version', 'Attributes', 'DroppedAttributesCount'][tag >> 3]!);
        skipValue(bytes, next, end, tag & 7);
        at = cursorAfterRead();
        continue;
      }
      const size = readSize(bytes, next, end);
      const from = cursorAfterRead();
      at = from + size;
      if (tag === 0x0a) name = this.#texts.textAt(from, size);
      else if (tag === 0x12) version = this.#texts.textAt(from, size);
      else {
        const value = this.#values.readPair(from, at);
        this.#out.scopeAttribute(this.#values.key, value);
      }
    }
    this.#out.scopeField('scope_name', name);
    this.#out.scopeField('scope_version', version);
    if (dropped > 0) this.#out.scopeField('scope_dropped_attributes_count', String(dropped));
    this.#left -= end - start + this.#valuesCost();
  }

  /** The LogRecord [start, end), into the columns. */
  #record(start: number, end: number): void {
    const bytes = this.#bytes;
    this.#clearRecord();
    let fields = 0;
    for (let at = start; at < end; ) {
      let tag = bytes[at]!;
      let next = at + 1;
      if (tag >= 0x80 || tag < 0x08) {
        tag = readTag(bytes, at, end, 'LogRecord');
        next = cursorAfterRead();
      }
      at = this.#recordField(tag, next, end);
      fields += 1;
      this.#values.count();
    }
    this.#left -= end - start + RECORD_COST + fields * FIELD_COST;
    this.#left -= this.#valuesCost() + this.#out.sharedTexts * TEXT_COST;
    this.#addRecord(start);
  }

  #valuesCost(): number {
    return this.#values.values * VALUE_COST + this.#values.listBytes * LIST_COST;
  }

  #clearRecord(): void {
    this.#values.reset();
    this.#lineOffset = -1;
    this.#body = null;
    this.#timeAt = -1;
    this.#observedAt = -1;
    this.#severityNumber = 0;
    this.#severityText = '';
    this.#droppedCount = 0;
    this.#flags = 0;
    this.#traceId = '';
    this.#spanId = '';
  }

  /** @returns the end of the field whose value is at `at` */
  #recordField(tag: number, at: number, end: number): number {
    const bytes = this.#bytes;
    switch (tag) {
      case 0x09:
        this.#timeAt = at;
        return fixedEnd(at, 8, end);
      case 0x59:
        this.#observedAt = at;
        return fixedEnd(at, 8, end);
      case 0x45: {
        const next = fixedEnd(at, 4, end);
        this.#flags = bytes.readUInt32LE(at);
        return next;
      }
      case 0x10:
        this.#severityNumber = readInt32(bytes, at, end);
        return cursorAfterRead();
      case 0x38:
        this.#droppedCount = readInt32(bytes, at, end) >>> 0;
        return cursorAfterRead();
      case 0x1a:
      case 0x2a:
      case 0x32:
      case 0x4a:
      case 0x52: {
        const size = readSize(bytes, at, end);
        const start = cursorAfterRead();
        this.#sizedField(tag, start, start + size);
        return start + size;
      }
      default: {
        const field = RECORD_FIELDS[tag >> 3];
        if (field) throw wrongWireType(tag, field);
        skipValue(bytes, at, end, tag & 7);
        return cursorAfterRead();
      }
    }
  }

  #sizedField(tag: number, start: number, end: number): void {
    if (tag === 0x32) {
      const value = this.#values.readPair(start, end);
      this.#out.recordAttribute(this.#values.key, value);
    } else if (tag === 0x2a) {
      this.#readBody(start, end);
    } else if (tag === 0x1a) {
      this.#severityText = this.#texts.textAt(start, end - start);
    } else if (tag === 0x4a) {
      this.#traceId = this.#idAt(start, end, 16, 'TraceID');
    } else {
      this.#spanId = this.#idAt(start, end, 8, 'SpanID');
    }
  }

  /** Plain text stays where it lies. */
  #readBody(start: number, end: number): void {
    const bytes = this.#bytes;
    this.#lineOffset = -1;
    this.#body = null;
    if (start < end && bytes[start] === 0x0a) {
      const size = readSize(bytes, start + 1, end);
      const lineStart = cursorAfterRead();
      if (lineStart + size === end) {
        // A length may be padded (0x81 0x80 0x00): readers of the columns expect it minimal.
        const isPadded = lineStart - start > 2 && bytes[lineStart - 1] === 0;
        this.#lineOffset = isPadded ? writeSizeBefore(bytes, lineStart, size) : start + 1;
        this.#lineStart = lineStart;
        this.#lineEnd = end;
        return;
      }
    }
    this.#body = this.#values.read(start, end);
  }

  /** Lower-case hex; "" for none, and for zeros. */
  #idAt(start: number, end: number, size: number, name: string): string {
    if (start === end) return '';
    if (end - start !== size) throw badRequest(`proto: invalid length for ${name}`);
    for (let at = start; at < end; at += 1) if (this.#bytes[at] !== 0) return this.#bytes.toString('hex', start, end);
    return '';
  }

  /** In the order of Loki: of equal names the last counts. */
  #addRecord(start: number): void {
    const bytes = this.#bytes;
    const out = this.#out;
    const hasTime = this.#timeAt >= 0 && !this.#isZero(this.#timeAt);
    const hasObserved = this.#observedAt >= 0 && !this.#isZero(this.#observedAt);
    if (hasTime && hasObserved) out.recordField('observed_timestamp', String(bytes.readBigInt64LE(this.#observedAt)));
    if (this.#severityNumber !== 0) out.recordField('severity_number', String(this.#severityNumber));
    if (this.#severityText !== '') out.severityText(this.#severityText);
    if (this.#droppedCount !== 0) out.recordField('dropped_attributes_count', String(this.#droppedCount));
    if (this.#flags !== 0) out.recordField('flags', String(this.#flags));
    if (this.#traceId !== '') out.recordField('trace_id', this.#traceId);
    if (this.#spanId !== '') out.recordField('span_id', this.#spanId);
    const timeAt = hasTime ? this.#timeAt : hasObserved ? this.#observedAt : -1;
    const low = timeAt < 0 ? 0 : bytes.readUInt32LE(timeAt);
    const high = timeAt < 0 ? 0 : bytes.readUInt32LE(timeAt + 4);
    if (this.#lineOffset >= 0) {
      out.addInPlace(this.#lineOffset, this.#lineStart, this.#lineEnd, low, high);
    } else if (this.#body === null) {
      // No body: the last byte of the record's own length, already read, becomes the length of an empty line.
      bytes[start - 1] = 0;
      out.addInPlace(start - 1, start, start, low, high);
    } else {
      out.addLine(textOf(this.#body), low, high);
    }
  }

  #isZero(at: number): boolean {
    return this.#bytes.readUInt32LE(at) === 0 && this.#bytes.readUInt32LE(at + 4) === 0;
  }
}

const fixedEnd = (at: number, size: number, end: number): number => {
  if (at + size > end) throw unexpectedEnd();
  return at + size;
};

/** Reads a whole ExportLogsServiceRequest at once. @throws RefusedError BAD_REQUEST, TOO_LARGE */
export const decodeOtlpRequest = (bytes: Buffer, options: OtlpStreamsOptions): readonly PushedStream[] => {
  const decoder = new OtlpDecoder(bytes, options);
  decoder.step(Number.POSITIVE_INFINITY);
  return decoder.streams();
};
