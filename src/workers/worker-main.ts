import { readlinkSync } from 'node:fs';
import os from 'node:os';
import { parentPort } from 'node:worker_threads';
import { RefusedError } from '../protocol/refusal.ts';
import type { WorkerAnswer } from './worker-pool.ts';

/** What a handler gives back: the result and the buffers to move instead of copying. */
export interface Handled {
  readonly result: unknown;
  readonly transfer?: readonly ArrayBuffer[];
}

/** The loop of a worker thread: one task in, one answer out. */
export const serveTasks = (handle: (task: never) => Handled | Promise<Handled>): void => {
  const port = parentPort;
  if (!port) throw new Error('serveTasks runs in a worker thread');
  port.on('message', async ({ id, task }: { id: number; task: never }) => {
    try {
      const { result, transfer } = await handle(task);
      port.postMessage({ id, ok: true, result } satisfies WorkerAnswer, [...(transfer ?? [])]);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const refused = error instanceof RefusedError ? { refusal: error.refusal } : {};
      port.postMessage({ id, ok: false, message, ...refused } satisfies WorkerAnswer);
    }
  });
};

/**
 * Gives this thread a lower priority, so that queries cannot starve pushes on a busy machine. Linux takes a thread id where setpriority
 * says process; elsewhere, or without permission, the thread stays as it is.
 */
export const lowerThreadPriority = (niceness: number): boolean => {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').pop());
    os.setPriority(threadId, niceness);
    return true;
  } catch {
    return false;
  }
};
