/**
 * Which texts a block's lines may hold: skip data, so that a query for a rare text need not inflate the block. docs/chunk-format.md, section 9.
 *
 * A gram is four neighbouring bytes of one line, with bit 5 of each set: that takes ASCII letters of both cases for the same, and some
 * other bytes too, which costs precision and never an entry. Each gram sets one bit:
 *
 *   hash = (gram as u32 le × 9e3779b1 mod 2³²) >>> 16        bit = hash × bits >>> 16
 *
 * A text may be in a line if the bits of all its grams are set. Four bytes and one bit: of grams of 3 to 8 bytes, of all or of some of them, these
 * told most blocks apart at a twentieth of the compressed size, words and ids alike (test/bench/query/skip.bench.ts).
 */
import { SKIP_GRAMS_WASM } from './skip-grams-wasm.ts';

export const GRAM_SIZE = 4;
/** Filters of a chunk's blocks, of their compressed bytes: with what is around them (`skip-section.ts`) a twentieth at most. */
const SHARE = 1 / 21;
/** 65528 bits: what a hash of 16 bits can tell apart. */
const FILTER_SIZE_MAX = 8191;
/** Chosen: a smaller block is inflated in less than a filter takes to be looked for. */
const COMPRESSED_SIZE_MIN = 2 << 10;
/** What the walk may copy for itself, which each thread keeps. Ours have 256 KiB and a line more. */
const CONTENT_SIZE_MAX = 4 << 20;
/** Chosen: with more of its bits set it says "may be" to nearly everything. */
const FILL_MAX = 0.97;

const FACTOR = 0x9e3779b1 | 0;
const FOLD = 0x20;
/** As skip-grams.wat lays its memory out. */
const BITMAP_START = 1 << 16;
const CONTENT_START = BITMAP_START + (8 << 10);
const PAGE_SIZE = 1 << 16;

/** What is used of WebAssembly: the types of Node 20 leave it out. */
interface WasmGlobal {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: GramsExports };
}

interface GramsExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  /** Gives the number of bits set. */
  fill(end: number, hasSections: number, bits: number): number;
}

let grams: GramsExports | undefined;

/** One for this thread: in JavaScript the walk takes five times as long. */
const gramsOfThread = (): GramsExports => {
  const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WasmGlobal }).WebAssembly;
  grams ??= new Instance(new Module(Buffer.from(SKIP_GRAMS_WASM, 'base64'))).exports;
  return grams;
};

/**
 * The filter of a block, over a SharedArrayBuffer; undefined where none is worth its bytes. About 8 % of what gzip takes for the block.
 * @param content plain and valid: `varint time | uvarint length | line | [uvarint size | metadata section]` …
 */
export const buildSkipFilter = (
  content: Uint8Array,
  hasMetadataSections: boolean,
  compressedSize: number,
): Uint8Array | undefined => {
  if (compressedSize < COMPRESSED_SIZE_MIN || content.length > CONTENT_SIZE_MAX) return undefined;
  const size = Math.min(FILTER_SIZE_MAX, Math.floor(compressedSize * SHARE));
  const { memory, fill } = gramsOfThread();
  const missing = CONTENT_START + content.length - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_SIZE));
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(content, CONTENT_START);
  const count = fill(CONTENT_START + content.length, hasMetadataSections ? 1 : 0, 8 * size);
  if (count > FILL_MAX * 8 * size) return undefined;
  const filter = new Uint8Array(new SharedArrayBuffer(size));
  filter.set(bytes.subarray(BITMAP_START, BITMAP_START + size));
  return filter;
};

/** Hashes of a text's grams, each once, for `mayHold`. None for a text too short to have any: nothing can be said of it. */
export const gramHashes = (text: Uint8Array): Uint16Array => {
  const hashes = new Set<number>();
  let gram = 0;
  for (let at = 0; at < text.length; at += 1) {
    gram = (gram >>> 8) | ((text[at]! | FOLD) << 24);
    if (at >= GRAM_SIZE - 1) hashes.add(Math.imul(gram, FACTOR) >>> 16);
  }
  return Uint16Array.from(hashes);
};

/** False if no line of the filter's block holds a text with these grams, in whatever case its ASCII letters are. */
export const mayHold = (filter: Uint8Array, hashes: Uint16Array): boolean => {
  const bits = 8 * filter.length;
  for (let index = 0; index < hashes.length; index += 1) {
    const bit = (hashes[index]! * bits) >>> 16;
    if ((filter[bit >>> 3]! & (1 << (bit & 7))) === 0) return false;
  }
  return true;
};
