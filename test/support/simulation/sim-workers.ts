import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import type { NodeWorkers } from '../../../src/node-workers.ts';
import { rewriteChunk } from '../../../src/query/scan/rewrite-chunk.ts';
import type { ScanTask } from '../../../src/query/scan/scan-messages.ts';
import { ScanRunner } from '../../../src/query/scan/scan-runner.ts';
import type { CutWorkerTask } from '../../../src/workers/cut-worker.ts';
import { plainCopy } from '../plain-copy.ts';

const runner = new ScanRunner();

const cut = async (task: CutWorkerTask): Promise<unknown> => {
  if (task.kind === 'rewrite') return await rewriteChunk(task);
  if (task.kind === 'cut') return cutBlock(task.head, task);
  const form = { ...task, withMetadataSections: task.version === 4, maxBytes: 64 << 20 };
  return encodeChunk({ ...task, blocks: rebuildBlocks(task.blocks, form) });
};

/** What worker threads do, at once and in this thread. */
export const inlineWorkers = (): NodeWorkers =>
  ({
    cut: { size: 1, run: cut, close: async () => undefined },
    // Copies, as a thread would get and send them.
    scan: {
      size: 1,
      run: async (task: ScanTask) => plainCopy((await runner.run(plainCopy(task))).result),
      close: async () => undefined,
    },
  }) as unknown as NodeWorkers;
