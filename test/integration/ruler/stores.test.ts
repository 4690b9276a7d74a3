/** Groups of rules in the stores that chunks lie in, beside chunks, and in files. */
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { chunkPages } from '../../../src/copy/copy-scope.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { readGroup } from '../../../src/ruler/group-yaml.ts';
import { RuleFiles } from '../../../src/ruler/rule-files.ts';
import { RuleObjects } from '../../../src/ruler/rule-objects.ts';
import type { RuleStore } from '../../../src/ruler/rule-store.ts';
import { CachedChunkStore } from '../../../src/storage/cached-chunk-store.ts';
import type { ChunkStore } from '../../../src/storage/chunk-store.ts';
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';
import { GcsChunkStore } from '../../../src/storage/gcs-chunk-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { GcsServer } from '../../support/gcs/gcs-server.ts';

const CHUNK = 'ringlog-rules/85ad393dc21324c/187702fedd0:187703aa510:7299a721';
const NAMESPACE = 'team a/é:%.yaml';
const ALWAYS = { tenants: [], fromMs: 0, throughMs: Number.MAX_SAFE_INTEGER };

const groupOf = (name: string, value: number) =>
  readGroup(JSON.stringify({ name, rules: [{ record: 'r', expr: `vector(${value})` }] }));

const found = async (store: RuleStore, tenant?: string): Promise<readonly string[]> =>
  (await store.groups(tenant)).map((one) => `${one.tenant} ${one.namespace} ${one.name} ${one.group.rules[0]?.expr}`);

describe('groups of rules in a store', function () {
  this.timeout(30_000);
  let folder: string;
  let server: GcsServer;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-rules-'));
    server = await GcsServer.start();
  });
  after(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const kinds: Readonly<Record<string, () => Promise<ChunkStore>>> = {
    'of files': () => FileChunkStore.open(path.join(folder, 'chunks')),
    'in Cloud Storage, through a cache': async () =>
      new CachedChunkStore(
        await GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url }, { clock: systemClock, chance: () => 0.5 }),
        1_000_000,
      ),
  };
  for (const [kind, open] of Object.entries(kinds)) {
    it(`${kind} are put, replaced, listed and deleted, and are no chunks`, async () => {
      const chunks = await open();
      const report = (problem: string, error: unknown): never => {
        throw new Error(problem, { cause: error });
      };
      const storeOf = () => new RuleObjects({ chunks, clock: systemClock, chance: Math.random, report });
      try {
        const [one, other] = [storeOf(), storeOf()];
        // Of a tenant with an unlikely name.
        await chunks.put(CHUNK, Buffer.from('a chunk'));
        for (let value = 0; value < 3; value++) {
          await (value % 2 === 0 ? one : other).put('a', NAMESPACE, groupOf('g/1', value));
          expect(await found(one)).to.deep.equal([`a ${NAMESPACE} g/1 vector(${value})`]);
          expect(await found(other, 'a')).to.deep.equal([`a ${NAMESPACE} g/1 vector(${value})`]);
        }
        await other.put('b', '..', groupOf('.', 7));
        expect(await found(one)).to.deep.equal([`a ${NAMESPACE} g/1 vector(2)`, 'b .. . vector(7)']);
        const others: string[] = [];
        const keys: string[] = [];
        for await (const page of chunkPages(chunks, ALWAYS, (name) => others.push(name))) {
          keys.push(...page.map(({ key }) => key));
        }
        expect(keys).to.deep.equal([CHUNK]);
        expect(others).to.have.length(2);
        expect(await one.delete({ tenant: 'a', namespace: NAMESPACE, name: 'g/1' })).to.equal(true);
        expect(await other.delete({ tenant: 'b', namespace: '..' })).to.equal(true);
        expect(await found(other)).to.deep.equal([]);
        expect(await chunks.get(CHUNK)).to.not.equal(undefined);
      } finally {
        await chunks.close();
      }
    });
  }

  it('of files that somebody else writes are read as they are, and never written', async () => {
    const directory = path.join(folder, 'rules');
    const problems: string[] = [];
    const store = new RuleFiles(directory, (problem) => problems.push(problem));
    for (const tenant of ['fake', 'a', '..data']) await mkdir(path.join(directory, tenant), { recursive: true });
    const file = (tenant: string, name: string, text: string) => writeFile(path.join(directory, tenant, name), text);
    await file('fake', 'one.yaml', 'groups: [{name: b, rules: [{record: r, expr: vector(1)}]}, {name: a}]');
    await file('fake', 'bad.yaml', 'groups: [{name: a}, {name: a}]');
    await file('fake', 'worse.yaml', 'groups: {');
    await file('fake', '.hidden', 'groups: [{name: h}]');
    await file('a', 'two', 'groups: [{name: c, rules: [{alert: A, expr: vector(2)}]}]');
    await writeFile(path.join(directory, 'stray.yaml'), 'groups: [{name: s}]');
    expect(await found(store, 'fake')).to.deep.equal(['fake one.yaml a undefined', 'fake one.yaml b vector(1)']);
    expect(problems.sort()).to.deep.equal([
      'a file of rules cannot be read: its groups are not evaluated',
      'rules in a file are wrong: its groups are not evaluated',
    ]);
    expect((await found(store)).filter((one) => !one.startsWith('fake'))).to.deep.equal(['a two c vector(2)']);
    const [before] = await store.groups('a');
    await file('a', 'two', 'groups: [{name: c, rules: [{alert: A, expr: vector(3)}]}]');
    const [changed] = await store.groups('a');
    expect(changed?.version).to.not.equal(before?.version);
    for (const change of [store.put(), store.delete()]) {
      const error = await change.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(RefusedError);
      expect((error as RefusedError).message).to.equal(
        'rules are read from files (ruler.storage.type: local): change the files',
      );
    }
  });

  describe('of files that cannot be read now', () => {
    const GOOD = 'groups: [{name: g, rules: [{record: r, expr: vector(1)}]}]';
    const HELD = ['t f g vector(1)', 't other g vector(1)'];
    let directory: string;
    let file: string;
    let problems: string[];
    let store: RuleFiles;

    beforeEach(async () => {
      directory = await mkdtemp(path.join(folder, 'files-'));
      file = path.join(directory, 't', 'f');
      await mkdir(path.dirname(file));
      for (const name of ['f', 'other']) await writeFile(path.join(directory, 't', name), GOOD);
      problems = [];
      store = new RuleFiles(directory, (problem) => problems.push(problem));
      expect(await found(store)).to.deep.equal(HELD);
    });

    const bad: Readonly<Record<string, string>> = {
      'is cut': 'groups: [{name: g, rules: [{record: r, ex',
      'is empty': '',
      'has a group that cannot be evaluated': 'groups: [{name: g, rules: [{record: r, expr: "sum("}]}]',
    };
    for (const [what, text] of Object.entries(bad)) {
      it(`keep what they had while one ${what}`, async () => {
        await writeFile(file, text);
        expect(await found(store)).to.deep.equal(HELD);
        expect(await found(store, 't')).to.deep.equal(HELD);
        expect(problems).to.have.length(2);
        expect(problems[0]).to.match(/its groups that were read before hold$/);
        await writeFile(file, 'groups: []');
        expect(await found(store)).to.deep.equal(HELD.slice(1));
        expect(problems).to.have.length(2);
      });
    }

    it('keep what they had while one is no file that opens, and go with it', async () => {
      await rm(file);
      await symlink('nowhere', file);
      expect(await found(store)).to.deep.equal(HELD);
      expect(problems).to.deep.equal(['a file of rules cannot be read: its groups that were read before hold']);
      await rm(file);
      expect(await found(store)).to.deep.equal(HELD.slice(1));
      await symlink('nowhere', file);
      expect(await found(store)).to.deep.equal(HELD.slice(1));
    });

    it('keep what they had while the folder of a tenant cannot be listed, and go with it', async () => {
      const tenant = path.join(directory, 't');
      await rename(tenant, `${directory}-tenant`);
      await symlink('nowhere', tenant);
      expect(await found(store)).to.deep.equal(HELD);
      expect(problems).to.deep.equal(['a folder of rules cannot be read: those that were read before hold']);
      await rm(tenant);
      expect(await found(store, 't')).to.deep.equal([]);
    });

    it('are refused while the directory is away', async () => {
      await rename(directory, `${directory}-away`);
      for (const tenant of [undefined, 't']) {
        const error = await store.groups(tenant).catch((thrown: unknown) => thrown);
        expect((error as RefusedError).refusal?.code).to.equal('STORAGE_UNAVAILABLE');
      }
      await rename(`${directory}-away`, directory);
      expect(await found(store)).to.deep.equal(HELD);
    });
  });
});
