import { isLogged, type UnflushedSegment } from '../chunk/memory-format.ts';
import type { PlannedSlice } from './slice-plan.ts';

/** Memory scanned by one task: about 10 ms of inflating. */
const MEMORY_BYTES_MAX = 4 << 20;
/** Open bytes cost no inflating. */
const OPEN_BYTES_SHARE = 8;
const SLICES_MAX = 256;
/** Read whole: 5 to 40 ms of scanning each. */
const CHUNKS_MAX = 4;
/** Of files whose filters will rule out most blocks: tens of microseconds each, if they do. */
const ENDS_MAX = 8;
/** A task is no more than a third of a worker's share of what is left: with 8 a query of 38 chunks over two nodes was 34 tasks, whose messages took a tenth of the time. */
const TASKS_LEFT_PER_WORKER = 3;

/**
 * Chunks that the next task gets: more where many are left, so that messages are few; one at a time towards the end, so that all workers, of
 * whatever node, are done at about the same time.
 */
export class TaskSize {
  readonly #perTaskMax: number;
  readonly #workers: number;
  #left: number;

  /** @param workers of all nodes @param readsEnds as of `LogReads` */
  constructor(chunkCount: number, workers: number, readsEnds: boolean) {
    this.#left = chunkCount;
    this.#workers = workers;
    this.#perTaskMax = readsEnds ? ENDS_MAX : CHUNKS_MAX;
  }

  get chunksMax(): number {
    const share = Math.floor(this.#left / (TASKS_LEFT_PER_WORKER * this.#workers));
    return Math.max(1, Math.min(this.#perTaskMax, share));
  }

  took(chunkCount: number): void {
    this.#left -= chunkCount;
  }
}

/** Slices put together into tasks of a few chunks or a few MB of memory, each when it is asked for. */
export function* packTasks(slices: Iterable<PlannedSlice>, size: TaskSize): Generator<PlannedSlice[], void> {
  let task: PlannedSlice[] = [];
  let chunks = 0;
  let bytes = 0;
  for (const slice of slices) {
    const ownBytes = memoryBytes(slice);
    const isFull =
      chunks + slice.refs.length > size.chunksMax || bytes + ownBytes > MEMORY_BYTES_MAX || task.length >= SLICES_MAX;
    if (task.length > 0 && isFull) {
      size.took(chunks);
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
