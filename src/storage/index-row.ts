/**
 * Index rows as Loki lays them out, schemas v9 to v13. Drawn in docs/index-rows.md; source: storage format, section 4.
 *
 *   kind  hash value                range value                      value
 *   1     SS:tenant:dD:logs         series 00 00 00 '7' 00           -
 *   2     SS:tenant:dD:logs:name    sha(value) 00 series 00 00 '8' 00   the label value
 *   3     series                    00 00 00 '9' 00                  ["name",…]
 *   4     tenant:dD:series          rel 00 00 chunk key 00 '3' 00    -
 */
import { hash } from 'node:crypto';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { canonicalText } from '../protocol/label-text.ts';
import { BoundedMap } from './bounded-map.ts';
import type { ChunkKeyReader } from './chunk-key.ts';
import type { IndexEntry } from './index-store.ts';
import { DAY_MS, type DayBucket, dayBuckets, type SchemaConfig, type SchemaPeriod } from './schema-config.ts';

/** What the index has to know of a chunk. Times in ms as in its key. */
export interface IndexedChunk {
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly fromMs: number;
  readonly throughMs: number;
  readonly key: string;
}

/** The type character near the end of a range value. */
export const RANGE_TYPES = { chunk: '3', series: '7', labelValue: '8', labelNames: '9' } as const;

export const METRIC_NAME = 'logs';

/** Chosen: values and streams of a few thousand apps, about 4 MiB. A miss costs one SHA-256, 2 µs. */
const HASHES_MAX = 20_000;

const valueHashes = new BoundedMap<string, string>(HASHES_MAX);
const seriesIds = new BoundedMap<string, string>(HASHES_MAX);

/** All entries of one chunk, of all days it touches. */
export const chunkEntries = (config: SchemaConfig, chunk: IndexedChunk): IndexEntry[] => {
  const series = seriesIdOf(chunk.labels);
  return dayBuckets(config, chunk.fromMs, chunk.throughMs).flatMap((bucket) => [
    ...labelEntries(bucket, chunk.tenant, chunk.labels, series),
    chunkEntry(bucket, chunk.tenant, series, chunk.key),
  ]);
};

/** Kinds 1 to 3: what finds the series on that day. The same for every chunk of the series. */
export const labelEntries = (bucket: DayBucket, tenant: string, labels: LabelSet, series: string): IndexEntry[] => {
  const { table, period } = bucket;
  const shard = shardPrefixOf(period, series);
  const names: string[] = [];
  const entries: IndexEntry[] = [
    {
      table,
      hashValue: seriesRow(bucket, tenant, shard),
      rangeValue: rangeValue(series, '', '', RANGE_TYPES.series),
      value: '-',
    },
  ];
  for (let index = 0; index < labels.pairs.length; index += 2) {
    const [name = '', value = ''] = [labels.pairs[index], labels.pairs[index + 1]];
    if (name === '__name__') continue;
    names.push(name);
    entries.push({
      table,
      hashValue: labelRow(bucket, tenant, shard, name),
      rangeValue: rangeValue(valueHashOf(value), series, '', RANGE_TYPES.labelValue),
      value,
    });
  }
  if (hasLabelNames(period)) {
    const rangeOfNames = rangeValue('', '', '', RANGE_TYPES.labelNames);
    entries.push({ table, hashValue: series, rangeValue: rangeOfNames, value: JSON.stringify(names) });
  }
  return entries;
};

/** Kind 4: the chunk itself. */
export const chunkEntry = (bucket: DayBucket, tenant: string, series: string, key: string): IndexEntry => ({
  table: bucket.table,
  hashValue: chunkRow(bucket, tenant, series),
  rangeValue: rangeValue(relativeTime(bucket.throughInDayMs), '', key, RANGE_TYPES.chunk),
  value: bucket.period.schema === 'v9' ? '' : '-',
});

/** Row of kind 1: all series of a day (and shard). */
export const seriesRow = (bucket: DayBucket, tenant: string, shardPrefix: string): string =>
  `${shardPrefix}${tenant}:d${bucket.day}:${METRIC_NAME}`;

/** Row of kind 2: all values of a label and their series on a day (and shard). */
export const labelRow = (bucket: DayBucket, tenant: string, shardPrefix: string, name: string): string =>
  `${shardPrefix}${tenant}:d${bucket.day}:${METRIC_NAME}:${name}`;

/** Row of kind 4: the chunks of a series on a day. */
export const chunkRow = (bucket: DayBucket, tenant: string, series: string): string =>
  `${tenant}:d${bucket.day}:${series}`;

/** v9 and v10 have no rows of kind 3: the label names of a series stand in its chunks alone. */
export const hasLabelNames = (period: SchemaPeriod): boolean => period.schema !== 'v9' && period.schema !== 'v10';

/** `03:` for shard 3 of a series; v9 has no shards. */
export const shardPrefixOf = (period: SchemaPeriod, series: string): string => {
  if (period.schema === 'v9') return '';
  return shardPrefix(Buffer.from(series, 'latin1').readUInt32BE(0) % period.rowShards);
};

/** What the rows of all shards begin with. */
export const shardPrefixes = (period: SchemaPeriod): string[] => {
  if (period.schema === 'v9') return [''];
  return Array.from({ length: period.rowShards }, (_, shard) => shardPrefix(shard));
};

const shardPrefix = (shard: number): string => `${shard.toString().padStart(2, '0')}:`;

/** Milliseconds since the start of a day as 8 hex digits, at least 0 and at most the whole day. */
export const relativeTime = (inDayMs: number): string =>
  Math.max(0, Math.min(DAY_MS, inDayMs)).toString(16).padStart(8, '0');

/** SHA-256 of the metric name and the canonical labels without `__name__`, base64 without padding: 43 characters. */
export const seriesIdOf = (labels: LabelSet): string => {
  const known = seriesIds.get(labels.canonical);
  if (known !== undefined) return known;
  const canonical = withoutMetricName(labels);
  const series = sha256(Buffer.from(METRIC_NAME + (canonical === '{}' ? '' : canonical)));
  seriesIds.set(labels.canonical, series);
  return series;
};

/** SHA-256 of a label value's bytes, base64 without padding. */
export const valueHashOf = (value: string): string => {
  const known = valueHashes.get(value);
  if (known !== undefined) return known;
  const hashed = sha256(bytesOfText(value));
  valueHashes.set(value, hashed);
  return hashed;
};

const withoutMetricName = (labels: LabelSet): string => {
  const { pairs, canonical } = labels;
  const isMetricName = (index: number): boolean => pairs[index - (index % 2)] === '__name__';
  return pairs.includes('__name__') ? canonicalText(pairs.filter((_, index) => !isMetricName(index))) : canonical;
};

const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes, 'base64').slice(0, 43);

const rangeValue = (first: string, second: string, third: string, type: string): string =>
  `${first}\0${second}\0${third}\0${type}\0`;

/** The series of a cell of kind 1; undefined for other types, which may be there: they are not ours to know. */
export const seriesOfCell = (text: string): string | undefined => partOf(text, RANGE_TYPES.series, 0);

/** The series of a cell of kind 2. */
export const seriesOfLabelCell = (text: string): string | undefined =>
  text.length === LABEL_RANGE_LENGTH && text.endsWith(LABEL_RANGE_END)
    ? text.slice(HASH_LENGTH + 1, 2 * HASH_LENGTH + 1)
    : partOf(text, RANGE_TYPES.labelValue, 1);

/** The object key of a cell of kind 4. */
export const chunkKeyOfCell = (text: string): string | undefined => partOf(text, RANGE_TYPES.chunk, 2);

/** Reads the object key of a cell of kind 4, which it says may be none; false for another kind. */
export const readChunkCell = (reader: ChunkKeyReader, bytes: Buffer, start: number, end: number): boolean => {
  // The usual shape, told without a text.
  const keyStart = start + RELATIVE_TIME_LENGTH + CHUNK_KEY_BEGIN.length;
  const keyEnd = end - CHUNK_RANGE_END.length;
  if (keyStart < keyEnd && hasText(bytes, keyStart - 2, CHUNK_KEY_BEGIN) && hasText(bytes, keyEnd, CHUNK_RANGE_END)) {
    reader.read(bytes, keyStart, keyEnd);
    return true;
  }
  const key = chunkKeyOfCell(textOfBytes(bytes, start, end));
  if (key === undefined) return false;
  const keyBytes = bytesOfText(key);
  reader.read(keyBytes, 0, keyBytes.length);
  return true;
};

const hasText = (bytes: Buffer, at: number, text: string): boolean => {
  for (let index = 0; index < text.length; index++) if (bytes[at + index] !== text.charCodeAt(index)) return false;
  return true;
};

export const isLabelNamesCell = (text: string): boolean => partOf(text, RANGE_TYPES.labelNames, 0) !== undefined;

// The usual shapes, told without taking the text apart: a query reads 100,000 of them.
const HASH_LENGTH = 43;
const RELATIVE_TIME_LENGTH = 8;
const LABEL_RANGE_END = `\0\0${RANGE_TYPES.labelValue}\0`;
const LABEL_RANGE_LENGTH = HASH_LENGTH + 1 + HASH_LENGTH + LABEL_RANGE_END.length;
const CHUNK_KEY_BEGIN = '\0\0';
/** What the range values of kind 4 end with; those of kinds 1 and 2. */
export const CHUNK_RANGE_END = `\0${RANGE_TYPES.chunk}\0`;
export const SERIES_RANGE_END = `\0${RANGE_TYPES.series}\0`;
export const LABEL_VALUE_RANGE_END = `\0${RANGE_TYPES.labelValue}\0`;

const partOf = (text: string, type: string, index: number): string | undefined => {
  const parts = text.split('\0');
  return parts.length === 5 && parts[3] === type ? parts[index] : undefined;
};
