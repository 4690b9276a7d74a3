import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { startNode } from '../../../src/node.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { FolderLock } from '../../../src/storage/folder-lock.ts';
import { sharedWorkers, testConfig } from '../../support/cluster.ts';

const refusalOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof RefusedError) return `${error.refusal.code}: ${error.refusal.text}`;
    throw error;
  }
  return 'none';
};

const LISTENER = `const net = require('node:net');
net.createServer().listen(process.argv[1], () => process.stdout.write('up'));`;

describe('the lock of a data folder', function () {
  this.timeout(20_000);
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-lock-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is had by one at a time, and by the next once it is released', async () => {
    const first = await FolderLock.take(folder);
    const inUse = `STORAGE_UNAVAILABLE: the data folder ${folder} is in use by another ringlog node`;
    expect(await refusalOf(FolderLock.take(folder))).to.equal(inUse);
    await first.release();
    const second = await FolderLock.take(folder);
    await second.release();
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('is taken from a process that was killed, not from one that lives', async () => {
    const other = spawn(process.execPath, ['-e', LISTENER, path.join(folder, 'lock')]);
    await once(other.stdout, 'data');
    expect(await refusalOf(FolderLock.take(folder))).to.match(/in use by another/);
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(await readdir(folder)).to.deep.equal(['lock']);
    const lock = await FolderLock.take(folder);
    expect(await refusalOf(FolderLock.take(folder))).to.match(/in use by another/);
    await lock.release();
  });

  it('is had by one of several that take it at once from a dead process', async () => {
    const other = spawn(process.execPath, ['-e', LISTENER, path.join(folder, 'lock')]);
    await once(other.stdout, 'data');
    other.kill('SIGKILL');
    await once(other, 'exit');
    const taken = await Promise.allSettled(Array.from({ length: 5 }, () => FolderLock.take(folder)));
    const locks = taken.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(locks.length).to.be.at.most(1);
    for (const lock of locks) await lock.release();
    await (await FolderLock.take(folder)).release();
  });

  it('works in folders whose path is longer than an address', async () => {
    const deep = path.join(folder, 'd'.repeat(120));
    await mkdir(deep);
    const lock = await FolderLock.take(deep);
    expect(await refusalOf(FolderLock.take(deep))).to.match(/in use by another/);
    await lock.release();
  });

  it('keeps a second node out of the folder of the first, until that has stopped', async () => {
    const config = testConfig({ data_dir: folder });
    const first = await startNode(config, { workers: sharedWorkers() });
    expect(await refusalOf(startNode(config, { workers: sharedWorkers() }))).to.match(
      /in use by another ringlog node$/,
    );
    await first.stop();
    const second = await startNode(config, { workers: sharedWorkers() });
    await second.stop();
  });

  it('says what is wrong with a folder that cannot be made', async () => {
    const config = testConfig({ data_dir: '/dev/null/data' });
    expect(await refusalOf(startNode(config, { workers: sharedWorkers() }))).to.match(
      /^STORAGE_UNAVAILABLE: cannot make the data folder \/dev\/null\/data: /,
    );
  });
});
