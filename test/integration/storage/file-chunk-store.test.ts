import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';
import { chunkStoreContract } from '../../support/stores/chunk-store-contract.ts';

const newFolder = (): Promise<string> => mkdtemp(path.join(os.tmpdir(), 'ringlog-chunks-'));

describe('the file chunk store', () => {
  chunkStoreContract(async () => {
    const folder = await newFolder();
    return {
      open: () => FileChunkStore.open(path.join(folder, 'chunks')),
      remove: () => rm(folder, { recursive: true }),
    };
  });

  describe('on disk', () => {
    let folder: string;
    let store: FileChunkStore;

    beforeEach(async () => {
      folder = await newFolder();
      store = await FileChunkStore.open(path.join(folder, 'chunks'));
    });

    afterEach(async () => {
      await store.close();
      await rm(folder, { recursive: true });
    });

    const refusal = async (work: Promise<unknown>): Promise<RefusedError> => {
      const error = await work.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(RefusedError);
      return error as RefusedError;
    };

    it('keeps what was written at about the same time in one folder, under names that show the keys', async () => {
      await store.put('tenant-a/85ad393dc21324c/187702fedd0:187702fedd0:7299a721', Buffer.from('x'));
      await store.put('tenant-a/85ad393dc21324c:187702fedd0:187702fedd0:7299a721', Buffer.from('y'));
      await store.put('tenant-a/f/187702fedd1:187702fedd1:1', Buffer.from('z'));
      expect(await readdir(path.join(folder, 'chunks/tenant-a'))).to.deep.equal(['18770']);
      expect(await readdir(path.join(folder, 'chunks/tenant-a/18770'))).to.have.members([
        '85ad393dc21324c,187702fedd0:187702fedd0:7299a721',
        '85ad393dc21324c:187702fedd0:187702fedd0:7299a721',
        'f,187702fedd1:187702fedd1:1',
      ]);
    });

    it('writes nothing beside its folder', async () => {
      for (const key of ['../../b', '/c', 'x/../../d', '././e']) await store.put(key, Buffer.from('x'));
      expect(await readdir(folder)).to.deep.equal(['chunks']);
    });

    it('leaves no unfinished file, and drops those of an interrupted put when it opens', async () => {
      const temporary = path.join(folder, 'chunks/.tmp');
      await store.put('t/1/1:2:3', Buffer.from('x'));
      expect(await readdir(temporary)).to.deep.equal([]);
      await writeFile(path.join(temporary, 'torn'), 'half of');
      const keys: string[] = [];
      for await (const key of store.list('')) keys.push(key);
      expect(keys).to.deep.equal(['t/1/1:2:3']);
      await store.close();
      store = await FileChunkStore.open(path.join(folder, 'chunks'));
      expect(await readdir(temporary)).to.deep.equal([]);
    });

    it('keeps every acknowledged chunk, and none but whole ones, when the process is killed', async function () {
      this.timeout(30_000);
      await store.close();
      for (const run of ['a', 'b']) {
        const acknowledged = await killedWhileWriting(path.join(folder, 'chunks'), run, 150);
        store = await FileChunkStore.open(path.join(folder, 'chunks'));
        const found = new Set<string>();
        for await (const key of store.list('')) {
          found.add(key);
          expect(Buffer.from((await store.get(key)) ?? []).toString()).to.equal(key.padEnd(20_000, '.'));
        }
        expect(acknowledged.filter((key) => !found.has(key))).to.deep.equal([]);
        expect(await readdir(path.join(folder, 'chunks/.tmp'))).to.deep.equal([]);
        await store.close();
      }
    });

    it('refuses more than can wait, and stores the others', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10_010 }, (_, index) => store.delete(`t/1/1:2:${index.toString(16)}`)),
      );
      const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
      expect(refused.map((reason) => (reason as RefusedError).refusal.code)).to.deep.equal(
        Array(10).fill('OVERLOADED'),
      );
    });

    it('removes folders that a delete left empty', async () => {
      await store.put('t/1/1:2:3', Buffer.from('x'));
      await store.put('u/1/1:2:3', Buffer.from('x'));
      await store.delete('t/1/1:2:3');
      expect(await readdir(path.join(folder, 'chunks'))).to.have.members(['.tmp', 'u']);
    });

    it('refuses with STORAGE_UNAVAILABLE and the cause when the disk fails', async () => {
      await rm(path.join(folder, 'chunks/.tmp'), { recursive: true });
      const error = await refusal(store.put('t/1/1:2:3', Buffer.from('x')));
      expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
      expect(error.cause).to.have.property('code', 'ENOENT');
    });

    it('names the chunk that cannot be read', async () => {
      const [key, file] = ['t/1/1:2:3', store.fileOf('t/1/1:2:3')];
      await mkdir(path.dirname(file), { recursive: true });
      await symlink(file, file);
      for (const reading of [store.get(key), store.getRange(key, { start: 0, end: 1 })]) {
        const { refusal: refused } = await refusal(reading);
        expect(refused).to.deep.include({ code: 'STORAGE_UNAVAILABLE' });
        expect(refused)
          .to.have.property('text')
          .that.matches(/^cannot read chunk t\/1\/1:2:3: ELOOP/);
      }
    });

    it('leaves nothing behind when a put fails half-way', async () => {
      await writeFile(path.join(folder, 'chunks/t'), 'a file where a folder must be');
      const error = await refusal(store.put('t/1/1:2:3', Buffer.from('x')));
      expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
      expect(await readdir(path.join(folder, 'chunks/.tmp'))).to.deep.equal([]);
    });

    it('refuses keys that are empty or beyond 1 KiB', async () => {
      expect((await refusal(store.put('', Buffer.from('x')))).refusal.code).to.equal('BAD_REQUEST');
      expect((await refusal(store.get('k'.repeat(1_025)))).refusal.code).to.equal('BAD_REQUEST');
    });

    it('refuses everything once closed', async () => {
      await store.close();
      expect((await refusal(store.put('t/1/1:2:3', Buffer.from('x')))).refusal.code).to.equal('STORAGE_UNAVAILABLE');
    });
  });
});

const WRITER = fileURLToPath(new URL('../../support/stores/chunk-writer-process.ts', import.meta.url));

/** The keys that were acknowledged, at least so many, before the process was killed in the middle of its work. */
const killedWhileWriting = async (folder: string, run: string, atLeast: number): Promise<readonly string[]> => {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, folder, run], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  let output = '';
  for await (const part of child.stdout.setEncoding('utf8')) {
    output += part;
    if (output.split('\n').length > atLeast) child.kill('SIGKILL');
  }
  await exit;
  return output.split('\n').slice(0, -1);
};
