/**
 * The metadata JSON in front of a chunk's data. One line, this order, as Loki writes it:
 * `{"fingerprint":7225141057251955141,"userID":"tenant-a","from":1681207200,"through":1681207200.500,"metric":{…},"encoding":129}\n`
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { JsonScanner } from './json-scanner.ts';

export interface ChunkMetadata {
  readonly fingerprint: bigint;
  readonly tenant: string;
  /** Bounds in ms, inclusive. */
  readonly fromMs: number;
  readonly throughMs: number;
  /** name1, value1, …: all labels, `__name__` included, as they are stored. */
  readonly metric: readonly string[];
}

/** "LogChunk"; 128 is its older number. */
const LOG_CHUNK = 129;
const OLD_LOG_CHUNK = 128;

export const encodeChunkMetadata = (metadata: ChunkMetadata): Buffer => {
  const { fingerprint, tenant, fromMs, throughMs, metric } = metadata;
  const labels: string[] = [];
  for (let index = 0; index < metric.length; index += 2) {
    labels.push(`${quoted(metric[index]!)}:${quoted(metric[index + 1]!)}`);
  }
  return bytesOfText(
    `{"fingerprint":${fingerprint},"userID":${quoted(tenant)},"from":${secondsText(fromMs)},` +
      `"through":${secondsText(throughMs)},"metric":{${labels.join(',')}},"encoding":${LOG_CHUNK}}\n`,
  );
};

/** Whole seconds without fraction, else exactly three decimals. */
const secondsText = (ms: number): string => {
  const size = Math.abs(ms);
  const fraction = size % 1000;
  const text = `${ms < 0 ? '-' : ''}${(size - fraction) / 1000}`;
  return fraction === 0 ? text : `${text}.${String(fraction).padStart(3, '0')}`;
};

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** As Go's encoder without HTML escaping: U+2028, 0x7f and bytes that are not UTF-8 stay as they are. */
const quoted = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters JSON must escape
  `"${text.replace(/["\\\u0000-\u001f]/g, (c) => SHORT_ESCAPES[c] ?? `\\u00${hexByte(c)}`)}"`;

const hexByte = (character: string): string => character.charCodeAt(0).toString(16).padStart(2, '0');

/** Any order of fields, spaces, unknown fields of any shape. @throws CorruptChunkError */
export const decodeChunkMetadata = (bytes: Uint8Array): ChunkMetadata => {
  const json = new JsonScanner(textOfBytes(bytes));
  const found: { -readonly [Key in keyof ChunkMetadata]?: ChunkMetadata[Key] } = {};
  let encoding = '';
  json.object((name) => {
    // Numbers as text: a fingerprint is above 2^53 as a rule, and JSON.parse would round it.
    if (name === 'fingerprint') found.fingerprint = uint64Of(json.number());
    else if (name === 'userID') found.tenant = json.string();
    else if (name === 'from') found.fromMs = msOf(json.number());
    else if (name === 'through') found.throughMs = msOf(json.number());
    else if (name === 'metric') found.metric = metricOf(json);
    else if (name === 'encoding') encoding = json.number();
    else json.skip();
  });
  json.end();
  const { fingerprint, tenant, fromMs, throughMs, metric = [] } = found;
  if (fingerprint === undefined || tenant === undefined || fromMs === undefined || throughMs === undefined) {
    throw new CorruptChunkError('chunk metadata lacks a field');
  }
  if (Number(encoding) !== LOG_CHUNK && Number(encoding) !== OLD_LOG_CHUNK) {
    throw new CorruptChunkError(`chunk metadata names the unknown encoding ${encoding}`);
  }
  return { fingerprint, tenant, fromMs, throughMs, metric };
};

const metricOf = (json: JsonScanner): string[] => {
  const metric: string[] = [];
  json.object((name) => {
    metric.push(name, json.string());
  });
  return metric;
};

const uint64Of = (text: string): bigint => {
  if (!/^\d{1,20}$/.test(text)) throw new CorruptChunkError('a fingerprint is not a number');
  return BigInt.asUintN(64, BigInt(text));
};

/** Seconds with up to three decimals, from the digits: no rounding. */
const msOf = (text: string): number => {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (!match) throw new CorruptChunkError('a time in chunk metadata is not a number of seconds');
  const ms = Number(match[2]) * 1000 + Number((match[3] ?? '').padEnd(3, '0').slice(0, 3));
  return match[1] === '-' ? -ms : ms;
};
