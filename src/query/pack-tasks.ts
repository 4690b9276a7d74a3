import { isLogged, type UnflushedSegment } from '../chunk/memory-format.ts';
import type { PlannedSlice } from './slice-plan.ts';

/** Memory scanned by one task: about 10 ms of inflating. */
const MEMORY_BYTES_MAX = 4 << 20;
/** Open bytes cost no inflating. */
const OPEN_BYTES_SHARE = 8;
const SLICES_MAX = 256;
const CHUNKS_MAX = 4;

/** Chunks a task gets: few where there are few, so that all workers have work; more where there are many, so that messages are few. */
export const chunksPerTask = (chunkCount: number, workers: number): number =>
  Math.max(1, Math.min(CHUNKS_MAX, Math.floor(chunkCount / (8 * workers))));

/** Slices put together into tasks of a few chunks or a few MB of memory, each when it is asked for. */
export function* packTasks(slices: Iterable<PlannedSlice>, chunksMax: number): Generator<PlannedSlice[], void> {
  let task: PlannedSlice[] = [];
  let chunks = 0;
  let bytes = 0;
  for (const slice of slices) {
    const ownBytes = memoryBytes(slice);
    const isFull =
      chunks + slice.refs.length > chunksMax || bytes + ownBytes > MEMORY_BYTES_MAX || task.length >= SLICES_MAX;
    if (task.length > 0 && isFull) {
      yield task;
      task = [];
      chunks = 0;
      bytes = 0;
    }
    task.push(slice);
    chunks += slice.refs.length;
    bytes += ownBytes;
  }
  if (task.length > 0) yield task;
}

const segmentBytes = (segment: UnflushedSegment): number => {
  if (isLogged(segment)) return segment.bytes / OPEN_BYTES_SHARE;
  const compressed = segment.blocks.reduce((sum, block) => sum + block.bytes.length, 0);
  return compressed + segment.heads.reduce((sum, head) => sum + head.byteCount, 0) / OPEN_BYTES_SHARE;
};

/** Compressed and open bytes of the slice's memory. */
export const memoryBytes = ({ memory }: PlannedSlice): number => {
  let bytes = 0;
  for (const { segments } of memory) {
    for (const segment of segments) bytes += segmentBytes(segment);
  }
  return bytes;
};
