/**
 * Object keys of chunks, the same text in the bucket and in the index. Numbers are unpadded lower-case hex, times in ms:
 *
 *   up to v11   tenant/fingerprint:from:through:checksum
 *   from v12    tenant/fingerprint/from:through:checksum
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { ChunkRef } from './index-reader.ts';
import type { StreamName } from './index-store.ts';
import { periodAt, type SchemaConfig, type SchemaVersion } from './schema-config.ts';

export type ChunkIdentity = Omit<ChunkRef, 'key'>;

/** The key in the form of the period that holds the chunk's first ms. */
export const chunkKey = (config: SchemaConfig, chunk: ChunkIdentity): string =>
  formatChunkKey(periodAt(config, chunk.fromMs).schema, chunk);

export const formatChunkKey = (schema: SchemaVersion, chunk: ChunkIdentity): string => {
  const separator = schema === 'v12' || schema === 'v13' ? '/' : ':';
  const times = `${chunk.fromMs.toString(16)}:${chunk.throughMs.toString(16)}`;
  return `${chunk.tenant}/${chunk.fingerprint.toString(16)}${separator}${times}:${(chunk.checksum >>> 0).toString(16)}`;
};

/** The stream whose chunks have keys that begin so. */
export const streamName = (tenant: string, fingerprint: bigint): StreamName => `${tenant}/${fingerprint.toString(16)}`;

/** Empty for a text that is no chunk key. */
export const streamOfChunkKey = (key: string): StreamName => {
  const parsed = parseChunkKey(key);
  return parsed ? streamName(parsed.tenant, parsed.fingerprint) : '';
};

const [SLASH, COLON, MINUS] = [0x2f, 0x3a, 0x2d];

/**
 * What a key's bytes say, in place: a query reads a million keys. `read` walks the bytes from their end, without a regular expression.
 */
export class ChunkKeyReader {
  #bytes: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #tenantEnd = 0;
  /** What was read last is a key. */
  isKey = false;
  fingerprintHigh = 0;
  fingerprintLow = 0;
  fromMs = 0;
  throughMs = 0;
  checksum = 0;
  /** Between fingerprint and times. */
  hasSlash = false;
  /** Written as `formatChunkKey` writes it: so it can be made again of what it says. */
  isUsual = false;

  /** Both forms; false if [start, end) are no chunk key, and then nothing but `key` holds. Times beyond 2^53 ms are none. */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.isKey = this.#read(bytes, start, end);
    return this.isKey;
  }

  /** What was read. */
  get key(): string {
    return textOfBytes(this.#bytes, this.#start, this.#end);
  }

  get tenant(): string {
    return textOfBytes(this.#bytes, this.#start, this.#tenantEnd);
  }

  isOfTenant(tenant: Uint8Array): boolean {
    if (this.#tenantEnd - this.#start !== tenant.length) return false;
    for (let index = 0; index < tenant.length; index++) {
      if (this.#bytes[this.#start + index] !== tenant[index]) return false;
    }
    return true;
  }

  get fingerprint(): bigint {
    return (BigInt(this.fingerprintHigh) << 32n) | BigInt(this.fingerprintLow);
  }

  #read(bytes: Buffer, start: number, end: number): boolean {
    const checksumColon = lastColon(bytes, start, end);
    const throughColon = lastColon(bytes, start, checksumColon);
    const tenantEnd = firstSlash(bytes, start, end);
    let fingerprintEnd = throughColon - 1;
    while (fingerprintEnd > tenantEnd && !isSeparator(bytes[fingerprintEnd] ?? 0)) fingerprintEnd--;
    if (tenantEnd < 0 || fingerprintEnd <= tenantEnd) return false;
    this.#tenantEnd = tenantEnd;
    this.hasSlash = bytes[fingerprintEnd] === SLASH;
    this.isUsual = true;
    this.fromMs = this.#time(fingerprintEnd + 1, throughColon);
    this.throughMs = this.#time(throughColon + 1, checksumColon);
    this.checksum = this.#hex(checksumColon + 1, end, 8);
    const first = tenantEnd + 1;
    const middle = fingerprintEnd - 8;
    this.fingerprintHigh = middle > first ? this.#hex(first, middle, 8) : 0;
    this.fingerprintLow =
      middle > first ? digitsOf(bytes, middle, fingerprintEnd) : this.#hex(first, fingerprintEnd, 8);
    return (
      Number.isSafeInteger(this.fromMs) &&
      Number.isSafeInteger(this.throughMs) &&
      !Number.isNaN(this.checksum + this.fingerprintHigh + this.fingerprintLow)
    );
  }

  #time(start: number, end: number): number {
    if (this.#bytes[start] !== MINUS) return this.#hex(start, end, 14);
    const value = this.#hex(start + 1, end, 14);
    if (value === 0) this.isUsual = false;
    return -value;
  }

  /** NaN unless [start, end) are 1 to `digitsMax` lower-case hex digits. Inexact beyond 2^53. */
  #hex(start: number, end: number, digitsMax: number): number {
    if (end <= start || end - start > digitsMax) return Number.NaN;
    if (end - start > 1 && this.#bytes[start] === ZERO) this.isUsual = false;
    return digitsOf(this.#bytes, start, end);
  }
}

/** undefined if the text is no chunk key. */
export const parseChunkKey = (key: string): ChunkRef | undefined => {
  const bytes = bytesOfText(key);
  const reader = new ChunkKeyReader();
  if (!reader.read(bytes, 0, bytes.length)) return undefined;
  const { tenant, fingerprint, fromMs, throughMs, checksum } = reader;
  return { key, tenant, fingerprint, fromMs, throughMs, checksum };
};

const NOTHING = Buffer.alloc(0);

const ZERO = 0x30;

const lastColon = (bytes: Buffer, start: number, end: number): number => {
  let at = end - 1;
  while (at >= start && bytes[at] !== COLON) at--;
  return at;
};

const firstSlash = (bytes: Buffer, start: number, end: number): number => {
  for (let at = start; at < end; at++) if (bytes[at] === SLASH) return at;
  return -1;
};

const isSeparator = (code: number): boolean => code === SLASH || code === COLON;

/** NaN for anything but lower-case hex digits. */
const digitsOf = (bytes: Buffer, start: number, end: number): number => {
  let value = 0;
  for (let at = start; at < end; at++) {
    const code = bytes[at] ?? 0;
    if (code >= 0x30 && code <= 0x39) value = value * 16 + (code - 0x30);
    else if (code >= 0x61 && code <= 0x66) value = value * 16 + (code - 0x57);
    else return Number.NaN;
  }
  return value;
};
