/** Which segments that lie in the log share a chunk. Pure. */
import { BLOCKS_PER_CHUNK } from '../chunk/segment-limits.ts';
import type { LoggedPart, LoggedStream } from './logged-segments.ts';
import type { HeldSegment } from './stream-cell.ts';

/** `chunk_block_size` and `chunk_target_size`. */
export interface ChunkSizes {
  readonly blockSize: number;
  readonly targetSize: number;
}

/** Sizes are estimates until the blocks are cut: what was taken for full may turn out this much larger. Chosen. */
const OVERSIZE = 1.25;

/** Chosen: below what a segment may have. */
const PLAIN_BYTES_MAX = 192 << 20;

/** Plain bytes of a full chunk, at so many compressed ones a plain one. */
export const plainTarget = ({ blockSize, targetSize }: ChunkSizes, compressionRatio: number): number =>
  Math.min(PLAIN_BYTES_MAX, targetSize === 0 ? BLOCKS_PER_CHUNK * blockSize : targetSize / compressionRatio);

/** One that could not be read is flushed alone, to hold up nobody. */
const mayShare = (part: LoggedPart, { version, period }: Pick<HeldSegment, 'version' | 'period'>): boolean =>
  part.state === 'waiting' && part.failures === 0 && part.version === version && part.period === period;

/** Those that would go into the chunk of this segment if it were sealed now and had room, oldest first. */
export const sharersOf = (stream: LoggedStream | undefined, held: HeldSegment): readonly LoggedPart[] =>
  stream === undefined || stream.parts.length === 0 ? NONE : stream.parts.filter((part) => mayShare(part, held));

const NONE: readonly LoggedPart[] = [];

export const plainBytesOf = (parts: readonly LoggedPart[]): number =>
  parts.reduce((sum, { plainBytes }) => sum + plainBytes, 0);

/** Those that have room in the chunk of a segment that is sealed, oldest first. */
export const fittingSharers = (
  stream: LoggedStream | undefined,
  held: HeldSegment,
  sizes: ChunkSizes,
): readonly LoggedPart[] => {
  const { segment } = held;
  const target = plainTarget(sizes, segment.compressionRatio);
  const own = sizes.targetSize === 0 ? segment.lineBytes : segment.chunkBytes / segment.compressionRatio;
  let left = OVERSIZE * target - own;
  return sharersOf(stream, held).filter(({ plainBytes }) => {
    if (plainBytes > left) return false;
    left -= plainBytes;
    return true;
  });
};

/** Parts that make a chunk together, in order. The last group of its kind may be short of a chunk. */
export interface PartGroup {
  readonly parts: readonly LoggedPart[];
  readonly isFull: boolean;
}

/** Chunks of segments that no actor takes: in order, of one kind each, up to the target size. */
export const groupsOf = (parts: readonly LoggedPart[], target: number): readonly PartGroup[] => {
  const kinds = new Map<string, LoggedPart[]>();
  for (const part of parts) {
    const kind = `${part.version} ${part.period.fromDay} ${part.failures > 0 ? part.segment.id.counter : ''}`;
    const known = kinds.get(kind);
    if (known) known.push(part);
    else kinds.set(kind, [part]);
  }
  return [...kinds.values()].flatMap((kind) => cutGroups(kind, target));
};

const cutGroups = (parts: readonly LoggedPart[], target: number): readonly PartGroup[] => {
  const groups: PartGroup[] = [];
  let group: LoggedPart[] = [];
  let bytes = 0;
  for (const part of parts) {
    if (group.length > 0 && bytes + part.plainBytes > target) {
      groups.push({ parts: group, isFull: true });
      group = [];
      bytes = 0;
    }
    group.push(part);
    bytes += part.plainBytes;
  }
  if (group.length > 0) groups.push({ parts: group, isFull: bytes >= target });
  return groups;
};
