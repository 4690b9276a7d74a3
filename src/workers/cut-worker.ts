/** Worker thread of the write path: compresses heads, makes blocks valid for a chunk, encodes chunk objects. Keeps zlib off the event loop and off libuv's pool. */
import { prepareCodec } from '../chunk/block-codec.ts';
import { type ChunkInput, encodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import { type BlockForm, cutBlock } from '../chunk/cut-block.ts';
import type { HeadSnapshot } from '../chunk/memory-format.ts';
import { rebuildBlocks } from '../chunk/rebuild-blocks.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type RewriteTask, type RewrittenChunk, rewriteChunk } from '../query/scan/rewrite-chunk.ts';
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

/** Answer to a RewriteTask: a RewrittenChunk. */
export type CutWorkerTask = CutTask | ChunkTask | RewriteTask;

/** Plain bytes that one rebuild may hold: a chunk of the default target size has about 15 MB. */
const REBUILD_BYTES_MAX = 512 << 20;

const handle = async (task: CutWorkerTask): Promise<Handled> => {
  switch (task.kind) {
    case 'cut':
      await prepareCodec(task.encoding);
      return { result: cutBlock(task.head, task) };
    case 'rewrite': {
      const result = await rewritten(task);
      return { result, transfer: result.outcome === 'rewritten' ? [result.chunk.bytes.buffer] : [] };
    }
    case 'chunk': {
      await prepareCodec(task.encoding);
      const form = { ...task, withMetadataSections: task.version === 4, maxBytes: REBUILD_BYTES_MAX };
      const chunk = encodeChunk({ ...task, blocks: rebuildBlocks(task.blocks, form) });
      return { result: chunk, transfer: [chunk.bytes.buffer] };
    }
  }
};

/** @throws RefusedError INTERNAL: unlike other errors it is told from a thread that failed */
const rewritten = async (task: RewriteTask): Promise<RewrittenChunk> => {
  try {
    return await rewriteChunk(task);
  } catch (cause) {
    if (!(cause instanceof CorruptChunkError)) throw cause;
    throw new RefusedError({ code: 'INTERNAL', text: cause.message }, { cause });
  }
};

const sharedBytesOf = (task: CutWorkerTask): number => {
  switch (task.kind) {
    case 'cut':
      return task.head.region.size;
    case 'chunk':
      return task.blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    case 'rewrite':
      return 0;
  }
};

/** Pushes are answered by another thread: on busy cores it goes first, a third of the share is left here. Scans have 10. */
const NICENESS = 5;

lowerThreadPriority(NICENESS);
serveTasks(handle, sharedBytesOf);
