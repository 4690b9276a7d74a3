/**
 * What a node tells of its appends to one that tails: `Dropped` of src/protocol/ringlog.proto, then a `Selection` of what was appended.
 *
 *   dropped size u32 │ Dropped │ Selection (selection-message.ts)
 */

import { isLogged } from '../chunk/memory-format.ts';
import { bytesOfText } from '../protocol/byte-text.ts';
import { canonicalText, parseLabelText } from '../protocol/label-text.ts';
import { WireWriter } from '../protocol/logproto.ts';
import { protoFields } from '../protocol/proto-fields.ts';
import { badRequest } from '../protocol/wire.ts';
import type { MemoryStream } from '../query/query-source.ts';
import type { DroppedEntry } from '../query/tail-listener.ts';
import { decodeSelection, encodeSelection, readTime, writeTime } from './selection-message.ts';

export interface TailPart {
  readonly streams: readonly MemoryStream[];
  readonly dropped: readonly DroppedEntry[];
}

const SIZE_BYTES = 4;

/** Streams as they were appended: in memory. */
export const encodeTailPart = ({ streams, dropped }: TailPart): readonly Uint8Array[] => {
  const writer = new WireWriter();
  for (const { timeNs, labels } of dropped) {
    writer.message(1, () => {
      writeTime(writer, 1, timeNs);
      writer.bytes(2, bytesOfText(canonicalText(labels)));
    });
  }
  const header = writer.finish();
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeUInt32LE(header.length);
  const selected = streams.map(({ labels, segments }) => ({
    labelText: bytesOfText(labels.canonical),
    snapshots: segments.flatMap((segment) => (isLogged(segment) ? [] : segment)),
    deferred: [],
  }));
  return [size, header, ...encodeSelection({ changedAt: 0, streams: selected, isLast: false })];
};

/** @throws RefusedError BAD_REQUEST */
export const decodeTailPart = (message: Uint8Array): TailPart => {
  if (message.length < SIZE_BYTES) throw badRequest('a part of a tail: cut off');
  const size = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  const dropped: DroppedEntry[] = [];
  for (const { number, bytes } of protoFields(message.subarray(SIZE_BYTES, SIZE_BYTES + size), 'Dropped')) {
    if (number === 1) dropped.push(readDropped(bytes));
  }
  const { streams } = decodeSelection(message.subarray(SIZE_BYTES + size));
  return {
    streams: streams.map(({ labelText, snapshots }) => ({ labels: parseLabelText(labelText), segments: snapshots })),
    dropped,
  };
};

const readDropped = (message: Uint8Array): DroppedEntry => {
  let timeNs = 0n;
  let labels: readonly string[] = [];
  for (const { number, bytes } of protoFields(message, 'DroppedEntry')) {
    if (number === 1) timeNs = readTime(bytes);
    else if (number === 2) labels = parseLabelText(bytes).pairs;
  }
  return { timeNs, labels };
};
