/**
 * Answers in the shapes of Loki's first API, `/api/prom/…`: labels as one text, times as RFC 3339, no envelope (the API's section 3.7 and 3.8). What takes
 * neither structured metadata nor parsed labels apart gets them among the labels.
 */
import type { TailFrame } from '../actors/node-services.ts';
import { canonicalText } from '../protocol/label-text.ts';
import { rfc3339NanoText } from '../protocol/time-text.ts';
import type { LogStream, QueryResult } from '../query/query-messages.ts';
import { inPieces, statisticsJson } from './answer-json.ts';
import { jsonString } from './json-text.ts';

function* streamParts(streams: readonly LogStream[]): Generator<string> {
  let streamSeparator = '';
  for (const { labels, entries } of streams) {
    yield `${streamSeparator}{"labels":${jsonString(canonicalText(labels))},"entries":[`;
    let separator = '';
    for (const { timeNs, line } of entries) {
      yield `${separator}{"ts":"${rfc3339NanoText(timeNs)}","line":${jsonString(line)}}`;
      separator = ',';
    }
    yield ']}';
    streamSeparator = ',';
  }
}

function* answerParts({ statistics, ...result }: QueryResult): Generator<string> {
  yield '{"streams":[';
  if (result.type === 'streams') yield* streamParts(result.streams);
  yield `],"stats":${statisticsJson(statistics)}}`;
}

/** Of a log query. */
export const legacyAnswerPieces = (result: QueryResult): Generator<string> => inPieces(answerParts(result));

/** Of label names or values. */
export const legacyListJson = (texts: readonly string[]): string =>
  texts.length === 0 ? '{}' : `{"values":[${texts.map(jsonString).join(',')}]}`;

/** One text frame of a tail. */
export const legacyFrameJson = ({ streams, dropped }: TailFrame): string => {
  const droppedTexts = dropped.map(
    ({ timeNs, labels }) => `{"timestamp":"${rfc3339NanoText(timeNs)}","labels":${jsonString(canonicalText(labels))}}`,
  );
  const droppedPart = droppedTexts.length > 0 ? `[${droppedTexts.join(',')}]` : 'null';
  return `{"streams":[${[...streamParts(streams)].join('')}],"dropped_entries":${droppedPart}}`;
};
