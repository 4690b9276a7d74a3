/** Query answers as Loki's JSON (the API's section 4), in pieces of bounded size, so that a big answer is never one string. */
import type {
  CacheCounts,
  LogEntry,
  LogStream,
  MetricSeries,
  QueryResult,
  QueryStatistics,
} from '../query/query-messages.ts';
import { formatSampleTime, formatSampleValue, jsonString } from './json-text.ts';

/** Characters gathered before a piece is handed on; chosen to be a few writes per megabyte. */
const PIECE_CHARS = 64 * 1024;

export const labelsJson = (pairs: readonly string[] | undefined): string => {
  if (!pairs) return '{}';
  let text = '{';
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    if (index > 0) text += ',';
    text += `${jsonString(pairs[index] ?? '')}:${jsonString(pairs[index + 1] ?? '')}`;
  }
  return `${text}}`;
};

const hasPairs = (pairs: readonly string[] | undefined): boolean => pairs !== undefined && pairs.length > 0;

const categoriesJson = ({ metadata, parsed }: LogEntry): string => {
  const members: string[] = [];
  if (hasPairs(metadata)) members.push(`"structuredMetadata":${labelsJson(metadata)}`);
  if (hasPairs(parsed)) members.push(`"parsed":${labelsJson(parsed)}`);
  return `{${members.join(',')}}`;
};

export const entryJson = (entry: LogEntry, isCategorized: boolean): string =>
  `["${entry.timeNs}",${jsonString(entry.line)}${isCategorized ? `,${categoriesJson(entry)}` : ''}]`;

function* streamParts(streams: readonly LogStream[], isCategorized: boolean): Generator<string> {
  let streamSeparator = '';
  for (const { labels, entries } of streams) {
    yield `${streamSeparator}{"stream":${labelsJson(labels)},"values":[`;
    let separator = '';
    for (const entry of entries) {
      yield separator + entryJson(entry, isCategorized);
      separator = ',';
    }
    yield ']}';
    streamSeparator = ',';
  }
}

const sampleJson = (timeMs: number, value: number): string =>
  `[${formatSampleTime(timeMs)},"${formatSampleValue(value)}"]`;

function* matrixParts(series: readonly MetricSeries[]): Generator<string> {
  let seriesSeparator = '';
  for (const { labels, timesMs, values } of series) {
    yield `${seriesSeparator}{"metric":${labelsJson(labels)},"values":[`;
    for (let index = 0; index < timesMs.length; index += 1) {
      const sample = sampleJson(timesMs[index] ?? 0, values[index] ?? 0);
      yield index === 0 ? sample : `,${sample}`;
    }
    yield ']}';
    seriesSeparator = ',';
  }
}

function* vectorParts(series: readonly MetricSeries[]): Generator<string> {
  let separator = '';
  for (const { labels, timesMs, values } of series) {
    yield `${separator}{"metric":${labelsJson(labels)},"value":${sampleJson(timesMs[0] ?? 0, values[0] ?? 0)}}`;
    separator = ',';
  }
}

const chunkStatistics = (statistics: Partial<QueryStatistics>): Record<string, number> => ({
  headChunkBytes: statistics.headBytes ?? 0,
  headChunkLines: statistics.headLines ?? 0,
  decompressedBytes: statistics.decompressedBytes ?? 0,
  decompressedLines: statistics.decompressedLines ?? 0,
  compressedBytes: statistics.compressedBytes ?? 0,
  totalDuplicates: statistics.duplicates ?? 0,
});

const storeStatistics = (statistics: Partial<QueryStatistics>) => ({
  totalChunksRef: statistics.chunkRefs ?? 0,
  totalChunksDownloaded: statistics.chunksDownloaded ?? 0,
  chunksDownloadTime: 0,
  chunk: chunkStatistics(statistics),
});

const NS_PER_MS = 1_000_000;

const CACHE = {
  entriesFound: 0,
  entriesRequested: 0,
  entriesStored: 0,
  bytesReceived: 0,
  bytesSent: 0,
  requests: 0,
  downloadTime: 0,
};

const cacheStatistics = ({ requested, found, stored, bytesReceived, bytesSent, servedMs }: CacheCounts) => ({
  ...CACHE,
  entriesFound: found,
  entriesRequested: requested,
  entriesStored: stored,
  bytesReceived,
  bytesSent,
  requests: requested + stored,
  queryLengthServed: servedMs * NS_PER_MS,
});

/** The stats skeleton clients read; what ringlog does not count (other caches, splits) is 0. Integers must be integers: logcli checks. */
export const statisticsJson = (statistics: QueryStatistics): string => {
  const seconds = statistics.executionMs / 1000;
  const perSecond = (count: number): number => (seconds > 0 ? Math.round(count / seconds) : 0);
  const { headBytes, headLines, ...stored } = statistics;
  return JSON.stringify({
    summary: {
      bytesProcessedPerSecond: perSecond(statistics.bytesProcessed),
      linesProcessedPerSecond: perSecond(statistics.linesProcessed),
      totalBytesProcessed: statistics.bytesProcessed,
      totalLinesProcessed: statistics.linesProcessed,
      execTime: Number(seconds.toFixed(9)),
      queueTime: 0,
      subqueries: 0,
      totalEntriesReturned: statistics.entriesReturned,
      splits: 0,
      shards: 0,
    },
    querier: { store: storeStatistics(stored) },
    ingester: {
      totalReached: 1,
      totalChunksMatched: statistics.chunksInMemory,
      totalBatches: 0,
      totalLinesSent: 0,
      store: storeStatistics({ headBytes, headLines }),
    },
    cache: { chunk: CACHE, index: CACHE, result: cacheStatistics(statistics.resultsCache) },
  });
};

function* resultParts(result: QueryResult, isCategorized: boolean): Generator<string> {
  switch (result.type) {
    case 'streams':
      yield '[';
      yield* streamParts(result.streams, isCategorized);
      yield ']';
      return;
    case 'matrix':
      yield '[';
      yield* matrixParts(result.series);
      yield ']';
      return;
    case 'vector':
      yield '[';
      yield* vectorParts(result.series);
      yield ']';
      return;
    case 'scalar':
      yield sampleJson(result.timeMs, result.value);
  }
}

function* answerParts(result: QueryResult, encodingFlags: readonly string[]): Generator<string> {
  // Grafana's streaming parser needs the flags before the result and the stats after it.
  const isLog = result.type === 'streams';
  const flags = isLog && encodingFlags.length > 0 ? `"encodingFlags":${JSON.stringify(encodingFlags)},` : '';
  yield `{"status":"success","data":{"resultType":"${result.type}",${flags}"result":`;
  yield* resultParts(result, isLog && encodingFlags.includes('categorize-labels'));
  const { missing = [] } = result.statistics;
  const warnings = missing.length > 0 ? `,"warnings":${JSON.stringify(missing)}` : '';
  yield `,"stats":${statisticsJson(result.statistics)}}${warnings}}`;
}

/** The whole answer in pieces of about 64 K characters. `encodingFlags` are those the client sent. */
export const answerPieces = (result: QueryResult, encodingFlags: readonly string[]): Generator<string> =>
  inPieces(answerParts(result, encodingFlags));

export function* inPieces(parts: Iterable<string>): Generator<string> {
  let piece = '';
  for (const part of parts) {
    piece += part;
    if (piece.length < PIECE_CHARS) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
