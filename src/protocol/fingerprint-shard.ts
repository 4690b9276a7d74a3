import { RefusedError } from './refusal.ts';

/** Streams of these fingerprints, both ends included: a part of a query that others ask the rest of. */
export interface FingerprintShard {
  readonly first: bigint;
  readonly last: bigint;
}

/** Chosen: Loki splits a query into hundreds. */
const SHARD_BITS_MAX = 32;
const FINGERPRINT_BITS = 64n;
const FINGERPRINT_MAX = 2n ** FINGERPRINT_BITS - 1n;

export const isInShard = ({ first, last }: FingerprintShard, fingerprint: bigint): boolean =>
  fingerprint >= first && fingerprint <= last;

/**
 * Shards as Loki writes them: `2_of_16`, which are those whose first bits are 2, or JSON with `bounds`.
 * @returns undefined for none: all streams
 * @throws RefusedError INVALID_QUERY for several, which Loki's ingesters do not take either, and for what cannot be read
 */
export const parseShards = (texts: readonly string[]): FingerprintShard | undefined => {
  const [text] = texts;
  if (text === undefined) return undefined;
  if (texts.length > 1) throw invalid('only one shard per ingester query is supported');
  const shard = parsePart(text) ?? parseBounds(text);
  if (!shard) throw invalid(`failed to parse shard: ${text}`);
  return shard;
};

const parsePart = (text: string): FingerprintShard | undefined => {
  const match = /^(\d{1,10})_of_(\d{1,10})$/.exec(text);
  if (!match) return undefined;
  const [part, of] = [Number(match[1]), Number(match[2])];
  const bits = Math.log2(of);
  if (!Number.isInteger(bits) || bits > SHARD_BITS_MAX || part >= of) return undefined;
  const shift = FINGERPRINT_BITS - BigInt(bits);
  return { first: BigInt(part) << shift, last: (BigInt(part + 1) << shift) - 1n };
};

const parseBounds = (text: string): FingerprintShard | undefined => {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { bounds } = (read ?? {}) as { bounds?: { min?: unknown; max?: unknown } };
  const [first, last] = [boundOf(bounds?.min), boundOf(bounds?.max)];
  return first === undefined || last === undefined || first > last ? undefined : { first, last };
};

/** Hexadecimal, as Prometheus prints fingerprints. A number has lost digits by now, unless it is a small one. */
const boundOf = (bound: unknown): bigint | undefined => {
  if (Number.isSafeInteger(bound) && Number(bound) >= 0) return BigInt(Number(bound));
  if (typeof bound !== 'string' || !/^[0-9a-f]{1,16}$/i.test(bound)) return undefined;
  const value = BigInt(`0x${bound}`);
  return value <= FINGERPRINT_MAX ? value : undefined;
};

const invalid = (text: string): RefusedError => new RefusedError({ code: 'INVALID_QUERY', text });
