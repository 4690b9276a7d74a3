/** Thread of one log: takes requests one at a time, answers each with what became of it. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FileStep } from './log-files.ts';
import { type FileRequest, type FileResult, performFileRequest, StepError } from './node-file-steps.ts';

export interface ThreadQuestion {
  readonly id: number;
  readonly request: FileRequest;
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

const answer = ({ id, request }: ThreadQuestion): ThreadAnswer => {
  try {
    return { id, ok: true, result: performFileRequest(String(workerData), request) };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    const { step, code, message } = error;
    return { id, ok: false, step, code, message };
  }
};

if (!parentPort) throw new Error('runs in a worker thread');
const port = parentPort;
port.on('message', (question: ThreadQuestion) => port.postMessage(answer(question)));
