/**
 * Object keys of chunks, the same text in the bucket and in the index. Numbers are unpadded lower-case hex, times in ms:
 *
 *   up to v11   tenant/fingerprint:from:through:checksum
 *   from v12    tenant/fingerprint/from:through:checksum
 */
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

const [SLASH, COLON] = [0x2f, 0x3a];

/**
 * Reads both forms; undefined if the text is no chunk key. Times beyond 2^53 ms are none. Walks the text from its end, without a regular
 * expression: a query reads 100,000 keys.
 */
export const parseChunkKey = (key: string): ChunkRef | undefined => {
  const checksumColon = key.lastIndexOf(':');
  const throughColon = key.lastIndexOf(':', checksumColon - 1);
  const tenantEnd = key.indexOf('/');
  let fingerprintEnd = throughColon - 1;
  while (fingerprintEnd > tenantEnd && !isSeparator(key.charCodeAt(fingerprintEnd))) fingerprintEnd--;
  if (tenantEnd < 0 || fingerprintEnd <= tenantEnd) return undefined;
  const fromMs = parsedTime(key, fingerprintEnd + 1, throughColon);
  const throughMs = parsedTime(key, throughColon + 1, checksumColon);
  const checksum = parsedHex(key, checksumColon + 1, key.length, 8);
  if (!Number.isSafeInteger(fromMs) || !Number.isSafeInteger(throughMs) || Number.isNaN(checksum)) return undefined;
  if (Number.isNaN(parsedHex(key, tenantEnd + 1, fingerprintEnd, 16))) return undefined;
  const fingerprint = BigInt(`0x${key.slice(tenantEnd + 1, fingerprintEnd)}`);
  return { key, tenant: key.slice(0, tenantEnd), fingerprint, fromMs, throughMs, checksum };
};

const isSeparator = (code: number): boolean => code === SLASH || code === COLON;

const parsedTime = (text: string, start: number, end: number): number =>
  text[start] === '-' ? -parsedHex(text, start + 1, end, 14) : parsedHex(text, start, end, 14);

/** NaN unless [start, end) are 1 to `digitsMax` lower-case hex digits. Inexact beyond 2^53. */
const parsedHex = (text: string, start: number, end: number, digitsMax: number): number => {
  if (end <= start || end - start > digitsMax) return Number.NaN;
  let value = 0;
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x30 && code <= 0x39) value = value * 16 + (code - 0x30);
    else if (code >= 0x61 && code <= 0x66) value = value * 16 + (code - 0x57);
    else return Number.NaN;
  }
  return value;
};
