import { readlinkSync } from 'node:fs';
import os from 'node:os';
import { parentPort } from 'node:worker_threads';
import { RefusedError } from '../protocol/refusal.ts';
import { SharedMemoryPressure } from './shared-memory-pressure.ts';
import type { WorkerAnswer } from './worker-pool.ts';

/** What a handler gives back: the result and the buffers to move instead of copying. */
export interface Handled {
  readonly result: unknown;
  readonly transfer?: readonly ArrayBuffer[];
}

/**
 * The loop of a worker thread: one message of tasks in, done one after the other, one message of answers out.
 * @param sharedBytesOf memory that the task's sender and this thread share
 */
export const serveTasks = <Task>(
  handle: (task: Task) => Handled | Promise<Handled>,
  sharedBytesOf: (task: Task) => number = () => 0,
): void => {
  const pressure = new SharedMemoryPressure();
  const port = parentPort;
  if (!port) throw new Error('serveTasks runs in a worker thread');
  port.on('message', async (tasks: readonly { readonly id: number; readonly task: Task }[]) => {
    const answers: WorkerAnswer[] = [];
    const moved: ArrayBuffer[] = [];
    for (const { id, task } of tasks) {
      try {
        const { result, transfer = [] } = await handle(task);
        answers.push({ id, ok: true, result });
        moved.push(...transfer);
      } catch (error) {
        answers.push(failure(id, error));
      }
      pressure.dropped(sharedBytesOf(task));
    }
    port.postMessage(answers, moved);
  });
  port.postMessage([] satisfies readonly WorkerAnswer[]);
};

const failure = (id: number, error: unknown): WorkerAnswer => {
  const message = error instanceof Error ? error.message : String(error);
  const refused = error instanceof RefusedError ? { refusal: error.refusal } : {};
  return { id, ok: false, message, ...refused };
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
