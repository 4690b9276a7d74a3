import { once } from 'node:events';
import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { LogFileError } from '../../../src/log/log-files.ts';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { logFilesContract } from '../../support/log/log-files-contract.ts';

const shared = (text: string): Uint8Array => {
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length + 8), 8);
  bytes.set(Buffer.from(text));
  return bytes;
};

describe('the files of a log on this machine', () => {
  logFilesContract(async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-log-'));
    return { files: new NodeLogFiles(folder), remove: () => rm(folder, { recursive: true, force: true }) };
  });

  describe('when batches in shared memory are written', () => {
    let folder: string;
    let files: NodeLogFiles;

    beforeEach(async () => {
      folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-log-'));
      files = new NodeLogFiles(folder);
    });
    afterEach(async () => {
      await files.close();
      await rm(folder, { recursive: true, force: true });
    });

    it('takes many at once, from more memories than a log has, beside everything else it is asked', async () => {
      const file = await files.open('a.log', 'create');
      const halves = Array.from({ length: 12 }, (_, index) => shared(`${index}`.padStart(4, '.')));
      const texts: string[] = [];
      const work: Promise<unknown>[] = [];
      for (let at = 0; at < 120; at += 1) {
        const half = halves[at % halves.length] as Uint8Array;
        texts.push(Buffer.from(half).toString());
        work.push(file.write(4 * at, half, at % 7 === 0));
        if (at % 5 === 0) work.push(file.datasync());
      }
      await Promise.all(work);
      const into = new Uint8Array(480);
      expect(await file.read(0, into)).to.equal(480);
      expect(Buffer.from(into).toString()).to.equal(texts.join(''));
      await file.close();
    });

    it('writes where no 32 bits reach', async () => {
      const file = await files.open('a.log', 'create');
      const offset = 5_000_000_000;
      await file.write(offset, shared('far away'), false);
      const into = new Uint8Array(8);
      expect(await file.read(offset, into)).to.equal(8);
      expect(Buffer.from(into).toString()).to.equal('far away');
      await file.close();
    });

    it('says why one failed, leaves alone what has the number of its file now, and takes the next', async () => {
      const closed = await files.open('a.log', 'create');
      await closed.close();
      const others = Array.from({ length: 16 }, (_, index) => openSync(path.join(folder, `other-${index}`), 'w+'));
      const error = await closed.write(0, shared('late'), true).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const sizes = others.map((descriptor) => fstatSync(descriptor).size);
      for (const descriptor of others) closeSync(descriptor);
      expect(sizes.filter((size) => size > 0)).to.deep.equal([]);
      expect(error).to.be.instanceOf(LogFileError);
      expect(error).to.include({ step: 'write', code: 'EBADF' });
      const next = await files.open('b.log', 'create');
      await next.write(0, shared('next'), true);
      expect(await next.size()).to.equal(4);
      await next.close();
    });

    it('leaves others alone that got the number of a file whose thread has ended, and goes on in a new one', async () => {
      const started = once(process as NodeJS.EventEmitter, 'worker');
      const orphan = await files.open('a.log', 'create');
      await orphan.write(0, shared('durable'), true);
      const [thread] = (await started) as [Worker];
      await thread.terminate();
      // They get the lowest numbers that are free: that of the orphan is among them.
      const others = Array.from({ length: 16 }, (_, index) => {
        const name = path.join(folder, `other-${index}`);
        writeFileSync(name, 'of somebody else');
        return { name, descriptor: openSync(name, 'r+') };
      });
      try {
        for (const work of [orphan.truncate(3), orphan.write(0, shared('lost'), true), orphan.datasync()]) {
          const error = await work.then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          expect(error).to.be.instanceOf(LogFileError);
          expect(error).to.include({ code: 'EBADF' });
        }
        await orphan.close();
        for (const { name, descriptor } of others) {
          expect(fstatSync(descriptor).isFile(), `${name} is open`).to.equal(true);
          expect(await readFile(name, 'utf8')).to.equal('of somebody else');
        }
      } finally {
        for (const { descriptor } of others) closeSync(descriptor);
      }
      const next = await files.open('b.log', 'create');
      await next.write(0, shared('next'), true);
      expect(await readFile(path.join(folder, 'a.log'), 'utf8')).to.equal('durable');
      await next.close();
    });
  });
});
