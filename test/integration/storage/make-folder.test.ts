import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { makeFolder } from '../../../src/storage/make-folder.ts';

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );

describe('making a folder', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'ringlog-folder-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  it('makes those above it too, and is content with one that is there', async () => {
    const folder = path.join(root, 'a/b/c');
    await makeFolder(folder);
    await makeFolder(folder);
    expect((await stat(folder)).isDirectory()).to.equal(true);
  });

  it('fails where a file is in the way', async () => {
    await writeFile(path.join(root, 'file'), '');
    expect(await codeOf(makeFolder(path.join(root, 'file')))).to.equal('EEXIST');
    expect(await codeOf(makeFolder(path.join(root, 'file/below')))).to.equal('ENOTDIR');
  });

  it('fails, and does not try for ever, where the parent takes no folders', async function () {
    if (process.platform !== 'linux') this.skip();
    expect(await codeOf(makeFolder('/proc/ringlog'))).to.equal('ENOENT');
    expect(await codeOf(makeFolder('/proc/ringlog/below'))).to.equal('ENOENT');
  });
});
