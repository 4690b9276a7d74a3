import type { Transferable } from 'node:worker_threads';
import type { ScanPool } from '../../../src/query/query-context.ts';
import type { ScanResult, ScanTask } from '../../../src/query/scan/scan-messages.ts';
import { ScanRunner } from '../../../src/query/scan/scan-runner.ts';

/** Scans in this thread, with everything copied or moved as it would be on the way to a worker and back. */
export const inThreadPool = (size = 2): ScanPool & { readonly tasks: ScanTask[] } => {
  const runner = new ScanRunner();
  const tasks: ScanTask[] = [];
  return {
    size,
    tasks,
    run: async (task: ScanTask, transfer: readonly Transferable[] = []): Promise<ScanResult> => {
      const arrived = structuredClone(task, { transfer: [...transfer] as ArrayBuffer[] });
      tasks.push(arrived);
      const { result, transfer: moved = [] } = await runner.run(arrived);
      return structuredClone(result as ScanResult, { transfer: [...moved] });
    },
  };
};
