/** Messages of logproto.Querier (numbers in the API specification, section 6). */
import { WireWriter, writeEntry, writePairs, writeTimestamp } from './logproto.ts';
import { protoFields } from './proto-fields.ts';
import {
  badRequest,
  cursorAfterRead,
  readExactInt64,
  readInt32,
  readInt64,
  readSize,
  readTag,
  skipValue,
} from './wire.ts';

const NS_PER_SECOND = 1_000_000_000n;
const NS_PER_MS = 1_000_000n;

/** Entries that the client knows to be deleted. Both ends are included. */
export interface AskedDelete {
  /** A log query. */
  readonly selector: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** Of several kinds of requests: what none of them has stays as it is here. */
export interface QuerierRequest {
  /** The query, or the selector. */
  readonly query: string;
  /** undefined: the client says nothing of it. */
  readonly startNs: bigint | undefined;
  readonly endNs: bigint | undefined;
  readonly limit: number;
  readonly isBackward: boolean;
  readonly name: string;
  /** Of a LabelRequest: values of `name` are asked for, not names. */
  readonly wantsValues: boolean;
  readonly delaySeconds: number;
  /** Lines that a DetectedFieldsRequest has looked at. */
  readonly lineLimit: number;
  readonly aggregateBy: string;
  readonly lists: QuerierLists;
}

export interface QuerierLists {
  /** Selectors of a SeriesRequest. */
  readonly groups: readonly string[];
  readonly shards: readonly string[];
  readonly targetLabels: readonly string[];
  readonly deletes: readonly AskedDelete[];
}

type Field = Exclude<keyof QuerierRequest, 'lists'> | keyof QuerierLists | 'startMs' | 'endMs';

/** Number → what it is, of each request. Other fields (plans, hints, steps) are passed over, as a client may not send them. */
const FIELDS = {
  // biome-ignore format: one message a line
  QueryRequest: { 1: 'query', 2: 'limit', 3: 'startNs', 4: 'endNs', 5: 'isBackward', 7: 'shards', 8: 'deletes' },
  SampleQueryRequest: { 1: 'query', 2: 'startNs', 3: 'endNs', 4: 'shards', 5: 'deletes' },
  LabelRequest: { 1: 'name', 2: 'wantsValues', 3: 'startNs', 4: 'endNs', 5: 'query' },
  TailRequest: { 1: 'query', 3: 'delaySeconds', 4: 'limit', 5: 'startNs' },
  SeriesRequest: { 1: 'startNs', 2: 'endNs', 3: 'groups', 4: 'shards' },
  GetChunkIDsRequest: { 1: 'query', 2: 'startNs', 3: 'endNs' },
  IndexStatsRequest: { 1: 'startMs', 2: 'endMs', 3: 'query' },
  // biome-ignore format: one message a line
  VolumeRequest: { 1: 'startMs', 2: 'endMs', 3: 'query', 4: 'limit', 6: 'targetLabels', 7: 'aggregateBy' },
  // biome-ignore format: one message a line
  DetectedFieldsRequest: { 1: 'startNs', 2: 'endNs', 3: 'query', 4: 'lineLimit', 5: 'limit', 7: 'wantsValues', 8: 'name' },
  DetectedLabelsRequest: { 1: 'startNs', 2: 'endNs', 3: 'query' },
} as const satisfies Record<string, Readonly<Record<number, Field>>>;

export type QuerierMessage = keyof typeof FIELDS;

/** @throws RefusedError BAD_REQUEST */
export const decodeQuerierRequest = (bytes: Uint8Array, message: QuerierMessage): QuerierRequest => {
  const names: Readonly<Record<number, Field>> = FIELDS[message];
  const found: { -readonly [Name in keyof QuerierRequest]?: QuerierRequest[Name] } = {};
  const lists = {
    groups: [] as string[],
    shards: [] as string[],
    targetLabels: [] as string[],
    deletes: [] as AskedDelete[],
  };
  for (const field of protoFields(bytes, message)) {
    const name = names[field.number];
    switch (name) {
      case 'query':
      case 'name':
      case 'aggregateBy':
        found[name] = textOf(field.bytes);
        break;
      case 'groups':
      case 'shards':
      case 'targetLabels':
        lists[name].push(textOf(field.bytes));
        break;
      case 'deletes':
        lists.deletes.push(deleteOf(field.bytes));
        break;
      case 'startNs':
      case 'endNs':
        found[name] = timestampNs(field.bytes);
        break;
      case 'startMs':
        found.startNs = BigInt(field.value) * NS_PER_MS;
        break;
      case 'endMs':
        found.endNs = BigInt(field.value) * NS_PER_MS;
        break;
      case 'limit':
      case 'lineLimit':
      case 'delaySeconds':
        found[name] = field.value;
        break;
      case 'isBackward':
      case 'wantsValues':
        found[name] = field.value !== 0;
        break;
      case undefined:
        break;
    }
  }
  return { ...NOTHING_SAID, ...found, lists };
};

const NOTHING_SAID: Omit<QuerierRequest, 'lists'> = {
  query: '',
  startNs: undefined,
  endNs: undefined,
  limit: 0,
  isBackward: false,
  name: '',
  wantsValues: false,
  delaySeconds: 0,
  lineLimit: 0,
  aggregateBy: '',
};

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');

/** Delete{selector=1, start=2, end=3}: ns. */
const deleteOf = (bytes: Uint8Array): AskedDelete => {
  let selector = '';
  let startNs = 0n;
  let endNs = 0n;
  for (let at = 0; at < bytes.length; at = cursorAfterRead()) {
    const tag = readTag(bytes, at, bytes.length, 'Delete');
    const from = cursorAfterRead();
    if (tag === 0x10) startNs = BigInt(readExactInt64(bytes, from, bytes.length));
    else if (tag === 0x18) endNs = BigInt(readExactInt64(bytes, from, bytes.length));
    else {
      if (tag === 0x0a) {
        const size = readSize(bytes, from, bytes.length);
        selector = textOf(bytes.subarray(cursorAfterRead(), cursorAfterRead() + size));
      }
      skipValue(bytes, from, bytes.length, tag & 7);
    }
  }
  return { selector, startNs, endNs };
};

/** google.protobuf.Timestamp in ns. */
const timestampNs = (bytes: Uint8Array): bigint => {
  let seconds = 0;
  let nanos = 0;
  for (let at = 0; at < bytes.length; at = cursorAfterRead()) {
    const tag = readTag(bytes, at, bytes.length, 'Timestamp');
    if (tag === 0x08) seconds = readInt64(bytes, cursorAfterRead(), bytes.length);
    else if (tag === 0x10) nanos = readInt32(bytes, cursorAfterRead(), bytes.length);
    else skipValue(bytes, cursorAfterRead(), bytes.length, tag & 7);
  }
  if (Math.abs(seconds) > Number.MAX_SAFE_INTEGER) throw badRequest('timestamp: seconds out of range');
  return BigInt(seconds) * NS_PER_SECOND + BigInt(nanos);
};

export interface AnsweredEntry {
  readonly timeNs: bigint;
  readonly line: string;
  readonly metadata?: readonly string[];
  readonly parsed?: readonly string[];
}

/** Entries by the text of their labels. */
export type AnsweredStreams = ReadonlyMap<string, readonly AnsweredEntry[]>;

const writeStream = (writer: WireWriter, labels: string, entries: readonly AnsweredEntry[]): void => {
  writer.bytes(1, labels);
  for (const entry of entries) {
    writer.message(2, () => {
      writeEntry(writer, entry);
      writePairs(writer, 4, entry.parsed ?? []);
    });
  }
};

/** QueryResponse{streams=1} */
export const encodeQueryResponse = (streams: AnsweredStreams): Buffer => {
  const writer = new WireWriter();
  for (const [labels, entries] of streams) writer.message(1, () => writeStream(writer, labels, entries));
  return writer.finish();
};

export interface AnsweredSample {
  readonly timeNs: bigint;
  readonly value: number;
  /** Of the line: equal samples of one series, time and hash are one. */
  readonly hash: bigint;
}

/** SampleQueryResponse{series=1 {labels=1, samples=2 {timestamp=1, value=2, hash=3}, streamHash=3}} */
export const encodeSampleResponse = (
  series: ReadonlyMap<string, { readonly hash: bigint; readonly samples: readonly AnsweredSample[] }>,
): Buffer => {
  const writer = new WireWriter();
  for (const [labels, { hash, samples }] of series) {
    writer.message(1, () => {
      writer.bytes(1, labels);
      for (const sample of samples) {
        writer.message(2, () => {
          writer.integer(1, sample.timeNs);
          writer.double(2, sample.value);
          writer.integer(3, sample.hash);
        });
      }
      writer.integer(3, hash);
    });
  }
  return writer.finish();
};

/** LabelResponse{values=1} */
export const encodeLabelResponse = (values: readonly string[]): Buffer => {
  const writer = new WireWriter();
  for (const value of values) writer.bytes(1, value);
  return writer.finish();
};

/** SeriesResponse{series=1 {labels=1 map}} */
export const encodeSeriesResponse = (labelSets: readonly (readonly string[])[]): Buffer => {
  const writer = new WireWriter();
  for (const pairs of labelSets) writer.message(1, () => writePairs(writer, 1, pairs));
  return writer.finish();
};

export interface DroppedEntry {
  readonly timeNs: bigint;
  readonly labels: string;
}

/** TailResponse{stream=1, droppedStreams=2 {from=1, to=2, labels=3}} */
export const encodeTailResponse = (
  stream: { readonly labels: string; readonly entries: readonly AnsweredEntry[] } | undefined,
  dropped: readonly DroppedEntry[],
): Buffer => {
  const writer = new WireWriter();
  if (stream) writer.message(1, () => writeStream(writer, stream.labels, stream.entries));
  for (const { timeNs, labels } of dropped) {
    writer.message(2, () => {
      writeTimestamp(writer, 1, timeNs);
      writeTimestamp(writer, 2, timeNs);
      writer.bytes(3, labels);
    });
  }
  return writer.finish();
};

/** TailersCountResponse{count=1} */
export const encodeTailersCount = (count: number): Buffer => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(count));
  return writer.finish();
};
