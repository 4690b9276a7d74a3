/**
 * What nodes tell each other of their unflushed streams: `SelectRequest`, `Selection`, `LabelSets` of src/protocol/ringlog.proto.
 *
 *   Selection:  header size u32 │ header │ snapshots (chunk/snapshot-codec.ts) of the segments that are small
 */
import type { SegmentId, SegmentSnapshot } from '../chunk/memory-format.ts';
import { decodeSnapshots, encodeSnapshots } from '../chunk/snapshot-codec.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { WireWriter } from '../protocol/logproto.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { present, protoFields } from '../protocol/proto-fields.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { badRequest } from '../protocol/wire.ts';

export interface SelectRequest {
  /** The asker's view. */
  readonly changedAt: number;
  readonly tenant: string;
  readonly matchers: readonly LabelMatcher[];
  readonly range: TimeRangeNs;
  /** Names the selection for `LoadRequest`s, among those of this asker. */
  readonly selection: number;
}

/** A segment that is not sent until somebody wants it. */
export interface DeferredSegment {
  readonly id: SegmentId;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  readonly bytes: number;
  /** Its place in the selection. */
  readonly place: number;
}

export interface SelectedStream {
  /** Canonical text. */
  readonly labelText: Uint8Array;
  readonly snapshots: readonly SegmentSnapshot[];
  readonly deferred: readonly DeferredSegment[];
}

export interface Selection {
  /** The answerer's view. */
  readonly changedAt: number;
  readonly streams: readonly SelectedStream[];
  readonly isLast: boolean;
}

const OPS: readonly LabelMatcher['op'][] = ['=', '!=', '=~', '!~'];
const SIZE_BYTES = 4;

export const writeTime = (writer: WireWriter, field: number, timeNs: bigint): void => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(timeNs);
  writer.bytes(field, bytes);
};

export const readTime = (bytes: Uint8Array): bigint => {
  if (bytes.length !== 8) throw badRequest('a time has 8 bytes');
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigInt64(0, true);
};

export const encodeSelectRequest = ({ changedAt, tenant, matchers, range, selection }: SelectRequest): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  writer.bytes(2, tenant);
  for (const { name, op, value } of matchers) {
    writer.message(3, () => {
      writer.bytes(1, bytesOfText(name));
      writer.integer(2, BigInt(OPS.indexOf(op)));
      writer.bytes(3, bytesOfText(value));
    });
  }
  writeTime(writer, 4, range.startNs);
  writeTime(writer, 5, range.endNs);
  writer.integer(6, BigInt(selection));
  return writer.finish();
};

/** @throws RefusedError BAD_REQUEST */
export const decodeSelectRequest = (message: Uint8Array): SelectRequest => {
  let [changedAt, selection] = [0, 0];
  let tenant: string | undefined;
  let startNs: bigint | undefined;
  let endNs: bigint | undefined;
  const matchers: LabelMatcher[] = [];
  for (const { number, value, bytes } of protoFields(message, 'SelectRequest')) {
    if (number === 1) changedAt = value;
    else if (number === 2) tenant = textOfBytes(bytes);
    else if (number === 3) matchers.push(readMatcher(bytes));
    else if (number === 4) startNs = readTime(bytes);
    else if (number === 5) endNs = readTime(bytes);
    else if (number === 6) selection = value;
  }
  const range = {
    startNs: present(startNs, 'SelectRequest', 'start'),
    endNs: present(endNs, 'SelectRequest', 'end'),
  };
  return { changedAt, tenant: present(tenant, 'SelectRequest', 'tenant'), matchers, range, selection };
};

const readMatcher = (message: Uint8Array): LabelMatcher => {
  let [name, value] = ['', ''];
  let op = 0;
  for (const { number, value: varint, bytes } of protoFields(message, 'Matcher')) {
    if (number === 1) name = textOfBytes(bytes);
    else if (number === 2) op = varint;
    else if (number === 3) value = textOfBytes(bytes);
  }
  return { name, op: present(OPS[op], 'Matcher', 'a known operator'), value };
};

export const encodeSelection = ({ changedAt, streams, isLast }: Selection): readonly Uint8Array[] => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const { labelText, snapshots, deferred } of streams) {
    writer.message(2, () => {
      writer.bytes(1, labelText);
      writer.integer(2, BigInt(snapshots.length));
      for (const segment of deferred) writer.message(3, () => writeDeferred(writer, segment));
    });
  }
  writer.integer(3, isLast ? 1n : 0n);
  const header = writer.finish();
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeUInt32LE(header.length);
  return [size, header, encodeSnapshots(streams.flatMap(({ snapshots }) => snapshots))];
};

const writeDeferred = (writer: WireWriter, { id, minTime, maxTime, bytes, place }: DeferredSegment): void => {
  writer.bytes(1, id.nodeId);
  writer.integer(2, BigInt(id.incarnation));
  writer.integer(3, BigInt(id.counter));
  writeTime(writer, 4, minTime);
  writeTime(writer, 5, maxTime);
  writer.integer(6, BigInt(bytes));
  writer.integer(7, BigInt(place));
};

/** @throws RefusedError BAD_REQUEST */
export const decodeSelection = (message: Uint8Array): Selection => {
  if (message.length < SIZE_BYTES) throw badRequest('Selection: cut off');
  const size = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  const snapshots = decodeSnapshots(message.subarray(SIZE_BYTES + size));
  let changedAt = 0;
  let isLast = false;
  let taken = 0;
  const streams: SelectedStream[] = [];
  for (const { number, value, bytes } of protoFields(message.subarray(SIZE_BYTES, SIZE_BYTES + size), 'Selection')) {
    if (number === 1) changedAt = value;
    else if (number === 2) {
      const { labelText, count, deferred } = readStream(bytes);
      streams.push({ labelText, snapshots: snapshots.slice(taken, taken + count), deferred });
      taken += count;
    } else if (number === 3) isLast = value === 1;
  }
  if (taken !== snapshots.length) throw badRequest('Selection: snapshots of no stream');
  return { changedAt, streams, isLast };
};

const readStream = (
  message: Uint8Array,
): { readonly labelText: Uint8Array; readonly count: number; readonly deferred: readonly DeferredSegment[] } => {
  let labelText: Uint8Array | undefined;
  let count = 0;
  const deferred: DeferredSegment[] = [];
  for (const { number, value, bytes } of protoFields(message, 'SelectedStream')) {
    if (number === 1) labelText = bytes;
    else if (number === 2) count = value;
    else if (number === 3) deferred.push(readDeferred(bytes));
  }
  return { labelText: present(labelText, 'SelectedStream', 'labels'), count, deferred };
};

const readDeferred = (message: Uint8Array): DeferredSegment => {
  let nodeId = '';
  const numbers = new Map<number, number>();
  const times = new Map<number, bigint>();
  for (const { number, value, bytes } of protoFields(message, 'DeferredSegment')) {
    if (number === 1) nodeId = textOfBytes(bytes);
    else if (number === 4 || number === 5) times.set(number, readTime(bytes));
    else numbers.set(number, value);
  }
  const of = (number: number): number => numbers.get(number) ?? 0;
  return {
    id: { nodeId, incarnation: of(2), counter: of(3) },
    minTime: times.get(4) ?? 0n,
    maxTime: times.get(5) ?? 0n,
    bytes: of(6),
    place: of(7),
  };
};

export const encodeLoadRequest = (selection: number, place: number): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(selection));
  writer.integer(2, BigInt(place));
  return writer.finish();
};

export const decodeLoadRequest = (message: Uint8Array): { readonly selection: number; readonly place: number } => {
  let [selection, place] = [0, 0];
  for (const { number, value } of protoFields(message, 'LoadRequest')) {
    if (number === 1) selection = value;
    else if (number === 2) place = value;
  }
  return { selection, place };
};

/** Label sets as canonical texts. */
export const encodeLabelSets = (changedAt: number, texts: readonly string[], isLast: boolean): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const text of texts) writer.bytes(2, bytesOfText(text));
  writer.integer(3, isLast ? 1n : 0n);
  return writer.finish();
};

export interface LabelSetsAnswer {
  readonly changedAt: number;
  readonly labelTexts: readonly Uint8Array[];
  readonly isLast: boolean;
}

export const decodeLabelSets = (message: Uint8Array): LabelSetsAnswer => {
  let changedAt = 0;
  let isLast = false;
  const labelTexts: Uint8Array[] = [];
  for (const { number, value, bytes } of protoFields(message, 'LabelSets')) {
    if (number === 1) changedAt = value;
    else if (number === 2) labelTexts.push(bytes);
    else if (number === 3) isLast = value === 1;
  }
  return { changedAt, labelTexts, isLast };
};
