import { HeadBlock } from './head-block.ts';
import type { HeadMemorySource } from './head-memory.ts';
import { lineLengthAt, lineStartAt } from './line-bounds.ts';

/** What a full head needed, or less: the next one of the stream gets as much at once, so that it seldom has to grow (and copy). */
export interface HeadRoom {
  readonly entries: number;
  readonly bytes: number;
}

const FIRST_CAPACITY_MAX = 4096;

/** A tenth more than this head held. */
export const roomFor = (head: HeadBlock): HeadRoom => ({
  entries: Math.ceil(head.count * 1.1),
  bytes: Math.ceil(head.byteCount * 1.1),
});

/** The room, or what the head held if that is less. */
export const lesserRoom = (room: HeadRoom | undefined, head: HeadBlock | undefined): HeadRoom | undefined => {
  if (!room || !head) return room;
  const held = roomFor(head);
  return held.bytes < room.bytes ? held : room;
};

/** Room for what comes now, or for what the full head before it held: a stream that gets one short line holds little more than it. */
export const newHead = (
  memory: HeadMemorySource,
  room: HeadRoom | undefined,
  bytes: Uint8Array,
  lineOffsets: Uint32Array,
  first: number,
  end: number,
): HeadBlock => {
  const last = lineOffsets[end - 1]!;
  const size = lineStartAt(bytes, last) + lineLengthAt(bytes, last) - lineOffsets[first]!;
  const entries = Math.max(Math.min(end - first, FIRST_CAPACITY_MAX), room?.entries ?? 0);
  return new HeadBlock(entries, Math.max(size, room?.bytes ?? 0), memory);
};
