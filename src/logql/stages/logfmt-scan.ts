/** Reading logfmt pair by pair from bytes. */

const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|(["\\/'bfnrt]))/g;
const BAD_ESCAPE = /\\(?:[^"\\/'bfnrtu]|u(?![0-9a-fA-F]{4})|$)/;
const SIMPLE: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: raw control characters are what is refused
const CONTROL = /[\0-\x1f]/;

/** The text behind the escapes of a quoted value; undefined if one is invalid or a control character stands in it. */
export const unescapeLogfmt = (text: string): string | undefined => {
  if (CONTROL.test(text) || BAD_ESCAPE.test(text.replaceAll('\\\\', '  '))) return undefined;
  const expand = (_: string, code: string | undefined, simple: string): string =>
    code === undefined ? (SIMPLE[simple] ?? simple) : String.fromCharCode(Number.parseInt(code, 16));
  return text.replace(ESCAPE, expand).replace(LONE_SURROGATE, '\uFFFD');
};

const hasBadRune = (bytes: Buffer, start: number, end: number): boolean =>
  bytes.toString('utf8', start, end).includes('\uFFFD');

/** Steps through one line. After next() the fields describe a pair, or an error at `position`. */
export class LogfmtScanner {
  keyStart = 0;
  keyEnd = 0;
  /** Bounds of the value inside its quotes; equal when there is none. */
  valueStart = 0;
  valueEnd = 0;
  /** The value holds escapes: its text is `unescaped`. */
  isEscaped = false;
  unescaped = '';
  /** What is wrong at `errorPosition`, "" if nothing. */
  error = '';
  errorPosition = 0;
  /** Where next() goes on. */
  position = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  reset(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.position = start;
    this.#end = end;
    this.error = '';
  }

  /** Text of the error with the position counted from 1, as go-logfmt words it. */
  get errorText(): string {
    return `logfmt syntax error at pos ${this.errorPosition - this.#start + 1} : ${this.error}`;
  }

  /** Reads the next pair. False at the end of the line; with `error` set if something is wrong: call skipBroken() to go on. */
  next(): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.position;
    while (at < end && bytes[at]! <= 0x20) at++;
    this.position = at;
    this.error = '';
    if (at >= end) return false;
    this.keyStart = at;
    this.valueStart = 0;
    this.valueEnd = 0;
    this.isEscaped = false;
    let seen = 0;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === EQUALS || byte === QUOTE || byte <= 0x20) break;
      seen |= byte;
    }
    this.keyEnd = at;
    this.position = at;
    const stop = at < end ? bytes[at]! : 0x20;
    if (stop === QUOTE || (stop === EQUALS && at === this.keyStart)) return this.#unexpected(stop);
    if (seen >= 0x80 && hasBadRune(bytes, this.keyStart, at)) return this.#fail('invalid key');
    return stop === EQUALS ? this.#value(at + 1) : true;
  }

  #value(start: number): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    this.position = start;
    if (start < end && bytes[start] === QUOTE) return this.#quoted(start + 1);
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte <= 0x20) break;
      if (byte === EQUALS || byte === QUOTE) {
        this.position = at;
        return this.#unexpected(byte);
      }
    }
    this.position = at;
    this.valueStart = start;
    this.valueEnd = at;
    return true;
  }

  #quoted(start: number): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    let isEscaped = false;
    let at = start;
    for (; at < end && bytes[at] !== QUOTE; at++) {
      if (bytes[at] !== BACKSLASH) continue;
      isEscaped = true;
      at++;
    }
    this.position = Math.min(at + 1, end);
    if (at >= end) return this.#fail('unterminated quoted value');
    this.valueStart = start;
    this.valueEnd = at;
    if (!isEscaped) return true;
    const text = unescapeLogfmt(bytes.toString('utf8', start, at));
    if (text === undefined) return this.#fail('invalid quoted value');
    this.isEscaped = true;
    this.unescaped = text;
    return true;
  }

  #unexpected(byte: number): boolean {
    return this.#fail(`unexpected '${String.fromCharCode(byte)}'`);
  }

  #fail(error: string): boolean {
    this.error = error;
    this.errorPosition = this.position;
    return false;
  }

  /** Goes on behind the blank after a malformed pair. */
  skipBroken(): void {
    let at = this.position;
    while (at < this.#end && this.#bytes[at]! > 0x20) at++;
    this.position = at;
  }
}
