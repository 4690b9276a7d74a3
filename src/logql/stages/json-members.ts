/**
 * Finds the values of known keys in lines of JSON: WebAssembly with SIMD, which takes a third of the time of JavaScript and is fast from the first
 * line on. It knows what is usual; whatever is not, it leaves to the reader in `json.ts`, from which it also learns the keys.
 */
import type { CompareOp } from '../ast.ts';
import { JSON_MEMBERS_WASM } from './json-members-wasm.ts';

/** As json-members.wat lays its memory out, in bytes. */
const NO_KEY_MARKS_AT = 160;
const VALUES_AT = 192;
const VALUE_SIZE = 16;
const BUCKETS_AT = 1536;
const KEYS_AT = 2560;
const KEY_SIZE = 176;
const KEY_OTHER_AT = 168;
const LINES_AT = 48 << 10;
/** A few vectors are read at once: beyond the end of the lines there must be memory. */
const LINES_SIZE = (96 << 10) - 256;
/** Of a block's bytes so many are brought in at a time: they stay in the processor's nearest cache. */
const LINES_SIZE_USUAL = 16 << 10;
/** Keys of one stream; lines with more of them are read in JavaScript. */
const KEYS_MAX = 256;
/** With its quotes and colon. */
const KEY_BYTES_MAX = 128;
const BUCKETS = 256;
const QUOTE = 0x22;
const COLON = 0x3a;
/** Of a key's bytes those that are compared first. */
const FIRST_BYTES = 16;

/** The key that stands for the whole line. */
export const ROOT_KEY = KEYS_AT;
/** A key that is not known here. */
export const NO_KEY = 0;
/** `find` gives it with the number of values if there may be more. */
export const MORE = 0x10000;
/** In place of a number of values: one fails the comparison of its key. */
export const FAILED = 0x20000;

/** What values are compared with, where they are plain decimals. */
export interface Comparison {
  readonly op: CompareOp;
  readonly value: number;
}

/** As bits: 1 less, 2 equal, 4 greater. */
const COMPARISON_BITS: Readonly<Record<CompareOp, number>> = {
  '<': 1,
  '=': 2,
  '==': 2,
  '<=': 3,
  '>': 4,
  '!=': 5,
  '>=': 6,
};

/** What is used of WebAssembly: the types of Node 20 leave it out. */
interface WasmGlobal {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: MembersExports };
}

interface MembersExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  find(start: number, end: number, wanted: number, drops: number): number;
}

/** One for this thread. */
class Scanner {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  readonly find: MembersExports['find'];
  /** Number of the one whose keys and lines are in the memory. */
  owner = 0;

  constructor() {
    const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WasmGlobal }).WebAssembly;
    const { memory, find } = new Instance(new Module(Buffer.from(JSON_MEMBERS_WASM, 'base64'))).exports;
    this.bytes = Buffer.from(memory.buffer);
    this.words = new Int32Array(memory.buffer);
    this.words[NO_KEY_MARKS_AT / 4] = (1 << FIRST_BYTES) - 1;
    this.find = find;
  }
}

let scannerOfThread: Scanner | undefined;
let owners = 0;

export interface KnownKey {
  /** As it stands in the line, without its quotes. */
  readonly raw: Uint8Array;
  /** Id of the label that its values become, negative for none. */
  readonly id: number;
  /** ROOT_KEY, or what `learn` gave for the key whose object it is in. */
  readonly parent: number;
  /** Whether values in the object under it are wanted. */
  readonly isParent: boolean;
  /** Its bit among those that make up what `find` is to end at. */
  readonly bit: number;
  /** undefined, or if it has no bit: for none. */
  readonly comparison: Comparison | undefined;
}

/** The keys of one stream's lines. */
export class KnownMembers {
  readonly #keys: KnownKey[] = [];
  readonly #number: number;
  readonly #scanner: Scanner;
  /** What of which bytes is in the memory, if it is ours. */
  #bytes: Buffer | undefined;
  #from = 0;
  #to = 0;

  constructor() {
    owners += 1;
    this.#number = owners;
    scannerOfThread ??= new Scanner();
    this.#scanner = scannerOfThread;
  }

  /** Gives the key's name as a parent; NO_KEY if it is too long or one too many. Keeps what it is given. */
  learn(key: KnownKey): number {
    if (key.parent === NO_KEY || this.#keys.length >= KEYS_MAX || key.raw.length + 3 > KEY_BYTES_MAX) return NO_KEY;
    const at = KEYS_AT + KEY_SIZE * (1 + this.#keys.length);
    this.#keys.push(key);
    if (this.#scanner.owner === this.#number) this.#write(key, at);
    return at;
  }

  /**
   * Finds values in the line [start, end), in their order: gives how many, plus MORE if there may be others, of which nothing is said.
   * FAILED where the first value of a key outside of objects fails its comparison.
   * @param wanted reading ends once the keys with all of these bits are found; 0 for never
   * @param compares whether comparisons count
   */
  find(bytes: Buffer, start: number, end: number, wanted: number, compares: boolean): number {
    if (this.#keys.length === 0) return MORE;
    if (this.#scanner.owner !== this.#number) this.#takeOver();
    if (bytes !== this.#bytes || start < this.#from || end > this.#to) {
      if (end - start > LINES_SIZE) return MORE;
      this.#bring(bytes, start, end);
    }
    const shift = LINES_AT - this.#from;
    return this.#scanner.find(start + shift, end + shift, wanted, compares ? 1 : 0);
  }

  /** Of the value that `find` found there: what it is of, how it is written (`FORM`), and where it lies in the bytes. */
  idOf(index: number): number {
    return this.#scanner.words[placeOf(index)]!;
  }

  formOf(index: number): number {
    return this.#scanner.words[placeOf(index) + 1]!;
  }

  startOf(index: number): number {
    return this.#scanner.words[placeOf(index) + 2]! + this.#from - LINES_AT;
  }

  endOf(index: number): number {
    return this.#scanner.words[placeOf(index) + 3]! + this.#from - LINES_AT;
  }

  #takeOver(): void {
    const { bytes } = this.#scanner;
    bytes.fill(0, BUCKETS_AT, KEYS_AT + KEY_SIZE);
    this.#scanner.owner = this.#number;
    this.#bytes = undefined;
    for (const [index, key] of this.#keys.entries()) this.#write(key, KEYS_AT + KEY_SIZE * (1 + index));
  }

  #bring(bytes: Buffer, start: number, end: number): void {
    this.#from = start;
    this.#to = Math.min(bytes.length, Math.max(end, start + LINES_SIZE_USUAL));
    bytes.copy(this.#scanner.bytes, LINES_AT, start, this.#to);
    this.#bytes = bytes;
  }

  #write({ raw, id, parent, isParent, bit, comparison }: KnownKey, at: number): void {
    const { bytes, words } = this.#scanner;
    const compares = comparison && bit !== 0 ? COMPARISON_BITS[comparison.op] : 0;
    const size = raw.length + 3;
    bytes.fill(0, at, at + KEY_SIZE);
    bytes[at] = QUOTE;
    bytes.set(raw, at + 1);
    bytes[at + size - 2] = QUOTE;
    bytes[at + size - 1] = COLON;
    const bucket = BUCKETS_AT / 4 + hashOf(raw);
    const marks = (1 << Math.min(size, FIRST_BYTES)) - 1;
    const isRead = isParent ? 1 : 0;
    words.set([size, id, parent, isRead, 0, words[bucket]!, 0, bit, marks, compares], (at + KEY_BYTES_MAX) / 4);
    bytes.writeDoubleLE(comparison?.value ?? 0, at + KEY_OTHER_AT);
    words[bucket] = at;
  }
}

/** In words. */
const placeOf = (index: number): number => (VALUES_AT + VALUE_SIZE * index) / 4;

/** As `keyAt` of json-members.wat. */
const hashOf = (raw: Uint8Array): number =>
  (31 * (raw.length + 1) + 7 * (raw[0] ?? QUOTE) + (raw.at(-1) ?? QUOTE)) % BUCKETS;
