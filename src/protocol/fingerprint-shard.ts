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
 * Shards as Loki writes them: `2_of_16`, which are those whose first bits are 2, or JSON: `{"bounds":{"min":0,"max":9223372036854775807}}`.
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
  const [{ min, max }, digits] = [boundsOf(read), boundsOf(JSON.parse(withQuotedNumbers(text)))];
  const [first, last] = [fingerprintOf(min, digits.min), fingerprintOf(max, digits.max)];
  return first === undefined || last === undefined || first > last ? undefined : { first, last };
};

const boundsOf = (read: unknown): { readonly min?: unknown; readonly max?: unknown } =>
  (read as { bounds?: object | null } | null)?.bounds ?? {};

/** A number above 2^53 has lost digits once it is parsed. @param text JSON */
const withQuotedNumbers = (text: string): string =>
  text.replace(/"(?:[^"\\]|\\.)*"|[-+.\dEe]*\d/g, (token) => (token.startsWith('"') ? token : `"${token}"`));

/** A decimal number, as Loki writes it, or text in hexadecimal, as Prometheus prints fingerprints. @param digits the number's */
const fingerprintOf = (bound: unknown, digits: unknown): bigint | undefined => {
  let value: bigint | undefined;
  if (typeof bound === 'number' && /^\d{1,20}$/.test(String(digits))) value = BigInt(String(digits));
  if (typeof bound === 'string' && /^[0-9a-f]{1,16}$/i.test(bound)) value = BigInt(`0x${bound}`);
  return value !== undefined && value <= FINGERPRINT_MAX ? value : undefined;
};

const invalid = (text: string): RefusedError => new RefusedError({ code: 'INVALID_QUERY', text });
