/**
 * One entry on its way through the stages: its line and its labels. The labels of the stream are fixed; what stages add or take away is
 * kept by name id in parallel arrays, values as ranges of bytes until someone needs text. One Entry serves all entries of a stream.
 */
import type { LabelSet } from '../../protocol/label-set.ts';
import type { LabelHints } from '../pipeline.ts';
import { unescapeJson } from './json-text.ts';
import { NameTable } from './label-names.ts';
import { textOfBytes, withoutBadRunes } from './text-cache.ts';

export const ERROR_LABEL = '__error__';
export const ERROR_DETAILS_LABEL = '__error_details__';

/** Where the current value of a name comes from. */
export const ORIGIN = { stream: 0, metadata: 1, parsed: 2, deleted: 3 } as const;

/** How a value is kept: text, or bytes that become text by a rule of the parser that found them. */
export const FORM = { text: 0, bytes: 1, cleaned: 2, jsonString: 3 } as const;
export type Form = (typeof FORM)[keyof typeof FORM];

const NAMES_MAX = 20_000;
const NO_BYTES = Buffer.alloc(0);

export class Entry {
  readonly names = new NameTable();
  lineBytes: Buffer = NO_BYTES;
  lineStart = 0;
  lineEnd = 0;
  timeNs: () => bigint = () => 0n;
  error = '';
  errorDetails = '';
  /** A parser's error that the query asked to keep (`__error__` is named in it). */
  isErrorPreserved = false;
  /** Counts resets of the name table: ids from before it are void, tables keyed by ids must be rebuilt. */
  generation = 0;

  readonly labels: LabelSet;
  readonly extractsNothing: boolean;
  readonly #preservesError: boolean;
  readonly #required: readonly string[] | undefined;
  readonly #base: (string | undefined)[] = [];
  readonly #text: (string | undefined)[] = [];
  readonly #sources: Buffer[] = [];
  /** The first #touchedCount are of this entry; the list is never shortened, which would cost. */
  readonly #touched: number[] = [];
  #touchedCount = 0;
  #origin = new Uint8Array(64);
  #form = new Uint8Array(64);
  #from = new Int32Array(64);
  #to = new Int32Array(64);
  #isRequired = new Uint8Array(64);
  #foundInLine = new Int32Array(64);
  #line = 0;
  #missing = 0;
  #requiredCount = 0;
  #fixedNames = 0;

  constructor(labels: LabelSet, hints: LabelHints) {
    this.labels = labels;
    this.extractsNothing = hints.extract === 'none';
    this.#preservesError = hints.preserveError;
    this.#required = typeof hints.extract === 'string' ? undefined : [...new Set(hints.extract)];
    for (let index = 0; index < labels.pairs.length; index += 2) {
      const id = this.id(labels.pairs[index]!);
      this.#base[id] = labels.pairs[index + 1]!;
    }
    for (const name of this.#required ?? []) this.#isRequired[this.id(name)] = 1;
    this.#requiredCount = this.#required?.length ?? 0;
  }

  /** Call once all stages hold the ids they need: those stay valid forever. */
  fixNames(): void {
    this.#fixedNames = this.names.size;
  }

  id(name: string): number {
    const id = this.names.id(name);
    if (id >= this.#origin.length) this.#grow();
    return id;
  }

  #grow(): void {
    const size = this.#origin.length * 2;
    const widen = <T extends Uint8Array | Int32Array>(old: T, wide: T): T => {
      wide.set(old);
      return wide;
    };
    this.#origin = widen(this.#origin, new Uint8Array(size));
    this.#form = widen(this.#form, new Uint8Array(size));
    this.#isRequired = widen(this.#isRequired, new Uint8Array(size));
    this.#from = widen(this.#from, new Int32Array(size));
    this.#to = widen(this.#to, new Int32Array(size));
    this.#foundInLine = widen(this.#foundInLine, new Int32Array(size));
  }

  /** Starts the next entry. The bytes are borrowed until the following call. */
  begin(bytes: Buffer, start: number, end: number, timeNs: () => bigint): void {
    const touched = this.#touched;
    const origin = this.#origin;
    for (let index = 0; index < this.#touchedCount; index++) origin[touched[index]!] = ORIGIN.stream;
    this.#touchedCount = 0;
    if (this.names.size > NAMES_MAX) this.#forgetNames();
    this.lineBytes = bytes;
    this.lineStart = start;
    this.lineEnd = end;
    this.timeNs = timeNs;
    this.error = '';
    this.errorDetails = '';
    this.isErrorPreserved = false;
    this.#line = (this.#line + 1) | 0;
    this.#missing = this.#requiredCount;
  }

  #forgetNames(): void {
    this.names.truncate(this.#fixedNames);
    this.#base.length = Math.min(this.#base.length, this.#fixedNames);
    this.generation++;
  }

  addMetadata(pairs: readonly string[]): void {
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      const id = this.id(pairs[index]!);
      const target = this.#base[id] === undefined ? id : this.#extractedId(id);
      this.#set(target, ORIGIN.metadata, FORM.text);
      this.#text[target] = pairs[index + 1]!;
    }
  }

  #extractedId(id: number): number {
    const extracted = this.names.extractedId(id);
    if (extracted >= this.#origin.length) this.#grow();
    return extracted;
  }

  /** The id under which a parser's name is kept: another one if the stream or the entry's metadata has it. */
  parsedId(id: number): number {
    return this.isTaken(id) ? this.#extractedId(id) : id;
  }

  isTaken(id: number): boolean {
    return this.#base[id] !== undefined || this.#origin[id] === ORIGIN.metadata;
  }

  /** True if the query needs the name (with hints: is listed). */
  wants(id: number): boolean {
    return this.#required === undefined || this.#isRequired[id] === 1;
  }

  /** True if a key of this name, or its `_extracted` form, can be wanted. */
  canWant(name: string): boolean {
    return (
      this.#required === undefined || this.#required.includes(name) || this.#required.includes(`${name}_extracted`)
    );
  }

  canWantPrefix(prefix: string): boolean {
    return this.#required === undefined || this.#required.some((name) => name.startsWith(prefix));
  }

  /** Bits of the names the query needs, one for each: 0 if it needs all there are, or more than there are bits. */
  get neededBits(): number {
    return this.#requiredCount < 32 ? (1 << this.#requiredCount) - 1 : 0;
  }

  /** The bit of one of them; 0 for other names. */
  neededBit(id: number): number {
    const place = this.#required?.indexOf(this.names.names[id]!) ?? -1;
    return place < 0 ? 0 : 1 << place;
  }

  /** True once all the names the query needs are found: parsers stop there, so later errors in the line stay unseen. */
  get hasFoundAll(): boolean {
    return this.#requiredCount > 0 && this.#missing === 0;
  }

  /** True if parsers have nothing to do on this line. */
  get needsNoParser(): boolean {
    return this.extractsNothing || this.hasFoundAll;
  }

  origin(id: number): number {
    return this.#origin[id]!;
  }

  isParsed(id: number): boolean {
    return this.#origin[id] === ORIGIN.parsed;
  }

  #set(id: number, origin: number, form: number): void {
    if (this.#origin[id] === ORIGIN.stream) this.#touched[this.#touchedCount++] = id;
    this.#origin[id] = origin;
    this.#form[id] = form;
    if (origin === ORIGIN.parsed && this.#isRequired[id] === 1 && this.#foundInLine[id] !== this.#line) {
      this.#foundInLine[id] = this.#line;
      this.#missing--;
    }
  }

  setParsedBytes(id: number, form: Form, source: Buffer, from: number, to: number): void {
    this.#set(id, ORIGIN.parsed, form);
    this.#sources[id] = source;
    this.#from[id] = from;
    this.#to[id] = to;
    this.#text[id] = undefined;
  }

  setParsedText(id: number, value: string): void {
    this.#set(id, ORIGIN.parsed, FORM.text);
    this.#text[id] = value;
  }

  delete(id: number): void {
    if (this.has(id)) this.#set(id, ORIGIN.deleted, FORM.text);
  }

  has(id: number): boolean {
    const origin = this.#origin[id];
    return origin === ORIGIN.stream ? this.#base[id] !== undefined : origin !== ORIGIN.deleted;
  }

  /** The value as text, "" when missing. */
  text(id: number): string {
    const origin = this.#origin[id];
    if (origin === ORIGIN.stream) return this.#base[id] ?? '';
    if (origin === ORIGIN.deleted) return '';
    const known = this.#text[id];
    if (known !== undefined) return known;
    const value = this.#decode(id);
    this.#text[id] = value;
    return value;
  }

  #decode(id: number): string {
    const raw = textOfBytes(this.#sources[id]!, this.#from[id]!, this.#to[id]!);
    switch (this.#form[id]) {
      case FORM.cleaned:
        return withoutBadRunes(raw);
      case FORM.jsonString:
        return withoutBadRunes(unescapeJson(raw) ?? '');
      default:
        return raw;
    }
  }

  /** True if the value can be read from valueBytes(id) as it stands (no escapes; other than text only in its bad runes). */
  isPlainBytes(id: number): boolean {
    const origin = this.#origin[id];
    const form = this.#form[id];
    return origin !== ORIGIN.stream && origin !== ORIGIN.deleted && (form === FORM.bytes || form === FORM.cleaned);
  }

  valueBytes(id: number): Buffer {
    return this.#sources[id]!;
  }

  valueStart(id: number): number {
    return this.#from[id]!;
  }

  valueEnd(id: number): number {
    return this.#to[id]!;
  }

  setLine(text: Buffer): void {
    this.lineBytes = text;
    this.lineStart = 0;
    this.lineEnd = text.length;
  }

  lineText(): string {
    return textOfBytes(this.lineBytes, this.lineStart, this.lineEnd);
  }

  /** An error of a parser: it replaces an earlier one. */
  setParserError(error: string, details: string): void {
    this.error = error;
    if (details !== '') this.errorDetails = details;
    if (this.#preservesError) this.isErrorPreserved = true;
  }

  /** An error of a label filter: the first one stays. */
  setFilterError(error: string, details: string): void {
    if (this.error !== '') return;
    this.error = error;
    this.errorDetails = details;
  }

  setTemplateError(details: string): void {
    this.error = 'TemplateFormatErr';
    this.errorDetails = details;
  }

  /** Ids of all names that differ from the stream's labels, in no order. */
  touched(): readonly number[] {
    return this.#touched.slice(0, this.#touchedCount);
  }

  get touchedCount(): number {
    return this.#touchedCount;
  }

  touchedAt(index: number): number {
    return this.#touched[index]!;
  }

  baseText(id: number): string | undefined {
    return this.#base[id];
  }
}
