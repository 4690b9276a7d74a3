/** `ip("…")`: a single address, a CIDR prefix or a range `a-b`, v4 or v6, searched in text as Loki scans it. */
import { quoteGo } from '../../protocol/go-quote.ts';

/** Address as a number; v4 and v6 are different kinds and never equal (also not v4-mapped v6). */
interface Address {
  readonly isV6: boolean;
  readonly value: bigint;
}

const V4_PART = /^(?:0|[1-9][0-9]{0,2})$/;
const V6_GROUP = /^[0-9a-fA-F]{1,4}$/;

const parseV4 = (text: string): bigint | undefined => {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!V4_PART.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return BigInt(value);
};

/** Groups of one side of `::`; a v4 tail stands for two groups. */
const groupsOf = (side: string, isLastSide: boolean): bigint[] | undefined => {
  if (side === '') return [];
  const parts = side.split(':');
  const groups: bigint[] = [];
  for (const [index, part] of parts.entries()) {
    if (V6_GROUP.test(part)) {
      groups.push(BigInt(`0x${part}`));
      continue;
    }
    const v4 = isLastSide && index === parts.length - 1 ? parseV4(part) : undefined;
    if (v4 === undefined) return undefined;
    groups.push(v4 >> 16n, v4 & 0xffffn);
  }
  return groups;
};

const parseV6 = (text: string): bigint | undefined => {
  const sides = text.split('::');
  if (sides.length > 2) return undefined;
  const head = groupsOf(sides[0]!, sides.length === 1);
  const tail = sides.length === 2 ? groupsOf(sides[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (sides.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<bigint>(missing).fill(0n), ...tail];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
};

const parseAddress = (text: string): Address | undefined => {
  const isV6 = text.includes(':');
  const value = isV6 ? parseV6(text) : parseV4(text);
  return value === undefined ? undefined : { isV6, value };
};

interface Range {
  readonly isV6: boolean;
  readonly first: bigint;
  readonly last: bigint;
}

const parsePrefix = (text: string, slash: number): Range | undefined => {
  const address = parseAddress(text.slice(0, slash));
  const bits = text.slice(slash + 1);
  if (address === undefined || !/^(?:0|[1-9][0-9]{0,2})$/.test(bits)) return undefined;
  const width = address.isV6 ? 128 : 32;
  if (Number(bits) > width) return undefined;
  const host = (1n << BigInt(width - Number(bits))) - 1n;
  const first = address.value & ~host;
  return { isV6: address.isV6, first, last: first | host };
};

const parseRange = (text: string): Range | undefined => {
  const slash = text.indexOf('/');
  if (slash >= 0) return parsePrefix(text, slash);
  const dash = text.indexOf('-');
  const from = parseAddress(dash < 0 ? text : text.slice(0, dash));
  const to = dash < 0 ? from : parseAddress(text.slice(dash + 1));
  if (from === undefined || to === undefined || from.isV6 !== to.isV6 || from.value > to.value) return undefined;
  return { isV6: from.isV6, first: from.value, last: to.value };
};

const COLON = 0x3a;
const DOT = 0x2e;

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isHex = (byte: number): boolean =>
  isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);

const startsV4 = (bytes: Uint8Array, at: number, end: number): boolean =>
  at + 3 < end && isDigit(bytes[at]!) && (bytes[at + 1] === DOT || bytes[at + 2] === DOT || bytes[at + 3] === DOT);

const startsV6 = (bytes: Uint8Array, at: number, end: number): boolean => {
  if (at + 4 >= end) return false;
  if (bytes[at] === COLON) return bytes[at + 1] === COLON && isHex(bytes[at + 2]!);
  for (let index = 0; index < 5; index++) {
    if (bytes[at + index] === COLON) return index > 0;
    if (!isHex(bytes[at + index]!)) return false;
  }
  return false;
};

const endOfRun = (bytes: Uint8Array, at: number, end: number, isV6: boolean): number => {
  let position = at;
  while (position < end) {
    const byte = bytes[position]!;
    if (byte !== DOT && !(isV6 ? isHex(byte) || byte === COLON : isDigit(byte))) break;
    position++;
  }
  return position;
};

const ADDRESS_CHARS_MAX = 45;

/** The v4 address that fills [start, end), or -1. */
const readV4 = (bytes: Uint8Array, start: number, end: number): number => {
  let value = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte !== DOT) {
      if (digits > 0 && part === 0) return -1;
      part = part * 10 + (byte - 0x30);
      digits++;
      if (part > 255) return -1;
      continue;
    }
    if (digits === 0 || ++dots > 3) return -1;
    value = value * 256 + part;
    part = 0;
    digits = 0;
  }
  return dots === 3 && digits > 0 ? value * 256 + part : -1;
};

export class IpMatcher {
  readonly #range: Range;
  readonly #first: number;
  readonly #last: number;

  /** @throws Error with Loki's text if the pattern is no address, prefix or range */
  constructor(pattern: string) {
    const range = parseRange(pattern);
    if (range === undefined) throw new Error(`ip: invalid pattern: ${quoteGo(pattern)}`);
    this.#range = range;
    this.#first = Number(range.first);
    this.#last = Number(range.last);
  }

  /** True if some address in [start, end) is in the range. */
  isIn(bytes: Buffer, start: number, end: number): boolean {
    for (let at = start; at < end; at++) {
      const isV4 = startsV4(bytes, at, end);
      if (!isV4 && !startsV6(bytes, at, end)) continue;
      const stop = endOfRun(bytes, at, end, !isV4);
      if (isV4 ? this.#hasV4(bytes, at, stop) : this.#hasV6(bytes, at, stop)) return true;
      at = stop;
    }
    return false;
  }

  #hasV4(bytes: Buffer, start: number, end: number): boolean {
    if (this.#range.isV6) return false;
    const address = readV4(bytes, start, end);
    return address >= this.#first && address <= this.#last;
  }

  #hasV6(bytes: Buffer, start: number, end: number): boolean {
    if (!this.#range.isV6 || end - start > ADDRESS_CHARS_MAX) return false;
    const address = parseAddress(bytes.toString('latin1', start, end));
    return address?.isV6 === true && address.value >= this.#range.first && address.value <= this.#range.last;
  }
}
