/**
 * Snapshots of segments as bytes, for nodes that ask each other what is not flushed yet.
 *
 *   header size u32 │ Snapshots (src/protocol/ringlog.proto) │ zeros to a multiple of 8 │ parts, each padded to a multiple of 8
 *
 *   part of a block:  minTime i64 │ maxTime i64 │ compressed bytes
 *   part of a head:   minTime i64 │ maxTime i64 │ times i64[count] │ offsets u32[count] │ bytes │ metadata refs u32[] │ ends u32[]
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { WireWriter } from '../protocol/logproto.ts';
import { protoFields } from '../protocol/proto-fields.ts';
import { badRequest } from '../protocol/wire.ts';
import { BLOCK_ENCODINGS, type BlockEncoding } from './block-encoding.ts';
import { headBytes, headLineOffsets, headTimes } from './head-views.ts';
import type { BlockData, HeadSnapshot, SegmentId, SegmentSnapshot } from './memory-format.ts';

const SIZE_BYTES = 4;
const BOUNDS_BYTES = 16;
const WORD_BYTES = 4;
const HEAD_ENTRY_BYTES = 12;

const padded = (size: number): number => (size + 7) & ~7;

/** Bytes that `encodeSnapshots` will take for it, but for the header. */
export const snapshotSize = ({ blocks, heads }: SegmentSnapshot): number =>
  blocks.reduce((sum, block) => sum + blockSize(block), 0) + heads.reduce((sum, head) => sum + headSize(head), 0);

const blockSize = ({ bytes }: BlockData): number => padded(BOUNDS_BYTES + bytes.length);

const headSize = ({ count, byteCount, metadataRefs, metadataEnds }: HeadSnapshot): number =>
  padded(
    BOUNDS_BYTES +
      HEAD_ENTRY_BYTES * count +
      padWords(byteCount) +
      WORD_BYTES * (refsOf(metadataRefs, metadataEnds, count) + (metadataRefs ? count : 0)),
  );

const padWords = (size: number): number => (size + 3) & ~3;

/** Used numbers of metadata: the columns have room for more. */
const refsOf = (refs: Uint32Array | undefined, ends: Uint32Array | undefined, count: number): number =>
  refs && ends && count > 0 ? (ends[count - 1] ?? 0) : 0;

export const encodeSnapshots = (snapshots: readonly SegmentSnapshot[]): Uint8Array => {
  const writer = new WireWriter();
  for (const snapshot of snapshots) writer.message(1, () => writeSegment(writer, snapshot));
  const header = writer.finish();
  const partsAt = padded(SIZE_BYTES + header.length);
  const bytes = new Uint8Array(snapshots.reduce((sum, snapshot) => sum + snapshotSize(snapshot), partsAt));
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(header, SIZE_BYTES);
  let at = partsAt;
  for (const { blocks, heads } of snapshots) {
    for (const block of blocks) {
      writeBounds(bytes, at, block);
      bytes.set(block.bytes, at + BOUNDS_BYTES);
      at += blockSize(block);
    }
    for (const head of heads) {
      writeHead(bytes, at, head);
      at += headSize(head);
    }
  }
  return bytes;
};

const writeSegment = (writer: WireWriter, { id, symbols, blocks, heads }: SegmentSnapshot): void => {
  writer.bytes(1, id.nodeId);
  writer.integer(2, BigInt(id.incarnation));
  writer.integer(3, BigInt(id.counter));
  for (const symbol of symbols) writer.bytes(4, bytesOfText(symbol));
  for (const block of blocks) {
    writer.message(5, () => {
      writer.integer(1, BigInt(block.bytes.length));
      writer.integer(2, BigInt(BLOCK_ENCODINGS.indexOf(block.encoding)));
      writer.integer(3, BigInt(block.checksum));
      writer.integer(4, BigInt(block.count));
      writer.integer(5, BigInt(block.uncompressedSize));
      writer.integer(6, block.hasMetadataSections ? 1n : 0n);
      if (block.skipFilter) writer.bytes(7, block.skipFilter);
    });
  }
  for (const head of heads) {
    writer.message(6, () => {
      writer.integer(1, BigInt(head.count));
      writer.integer(2, BigInt(head.byteCount));
      writer.integer(3, BigInt(head.lineBytes));
      writer.integer(4, head.isSorted ? 1n : 0n);
      writer.integer(5, head.metadataRefs ? 1n : 0n);
      writer.integer(6, BigInt(refsOf(head.metadataRefs, head.metadataEnds, head.count)));
    });
  }
};

const writeBounds = (bytes: Uint8Array, at: number, { minTime, maxTime }: BlockData | HeadSnapshot): void => {
  const view = new DataView(bytes.buffer, at);
  view.setBigInt64(0, minTime, true);
  view.setBigInt64(8, maxTime, true);
};

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const writeHead = (bytes: Uint8Array, at: number, head: HeadSnapshot): void => {
  const { count, byteCount, metadataRefs, metadataEnds } = head;
  writeBounds(bytes, at, head);
  let to = at + BOUNDS_BYTES;
  bytes.set(bytesOf(headTimes(head)), to);
  to += 8 * count;
  bytes.set(bytesOf(headLineOffsets(head)), to);
  to += WORD_BYTES * count;
  bytes.set(headBytes(head), to);
  to += padWords(byteCount);
  if (!metadataRefs || !metadataEnds) return;
  const refs = metadataRefs.subarray(0, refsOf(metadataRefs, metadataEnds, count));
  bytes.set(bytesOf(refs), to);
  bytes.set(bytesOf(metadataEnds.subarray(0, count)), to + refs.byteLength);
};

/** The snapshots lie in one piece of shared memory of their own, so that workers scan them without a copy. @throws RefusedError BAD_REQUEST */
export const decodeSnapshots = (message: Uint8Array): readonly SegmentSnapshot[] => {
  if (message.length < SIZE_BYTES) throw cutOff();
  const headerSize = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  const partsAt = padded(SIZE_BYTES + headerSize);
  if (SIZE_BYTES + headerSize > message.length) throw cutOff();
  const shared = new SharedArrayBuffer(Math.max(0, padded(message.length) - partsAt));
  if (message.length > partsAt) new Uint8Array(shared).set(message.subarray(partsAt));
  const parts = new Parts(shared);
  const snapshots: SegmentSnapshot[] = [];
  for (const { number, bytes } of protoFields(message.subarray(SIZE_BYTES, SIZE_BYTES + headerSize), 'Snapshots')) {
    if (number === 1) snapshots.push(readSegment(bytes, parts));
  }
  return snapshots;
};

const cutOff = () => badRequest('Snapshots: cut off');

/** The parts in order. */
class Parts {
  readonly buffer: SharedArrayBuffer;
  #at = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
  }

  take(size: number): number {
    const at = this.#at;
    this.#at += padded(size);
    if (at + size > this.buffer.byteLength) throw cutOff();
    return at;
  }

  bounds(at: number): { readonly minTime: bigint; readonly maxTime: bigint } {
    const view = new DataView(this.buffer, at);
    return { minTime: view.getBigInt64(0, true), maxTime: view.getBigInt64(8, true) };
  }
}

const readSegment = (bytes: Uint8Array, parts: Parts): SegmentSnapshot => {
  const id: { -readonly [Field in keyof SegmentId]: SegmentId[Field] } = { nodeId: '', incarnation: 0, counter: 0 };
  const symbols: string[] = [];
  const blocks: BlockData[] = [];
  const heads: HeadSnapshot[] = [];
  for (const { number, value, bytes: field } of protoFields(bytes, 'Segment')) {
    if (number === 1) id.nodeId = textOfBytes(field);
    else if (number === 2) id.incarnation = value;
    else if (number === 3) id.counter = value;
    else if (number === 4) symbols.push(textOfBytes(field));
    else if (number === 5) blocks.push(readBlock(field, parts));
    else if (number === 6) heads.push(readHead(field, parts));
  }
  return { id, symbols, blocks, heads };
};

const numbersOf = (bytes: Uint8Array, message: string): ((field: number) => number) => {
  const numbers = new Map<number, number>();
  for (const { number, value } of protoFields(bytes, message)) numbers.set(number, value);
  return (field) => numbers.get(field) ?? 0;
};

const readBlock = (bytes: Uint8Array, parts: Parts): BlockData => {
  const of = numbersOf(bytes, 'Block');
  const size = of(1);
  const at = parts.take(BOUNDS_BYTES + size);
  const encoding: BlockEncoding | undefined = BLOCK_ENCODINGS[of(2)];
  if (!encoding) throw badRequest(`Block: unknown encoding ${of(2)}`);
  return {
    bytes: new Uint8Array(parts.buffer, at + BOUNDS_BYTES, size),
    encoding,
    checksum: of(3),
    count: of(4),
    uncompressedSize: of(5),
    hasMetadataSections: of(6) === 1,
    skipFilter: skipFilterIn(bytes),
    ...parts.bounds(at),
  };
};

/** A copy: nodes of before have none, and skip the field. */
const skipFilterIn = (block: Uint8Array): Uint8Array | undefined => {
  for (const { number, bytes } of protoFields(block, 'Block')) if (number === 7) return new Uint8Array(bytes);
  return undefined;
};

const readHead = (bytes: Uint8Array, parts: Parts): HeadSnapshot => {
  const of = numbersOf(bytes, 'Head');
  const [count, byteCount, refCount] = [of(1), of(2), of(6)];
  const hasMetadata = of(5) === 1;
  const columns = HEAD_ENTRY_BYTES * count + padWords(byteCount);
  const at = parts.take(BOUNDS_BYTES + columns + WORD_BYTES * (refCount + (hasMetadata ? count : 0)));
  const offset = at + BOUNDS_BYTES;
  const refsAt = offset + columns;
  return {
    region: { buffer: parts.buffer, offset, size: HEAD_ENTRY_BYTES * count + byteCount },
    capacity: count,
    count,
    byteCount,
    lineBytes: of(3),
    isSorted: of(4) === 1,
    metadataRefs: hasMetadata ? new Uint32Array(parts.buffer, refsAt, refCount) : undefined,
    metadataEnds: hasMetadata ? new Uint32Array(parts.buffer, refsAt + WORD_BYTES * refCount, count) : undefined,
    ...parts.bounds(at),
  };
};
