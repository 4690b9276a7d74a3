/** How much nodes hold unflushed, as they tell each other: `Volumes` of src/protocol/ringlog.proto. */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { parseLabelText } from '../protocol/label-text.ts';
import { WireWriter } from '../protocol/logproto.ts';
import { present, protoFields } from '../protocol/proto-fields.ts';
import type { HeldSegmentVolume, HeldVolume } from '../query/stream-volume.ts';
import { readTime, writeTime } from './selection-message.ts';

export interface Volumes {
  /** The answerer's view. */
  readonly changedAt: number;
  readonly volumes: readonly HeldVolume[];
  readonly isLast: boolean;
}

export const encodeVolumes = ({ changedAt, volumes, isLast }: Volumes): Uint8Array => {
  const writer = new WireWriter();
  writer.integer(1, BigInt(changedAt));
  for (const { labels, segments } of volumes) {
    writer.message(2, () => {
      writer.bytes(1, bytesOfText(labels.canonical));
      for (const segment of segments) writer.message(2, () => writeSegment(writer, segment));
    });
  }
  writer.integer(3, isLast ? 1n : 0n);
  return writer.finish();
};

const writeSegment = (writer: WireWriter, { id, startNs, endNs, entries, bytes }: HeldSegmentVolume): void => {
  writer.bytes(1, id.nodeId);
  writer.integer(2, BigInt(id.incarnation));
  writer.integer(3, BigInt(id.counter));
  writeTime(writer, 4, startNs);
  writeTime(writer, 5, endNs);
  writer.integer(6, BigInt(entries));
  writer.integer(7, BigInt(bytes));
};

/** @throws RefusedError BAD_REQUEST */
export const decodeVolumes = (message: Uint8Array): Volumes => {
  let changedAt = 0;
  let isLast = false;
  const volumes: HeldVolume[] = [];
  for (const { number, value, bytes } of protoFields(message, 'Volumes')) {
    if (number === 1) changedAt = value;
    else if (number === 2) volumes.push(readVolume(bytes));
    else if (number === 3) isLast = value === 1;
  }
  return { changedAt, volumes, isLast };
};

const readVolume = (message: Uint8Array): HeldVolume => {
  let labels: LabelSet | undefined;
  const segments: HeldSegmentVolume[] = [];
  for (const { number, bytes } of protoFields(message, 'StreamVolume')) {
    if (number === 1) labels = parseLabelText(bytes);
    else if (number === 2) segments.push(readSegment(bytes));
  }
  return { labels: present(labels, 'StreamVolume', 'labels'), segments };
};

const readSegment = (message: Uint8Array): HeldSegmentVolume => {
  let nodeId = '';
  let startNs = 0n;
  let endNs = 0n;
  const numbers = new Map<number, number>();
  for (const { number, value, bytes } of protoFields(message, 'SegmentVolume')) {
    if (number === 1) nodeId = textOfBytes(bytes);
    else if (number === 4) startNs = readTime(bytes);
    else if (number === 5) endNs = readTime(bytes);
    else numbers.set(number, value);
  }
  const of = (number: number): number => numbers.get(number) ?? 0;
  return { id: { nodeId, incarnation: of(2), counter: of(3) }, startNs, endNs, entries: of(6), bytes: of(7) };
};
