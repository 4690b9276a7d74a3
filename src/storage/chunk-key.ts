/**
 * Object keys of chunks, the same text in the bucket and in the index. Numbers are unpadded lower-case hex, times in ms:
 *
 *   up to v11   tenant/fingerprint:from:through:checksum
 *   from v12    tenant/fingerprint/from:through:checksum
 */
import type { ChunkRef } from './index-reader.ts';
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

const KEY = /^([^/]*)\/([0-9a-f]{1,16})[:/](-?[0-9a-f]{1,14}):(-?[0-9a-f]{1,14}):([0-9a-f]{1,8})$/;

/** Reads both forms; undefined if the text is no chunk key. Times beyond 2^53 ms are none. */
export const parseChunkKey = (key: string): ChunkRef | undefined => {
  const match = KEY.exec(key);
  if (!match) return undefined;
  const [, tenant = '', fingerprint = '', from = '', through = '', checksum = ''] = match;
  const fromMs = Number.parseInt(from, 16);
  const throughMs = Number.parseInt(through, 16);
  if (!Number.isSafeInteger(fromMs) || !Number.isSafeInteger(throughMs)) return undefined;
  return {
    key,
    tenant,
    fingerprint: BigInt(`0x${fingerprint}`),
    fromMs,
    throughMs,
    checksum: Number.parseInt(checksum, 16),
  };
};
