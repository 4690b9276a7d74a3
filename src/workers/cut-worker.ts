/** Worker thread of the write path: compresses heads, makes blocks valid for a chunk, encodes chunk objects. Keeps zlib off the event loop and off libuv's pool. */
import { prepareCodec } from '../chunk/block-codec.ts';
import { type ChunkInput, encodeChunk } from '../chunk/chunk-object.ts';
import { type BlockForm, cutBlock } from '../chunk/cut-block.ts';
import type { HeadSnapshot } from '../chunk/memory-format.ts';
import { rebuildBlocks } from '../chunk/rebuild-blocks.ts';
import { type Handled, lowerThreadPriority, serveTasks } from './worker-main.ts';

/** Answer: the block, its bytes over a SharedArrayBuffer. */
export interface CutTask extends BlockForm {
  readonly kind: 'cut';
  readonly head: HeadSnapshot;
}

/** Answer: the chunk object, its buffer transferred. Overlapping blocks are rebuilt first. */
export interface ChunkTask extends ChunkInput {
  readonly kind: 'chunk';
  readonly level?: number;
  readonly blockSize: number;
  /** See RebuildOptions. */
  readonly joint?: number;
}

export type CutWorkerTask = CutTask | ChunkTask;

/** Plain bytes that one rebuild may hold: a chunk of the default target size has about 15 MB. */
const REBUILD_BYTES_MAX = 512 << 20;

const handle = async (task: CutWorkerTask): Promise<Handled> => {
  await prepareCodec(task.encoding);
  switch (task.kind) {
    case 'cut':
      return { result: cutBlock(task.head, task) };
    case 'chunk': {
      const form = { ...task, withMetadataSections: task.version === 4, maxBytes: REBUILD_BYTES_MAX };
      const chunk = encodeChunk({ ...task, blocks: rebuildBlocks(task.blocks, form) });
      return { result: chunk, transfer: [chunk.bytes.buffer] };
    }
  }
};

const sharedBytesOf = (task: CutWorkerTask): number =>
  task.kind === 'cut' ? task.head.region.size : task.blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);

/** Pushes are answered by another thread: on busy cores it goes first, a third of the share is left here. Scans have 10. */
const NICENESS = 5;

lowerThreadPriority(NICENESS);
serveTasks(handle, sharedBytesOf);
