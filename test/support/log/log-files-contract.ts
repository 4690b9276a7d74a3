import { expect } from 'chai';
import { LogFileError, type LogFiles } from '../../../src/log/log-files.ts';

export interface LogFilesHarness {
  readonly files: LogFiles;
  remove(): Promise<void>;
}

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof LogFileError) return error.code;
    throw error;
  }
  return 'none';
};

const read = async (files: LogFiles, name: string): Promise<string> => {
  const file = await files.open(name, 'read');
  const into = new Uint8Array(await file.size());
  await file.read(0, into);
  await file.close();
  return Buffer.from(into).toString();
};

/** What the log asks of every disk. */
export const logFilesContract = (make: () => Promise<LogFilesHarness>): void => {
  describe('as the files of a log', () => {
    let harness: LogFilesHarness;
    let files: LogFiles;

    beforeEach(async () => {
      harness = await make();
      files = harness.files;
    });

    afterEach(async () => {
      await files.close();
      await harness.remove();
    });

    it('gives back what was written, synced or not, where it was written', async () => {
      const file = await files.open('a.log', 'create');
      await file.write(0, Buffer.from('hello world'), false);
      await file.write(6, Buffer.from('there'), true);
      await file.datasync();
      expect(await file.size()).to.equal(11);
      const into = new Uint8Array(5);
      expect(await file.read(6, into)).to.equal(5);
      expect(Buffer.from(into).toString()).to.equal('there');
      await file.close();
      await files.syncFolder();
      expect(await read(files, 'a.log')).to.equal('hello there');
    });

    it('takes bytes in shared memory, and from the middle of a buffer', async () => {
      const shared = new Uint8Array(new SharedArrayBuffer(10));
      shared.set(Buffer.from('0123456789'));
      const file = await files.open('a.log', 'create');
      await file.write(0, shared.subarray(3, 6), true);
      await file.write(3, new Uint8Array(Buffer.from('abcdef')).subarray(2, 4), true);
      await file.close();
      expect(await read(files, 'a.log')).to.equal('345cd');
    });

    it('reads no more than there is', async () => {
      const file = await files.open('a.log', 'create');
      await file.write(0, Buffer.from('abc'), false);
      expect(await file.read(1, new Uint8Array(10))).to.equal(2);
      expect(await file.read(3, new Uint8Array(10))).to.equal(0);
      expect(await file.read(9, new Uint8Array(10))).to.equal(0);
      await file.close();
    });

    it('cuts a file short and goes on behind', async () => {
      const file = await files.open('a.log', 'create');
      await file.write(0, Buffer.from('abcdef'), true);
      await file.truncate(3);
      await file.write(3, Buffer.from('X'), true);
      await file.close();
      expect(await read(files, 'a.log')).to.equal('abcX');
    });

    it('opens to write what is there without emptying it', async () => {
      const file = await files.open('a.log', 'create');
      await file.write(0, Buffer.from('abc'), true);
      await file.close();
      const again = await files.open('a.log', 'write');
      await again.write(1, Buffer.from('X'), true);
      await again.close();
      expect(await read(files, 'a.log')).to.equal('aXc');
    });

    it('refuses to create what is there, and to open, move or remove what is not', async () => {
      await (await files.open('a.log', 'create')).close();
      expect(await codeOf(files.open('a.log', 'create'))).to.equal('EEXIST');
      expect(await codeOf(files.open('b.log', 'read'))).to.equal('ENOENT');
      expect(await codeOf(files.open('b.log', 'write'))).to.equal('ENOENT');
      expect(await codeOf(files.rename('b.log', 'c.log'))).to.equal('ENOENT');
      expect(await codeOf(files.unlink('b.log'))).to.equal('ENOENT');
    });

    it('writes nothing through a file opened to be read', async () => {
      await (await files.open('a.log', 'create')).close();
      const file = await files.open('a.log', 'read');
      expect(await codeOf(file.write(0, Buffer.from('x'), false))).to.equal('EBADF');
      expect(await codeOf(file.truncate(0))).to.equal('EBADF');
      expect(await codeOf(file.datasync())).to.equal('EBADF');
      await file.close();
    });

    it('lists, moves and removes; an open file can be read after its name is gone', async () => {
      const file = await files.open('a.log', 'create');
      await file.write(0, Buffer.from('abc'), true);
      await file.close();
      await (await files.open('b.log', 'create')).close();
      expect([...(await files.list())].sort()).to.deep.equal(['a.log', 'b.log']);
      await files.rename('a.log', 'c.log');
      const open = await files.open('c.log', 'read');
      await files.unlink('c.log');
      await files.syncFolder();
      expect(await files.list()).to.deep.equal(['b.log']);
      expect(await open.read(0, new Uint8Array(3))).to.equal(3);
      await open.close();
    });

    it('tells how much room there is', async () => {
      const { sizeBytes, freeBytes } = await files.space();
      expect(sizeBytes).to.be.greaterThan(0);
      expect(freeBytes).to.be.within(0, sizeBytes);
    });
  });
};
