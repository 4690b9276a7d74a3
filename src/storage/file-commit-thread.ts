/** Thread that owns what is written below a folder: takes a group of changes, answers with what became of each. */
import { parentPort, workerData } from 'node:worker_threads';
import { type FileChange, FileCommitter } from './file-commit.ts';

if (!parentPort) throw new Error('runs in a worker thread');
const port = parentPort;
const committer = new FileCommitter(String(workerData));

port.on('message', async (changes: readonly FileChange[]) => port.postMessage(await committer.commit(changes)));
