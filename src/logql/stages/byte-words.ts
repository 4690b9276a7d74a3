/** Reading bytes four at a time. */

const QUOTE = 0x22;
const QUOTES = 0x22222222;
const ONES = 0x01010101;
const HIGHS = 0x80808080 | 0;

/**
 * The next `"` in [position, end); `end` if there is none. Of `(w - ones) & ~w & highs` the lowest bit set marks the first zero byte of
 * w (what is marked above it may be wrong): 20 % faster than byte by byte.
 */
export const endOfPlainText = (data: DataView, position: number, end: number): number => {
  let at = position;
  for (const last = end - 8; at <= last; at += 8) {
    const low = data.getInt32(at, true) ^ QUOTES;
    const high = data.getInt32(at + 4, true) ^ QUOTES;
    const lowMarks = (low - ONES) & ~low & HIGHS;
    const highMarks = (high - ONES) & ~high & HIGHS;
    if ((lowMarks | highMarks) !== 0) return lowMarks !== 0 ? at + firstMark(lowMarks) : at + 4 + firstMark(highMarks);
  }
  while (at < end && data.getUint8(at) !== QUOTE) at++;
  return at;
};

/** The byte of the lowest bit set. */
const firstMark = (marks: number): number => (31 - Math.clz32(marks & -marks)) >>> 3;

const BACKSLASH = 0x5c;
/** Largest block that is searched for backslashes before its lines are read. */
const PLAIN_SIZE_MAX = 1 << 20;

/** What parsers keep of the bytes that line after line comes from: one block, as a rule. */
export class BlockView {
  bytes: Buffer | undefined;
  data: DataView = new DataView(new ArrayBuffer(0));
  size = 0;
  /** No backslash is in the bytes: a string in quotes ends at the next quote. */
  isPlain = false;

  show(bytes: Buffer): void {
    this.bytes = bytes;
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.size = bytes.length;
    this.isPlain = bytes.length <= PLAIN_SIZE_MAX && !bytes.includes(BACKSLASH);
  }
}

/** Patterns up to this size are compared without a loop: nearly all keys. */
const SHORT_SIZE = 12;

/**
 * Bytes to compare with others in words, small enough to be compiled into its callers. Three words, the last two of them as far back as the
 * pattern's end asks for, so that they overlap; what lies between them in a longer pattern is compared apart.
 */
export class BytePattern {
  readonly length: number;
  /** Bytes that a comparison reads. */
  readonly reach: number;
  readonly #first: number;
  readonly #second: number;
  readonly #third: number;
  readonly #secondAt: number;
  readonly #thirdAt: number;
  /** The bytes that count, in patterns of less than a word. */
  readonly #mask: number;
  readonly #between: Int32Array;

  constructor(bytes: Uint8Array) {
    const { length } = bytes;
    const last = Math.max(0, length - 4);
    const padded = new Uint8Array(Math.max(4, length));
    padded.set(bytes);
    const data = new DataView(padded.buffer);
    this.length = length;
    this.reach = padded.length;
    this.#secondAt = Math.min(4, last);
    this.#thirdAt = length > SHORT_SIZE ? last : Math.min(8, last);
    this.#first = data.getInt32(0, true);
    this.#second = data.getInt32(this.#secondAt, true);
    this.#third = data.getInt32(this.#thirdAt, true);
    this.#mask = length >= 4 ? -1 : (1 << (8 * length)) - 1;
    const more = length > SHORT_SIZE ? (length - SHORT_SIZE + 3) >>> 2 : 0;
    this.#between = Int32Array.from({ length: more }, (_, index) => data.getInt32(Math.min(8 + 4 * index, last), true));
  }

  /** True if the bytes stand at `at`. The caller sees to it that `at + reach` lies within the data. */
  isAt(data: DataView, at: number): boolean {
    const differing =
      (data.getInt32(at, true) ^ this.#first) |
      (data.getInt32(at + this.#secondAt, true) ^ this.#second) |
      (data.getInt32(at + this.#thirdAt, true) ^ this.#third);
    return (differing & this.#mask) === 0 && (this.length <= SHORT_SIZE || this.#isBetween(data, at + 8));
  }

  #isBetween(data: DataView, at: number): boolean {
    const last = at + this.length - SHORT_SIZE;
    for (let index = 0; index < this.#between.length; index++) {
      if (data.getInt32(Math.min(at + 4 * index, last), true) !== this.#between[index]) return false;
    }
    return true;
  }
}
