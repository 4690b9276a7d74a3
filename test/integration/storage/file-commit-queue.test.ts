import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { FileCommitQueue } from '../../../src/storage/file-commit-queue.ts';

/** A thread that answers each group with the sizes of all, and ends when a file is called `end`. */
const THREAD = `import { parentPort } from 'node:worker_threads';
  parentPort.on('message', (changes) => {
    if (changes.some(({ path }) => path === 'end')) process.exit(3);
    parentPort.postMessage(changes.map(() => ({ ok: false, code: 'GROUP', message: String(changes.length) })));
  });`;

describe('the queue of file commits', () => {
  let folder: string;
  let queue: FileCommitQueue;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-queue-'));
    queue = new FileCommitQueue(folder, new URL(`data:text/javascript,${encodeURIComponent(THREAD)}`));
  });

  afterEach(async () => {
    await queue.close();
    await rm(folder, { recursive: true });
  });

  const answers = async (count: number, bytes = 1): Promise<readonly string[]> => {
    const commits = Array.from({ length: count }, (_, index) => queue.commit(`${index}`, Buffer.alloc(bytes)));
    const outcomes = await Promise.allSettled(commits);
    return outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as Error).message : ''));
  };

  it('hands over together what comes together, and at most 64 files', async () => {
    expect(await answers(3)).to.deep.equal(['3', '3', '3']);
    expect(new Set(await answers(100))).to.deep.equal(new Set(['64', '36']));
  });

  it('hands over at most 16 MiB, or a single file', async () => {
    expect(await answers(3, 7 << 20)).to.deep.equal(['2', '2', '1']);
    expect(await answers(2, 17 << 20)).to.deep.equal(['1', '1']);
  });

  it('fails the group whose thread ends, and gives the next one a new thread', async () => {
    const failed = await Promise.allSettled([queue.commit('end', undefined), queue.commit('other', undefined)]);
    for (const outcome of failed) {
      expect(outcome).to.have.nested.property('reason.message', 'the thread that writes chunks ended: exit code 3');
    }
    expect(await answers(1)).to.deep.equal(['1']);
  });
});
