import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { open } from 'lmdb';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { IndexStore } from '../../../src/storage/index-store.ts';
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { indexStoreContract } from '../../support/stores/index-store-contract.ts';
import { readRow } from '../../support/stores/read-row.ts';

const newFolder = (): Promise<string> => mkdtemp(path.join(os.tmpdir(), 'ringlog-index-'));
const openStore = (folder: string, isShared = false): Promise<LmdbIndexStore> =>
  LmdbIndexStore.open({ path: path.join(folder, 'index'), clock: systemClock, isShared });

describe('the LMDB index store', () => {
  indexStoreContract(async () => {
    const folder = await newFolder();
    return { open: () => openStore(folder), remove: () => rm(folder, { recursive: true }) };
  });

  describe('shared by several processes', () => {
    let folder: string;
    const COMMITTER = fileURLToPath(new URL('../../support/stores/index-committer-process.ts', import.meta.url));
    const committerOf = (...args: readonly (string | number)[]): readonly string[] =>
      ['--import', 'tsx', COMMITTER, path.join(folder, 'index'), ...args].map(String);

    beforeEach(async () => {
      folder = await newFolder();
    });

    afterEach(async () => {
      await rm(folder, { recursive: true });
    });

    indexStoreContract(async () => {
      const own = await newFolder();
      return { open: () => openStore(own, true), remove: () => rm(own, { recursive: true }) };
    });

    it('commits a segment once, whoever is first', async function () {
      this.timeout(60_000);
      const count = 2_000;
      await (await openStore(folder, true)).close();
      const beginMs = Date.now() + 3_000;
      const wonBy = async (name: string): Promise<readonly string[]> => {
        const child = spawn(process.execPath, committerOf(name, count, beginMs), {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const output: string[] = [];
        child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text));
        await once(child, 'close');
        return JSON.parse(output.join(''));
      };
      const [one = [], two = []] = await Promise.all([wonBy('one'), wonBy('two')]);
      expect(Math.min(one.length, two.length), 'segments that the slower one was first with').to.be.above(0);
      expect([...one, ...two].sort()).to.deep.equal(
        Array.from({ length: count }, (_, index) => `node/1/${index}`).sort(),
      );
      const store = await openStore(folder, true);
      for (const segment of one) expect(await placesOf(store, segment), segment).to.deep.equal(['one']);
      for (const segment of two) expect(await placesOf(store, segment), segment).to.deep.equal(['two']);
      await store.close();
    });

    it('reads what another process committed before', async function () {
      this.timeout(60_000);
      const store = await openStore(folder, true);
      expect(await store.committed({ stream: '', segment: 'node/1/0' })).to.equal(undefined);
      expect(await placesOf(store, 'node/1/0')).to.deep.equal([]);
      // Nothing else runs meanwhile: no timer of LMDB's ends the snapshot of these reads.
      execFileSync(process.execPath, committerOf('other', 1, 0));
      const found = store.committed({ stream: '', segment: 'node/1/0' });
      const rows = placesOf(store, 'node/1/0');
      expect(await found).to.equal('other:node/1/0');
      expect(await rows).to.deep.equal(['other']);
      await store.close();
    });
  });

  describe('on disk', () => {
    let folder: string;

    beforeEach(async () => {
      folder = await newFolder();
    });

    afterEach(async () => {
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

    it('keeps every acknowledged write, whole, when the process is killed', async function () {
      this.timeout(30_000);
      for (let round = 0; round < 2; round++) {
        const { acknowledged, last } = await killedWhileWriting(path.join(folder, 'index'), 150);
        const store = await openStore(folder);
        for (const hashValue of acknowledged) {
          expect(await placesOf(store, hashValue), hashValue).to.deep.equal(['a', 'b', 'c']);
        }
        for (const [writer, write] of last) {
          const unacknowledged = await placesOf(store, `${writer}:${write + 1}`);
          expect([0, 3], `${writer}:${write + 1} is whole or not there`).to.include(unacknowledged.length);
        }
        await store.close();
      }
    });

    it('goes on in the same folder after a kill', async function () {
      this.timeout(30_000);
      await killedWhileWriting(path.join(folder, 'index'), 20);
      const store = await openStore(folder);
      await store.write([{ table: 'index_1', hashValue: 'after', rangeValue: 'x', value: '-' }]);
      expect(await placesOf(store, 'after')).to.deep.equal(['x']);
      await store.close();
    });

    it('commits writes that come together in few transactions', async () => {
      const store = await openStore(folder);
      const database = open({
        path: path.join(folder, 'index'),
        noSubdir: false,
        encoding: 'binary',
        keyEncoding: 'binary',
      });
      const transactionsBefore = transactionId(database.getStats());
      const writes = Array.from({ length: 500 }, (_, index) =>
        store.write([{ table: 'index_1', hashValue: `${index}`, rangeValue: 'x', value: '-' }]),
      );
      await Promise.all(writes);
      expect(transactionId(database.getStats()) - transactionsBefore).to.be.within(1, 5);
      await store.close();
    });

    it('refuses to queue more than it can hold, and takes writes again later', async () => {
      const store = await openStore(folder);
      const many = Array.from({ length: 30_000 }, (_, index) => {
        return { table: 'index_1', hashValue: `${index}`, rangeValue: 'x', value: '-' };
      });
      const outcomes = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(() => store.write(many)));
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(refused.length).to.be.within(1, 5);
      for (const { reason } of refused) expect((reason as RefusedError).refusal.code).to.equal('OVERLOADED');
      await store.write(many.slice(0, 1));
      await store.close();
    }).timeout(20_000);

    it('refuses entries that no key can hold, and stores the others', async () => {
      const store = await openStore(folder);
      const good = { table: 'index_1', hashValue: 'good', rangeValue: 'x', value: '-' };
      const [first, second] = [
        refusal(store.write([{ ...good, rangeValue: 'r'.repeat(3_000) }])),
        refusal(store.write([{ ...good, table: 'with\0zero' }])),
      ];
      await store.write([good]);
      expect((await first).refusal.code).to.equal('BAD_REQUEST');
      expect((await second).refusal.code).to.equal('BAD_REQUEST');
      expect(await placesOf(store, 'good')).to.deep.equal(['x']);
      await store.close();
    });

    it('reads commits of earlier versions, which had no time', async () => {
      const store = await openStore(folder);
      await store.close();
      const options = { path: path.join(folder, 'index'), noSubdir: false } as const;
      const raw = open({ ...options, encoding: 'binary', keyEncoding: 'binary' });
      await raw.put(Buffer.from('\0commit\0local/1/2'), Buffer.from('tenant/1/2:3:4'));
      await raw.close();
      const again = await openStore(folder);
      expect(await again.committed({ stream: 'tenant/1', segment: 'local/1/2' })).to.equal('tenant/1/2:3:4');
      expect([...(await again.commit(['local/1/2'], 'other', []))]).to.deep.equal([['local/1/2', 'tenant/1/2:3:4']]);
      const commits = [];
      for await (const commit of again.commits()) commits.push(commit);
      expect(commits).to.deep.equal([
        {
          stream: 'tenant/1',
          chunkKey: 'tenant/1/2:3:4',
          segment: 'local/1/2',
          committedMs: 0,
          isShared: false,
          isUnfinished: false,
        },
      ]);
      await again.close();
    });

    it('refuses reads and writes once closed', async () => {
      const store = await openStore(folder);
      await store.close();
      await store.close();
      const entry = { table: 'index_1', hashValue: 'h', rangeValue: 'x', value: '-' };
      expect((await refusal(store.write([entry]))).refusal.code).to.equal('STORAGE_UNAVAILABLE');
      expect((await refusal(placesOf(store, 'h'))).refusal.code).to.equal('STORAGE_UNAVAILABLE');
    });

    it('refuses a folder that is none, and a database that is no index', async () => {
      await writeFile(path.join(folder, 'file'), 'x');
      const notFolder = LmdbIndexStore.open({ path: path.join(folder, 'file/index'), clock: systemClock });
      expect((await refusal(notFolder)).refusal.code).to.equal('STORAGE_UNAVAILABLE');
      const foreign = open({
        path: path.join(folder, 'index'),
        noSubdir: false,
        encoding: 'binary',
        keyEncoding: 'binary',
      });
      await foreign.put(Buffer.from('k'), Buffer.from('v'));
      await foreign.close();
      expect((await refusal(openStore(folder))).refusal.text).to.contain('something else than an index');
    });
  });
});

const placesOf = async (store: IndexStore, hashValue: string): Promise<string[]> => {
  return (await readRow(store, { table: 'index_1', hashValue })).map((cell) => cell.rangeValue);
};

const transactionId = (statistics: object): number => (statistics as { lastTxnId: number }).lastTxnId;

interface Killed {
  readonly acknowledged: readonly string[];
  /** The last acknowledged write of each writer. */
  readonly last: ReadonlyMap<string, number>;
}

/** Runs the writer process until it acknowledged so many writes, kills it, and reads to the end what it said. */
const killedWhileWriting = async (folder: string, acknowledgements: number): Promise<Killed> => {
  const script = fileURLToPath(new URL('../../support/stores/index-writer-process.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.setEncoding('utf8');
  child.stdout?.on('data', (text: string) => {
    output += text;
    if (output.split('\n').length > acknowledgements) child.kill('SIGKILL');
  });
  const [, signal] = await once(child, 'close');
  expect(signal, 'the process was killed').to.equal('SIGKILL');
  const acknowledged = output.split('\n').slice(0, -1);
  const last = new Map<string, number>();
  for (const line of acknowledged) {
    const [writer = '', write = ''] = line.split(':');
    last.set(writer, Number(write));
  }
  return { acknowledged, last };
};
