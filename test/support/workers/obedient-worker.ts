/** A worker thread that does what its task says, for tests of the pool. */
import { resourceLimits, threadId, workerData } from 'node:worker_threads';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { serveTasks } from '../../../src/workers/worker-main.ts';

export type ObedientTask =
  | { readonly kind: 'thread' }
  | { readonly kind: 'young-generation' }
  /** Runs until the first number is not 0. */
  | { readonly kind: 'hold'; readonly gate: Int32Array }
  | { readonly kind: 'throw' }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'crash' };

/** Where starts are counted, if the pool sends that along: the first one hangs. */
const { starts } = (workerData ?? {}) as { readonly starts?: Int32Array };
if (starts && Atomics.add(starts, 0, 1) === 0) Atomics.wait(starts, 1, 0);

serveTasks((task: ObedientTask) => {
  switch (task.kind) {
    case 'thread':
      return { result: threadId };
    case 'young-generation':
      return { result: resourceLimits.maxYoungGenerationSizeMb };
    case 'hold':
      Atomics.wait(task.gate, 0, 0);
      return { result: threadId };
    case 'throw':
      throw new TypeError('thrown');
    case 'refuse':
      throw new RefusedError({ code: 'INVALID_QUERY', text: 'refused' });
    case 'crash':
      // Outside of the task's promise: nobody in the thread catches it.
      setImmediate(() => {
        throw new Error('crashed');
      });
      return new Promise(() => undefined);
  }
});
