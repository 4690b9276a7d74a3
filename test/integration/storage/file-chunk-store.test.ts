import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
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

    it('names files as their keys, with a folder for each slash', async () => {
      await store.put('tenant-a/85ad393dc21324c/187702fedd0:187702fedd0:7299a721', Buffer.from('x'));
      await store.put('tenant-a/85ad393dc21324c:187702fedd0:187702fedd0:7299a721', Buffer.from('y'));
      expect(await readdir(path.join(folder, 'chunks/tenant-a'))).to.have.members([
        '85ad393dc21324c',
        '85ad393dc21324c:187702fedd0:187702fedd0:7299a721',
      ]);
      expect(
        await readFile(path.join(folder, 'chunks/tenant-a/85ad393dc21324c/187702fedd0:187702fedd0:7299a721'), 'utf8'),
      ).to.equal('x');
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
