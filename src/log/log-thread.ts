/** Thread of one log: takes requests one at a time, answers each with what became of it. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { FileStep } from './log-files.ts';
import { type FileRequest, type FileResult, performFileRequest, StepError } from './node-file-steps.ts';
import { SLOT_ID, WriteSlot } from './write-slot.ts';

export interface ThreadData {
  readonly folder: string;
  /** Of its `WriteSlot`. */
  readonly slot: SharedArrayBuffer;
}

export interface ThreadQuestion {
  readonly id: number;
  readonly request: FileRequest;
}

/** Writes of the slot lie in these; they are numbered as they come. */
export interface SharedMemory {
  readonly memory: SharedArrayBuffer;
}

export type ThreadAnswer =
  | { readonly id: number; readonly ok: true; readonly result: FileResult }
  | {
      readonly id: number;
      readonly ok: false;
      readonly step: FileStep;
      readonly code: string;
      readonly message: string;
    };

const { folder, slot: slotMemory } = workerData as ThreadData;
const slot = new WriteSlot(slotMemory);
const memories: SharedArrayBuffer[] = [];

const answer = ({ id, request }: ThreadQuestion): ThreadAnswer => {
  try {
    return { id, ok: true, result: performFileRequest(folder, request) };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    const { step, code, message } = error;
    return { id, ok: false, step, code, message };
  }
};

const takeMessages = (port: MessagePort): void => {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
    const message = next.message as ThreadQuestion | SharedMemory;
    if ('memory' in message) memories.push(message.memory);
    else port.postMessage(answer(message));
  }
};

const takeSlot = (port: MessagePort): void => {
  const write = slot.take();
  if (!write) return;
  const { memory, start, length, handle, offset, isSynced } = write;
  // Sent before the write was posted, maybe after this turn looked for messages.
  if (memories[memory] === undefined) takeMessages(port);
  const shared = memories[memory];
  if (!shared) throw new Error(`the log's thread was not sent memory ${memory}`);
  const bytes = new Uint8Array(shared, start, length);
  const done = answer({ id: SLOT_ID, request: { type: 'write', handle, offset, bytes, isSynced } });
  // Before the slot says so: who hears that it failed waits for why.
  if (!done.ok) port.postMessage(done);
  slot.finish(done.ok);
};

if (!parentPort) throw new Error('runs in a worker thread');
// It never comes back to its event loop: waking that costs more than all the rest.
for (;;) {
  const { rings } = slot;
  takeMessages(parentPort);
  takeSlot(parentPort);
  slot.wait(rings);
}
