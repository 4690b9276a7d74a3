import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { readGroup } from '../../../src/ruler/group-yaml.ts';
import type { RuleGroup } from '../../../src/ruler/rule-group.ts';
import { parseRuleKey, ruleKey, tenantPrefix, versionAfter } from '../../../src/ruler/rule-key.ts';
import { RuleObjects } from '../../../src/ruler/rule-objects.ts';
import { parseChunkKey } from '../../../src/storage/chunk-key.ts';
import { keyOfPath, pathOfKey } from '../../../src/storage/file-path.ts';
import { ManualClock } from '../../support/clock.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { propertyRuns } from '../../support/property-runs.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';

const groupOf = (name: string, expr = 'vector(1)') =>
  readGroup(JSON.stringify({ name, rules: [{ record: 'r', expr }] }));

const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('.', '..', 'a/b', 'a:b', '%2F', ' ', 'a,b'),
);

describe('the key of a group of rules', () => {
  const version = versionAfter(undefined, 1, 0.5);

  it('holds tenant, namespace and group, is no chunk’s, and has a path of its own', () => {
    const check = (tenant: string, namespace: string, group: string): void => {
      const key = ruleKey({ tenant, namespace, name: group }, version);
      expect(parseRuleKey(key)).to.deep.equal({ key, tenant, namespace, name: group, version });
      expect(key.startsWith(tenantPrefix(tenant))).to.equal(true);
      expect(parseChunkKey(key)).to.equal(undefined);
      expect(keyOfPath(pathOfKey(key))).to.equal(key);
    };
    fc.assert(fc.property(name, name, name, check), { numRuns: propertyRuns(10) });
  });

  it('differs where one of them does', () => {
    const keys = [
      ['a', 'b', 'c'],
      ['a', 'b/c', 'd'],
      ['a/b', 'c', 'd'],
      ['a', 'b', 'c/d'],
    ].map(([tenant = '', namespace = '', group = '']) => ruleKey({ tenant, namespace, name: group }, version));
    expect(new Set(keys).size).to.equal(4);
  });

  it('is not read from what is none', () => {
    for (const key of [
      'ringlog-rules/a/b/c',
      'ringlog-rules/a/b/c/1',
      `ringlog-rules/a/b/c/d/${version}`,
      `ringlog-rules/a//c/${version}`,
      `ringlog-rules/%/b/c/${version}`,
      `rules/a/b/c/${version}`,
      'ringlog-rules/85ad393dc21324c/187702fedd0:187703aa510:7299a721',
    ]) {
      expect(parseRuleKey(key), key).to.equal(undefined);
    }
  });

  it('is refused where a store would not take it', () => {
    const refused = (group: string): unknown => {
      try {
        return ruleKey({ tenant: 't', namespace: 'n', name: group }, version);
      } catch (error) {
        return (error as RefusedError).refusal.code;
      }
    };
    expect(refused('x'.repeat(2000))).to.equal('BAD_REQUEST');
    expect(refused('\ud800')).to.equal('BAD_REQUEST');
  });

  it('has a version that is later than the one before, whatever the clock says', () => {
    const first = versionAfter(undefined, 1000, 0.999_999_999_999);
    const second = versionAfter(first, 500, 0);
    expect([first, second]).to.deep.equal(['0000000003e8-ffffffff', '0000000003e9-00000000']);
    expect(second > first).to.equal(true);
  });
});

describe('groups of rules in the chunk store', () => {
  let chunks: MemoryChunkStore;
  let store: RuleObjects;
  let problems: string[];

  beforeEach(() => {
    chunks = new MemoryChunkStore();
    problems = [];
    store = newStore();
  });

  const newStore = (): RuleObjects =>
    new RuleObjects({
      chunks,
      clock: new ManualClock(),
      chance: () => 0.5,
      report: (problem) => problems.push(problem),
    });
  const found = async (tenant?: string) =>
    (await store.groups(tenant)).map((one) => [one.tenant, one.namespace, one.name, one.group.rules[0]?.expr]);

  it('are there for every node, by tenant, in order', async () => {
    await store.put('b', 'ns', groupOf('g'));
    await store.put('a', 'z', groupOf('g'));
    await store.put('a', 'ns', groupOf('h'));
    await store.put('a', 'ns', groupOf('g'));
    store = newStore();
    const ofA = [
      ['a', 'ns', 'g', 'vector(1)'],
      ['a', 'ns', 'h', 'vector(1)'],
      ['a', 'z', 'g', 'vector(1)'],
    ];
    expect(await found('a')).to.deep.equal(ofA);
    expect(await found()).to.deep.equal([...ofA, ['b', 'ns', 'g', 'vector(1)']]);
    expect(await found('ns')).to.deep.equal([]);
  });

  it('are replaced by a newer object, and the older ones go', async () => {
    for (let version = 0; version < 3; version++) await store.put('a', 'ns', groupOf('g', `vector(${version})`));
    expect(await found()).to.deep.equal([['a', 'ns', 'g', 'vector(2)']]);
    expect(chunks.objects.size).to.equal(1);
  });

  it('are not stored again with the text that they have', async () => {
    await store.put('a', 'ns', groupOf('g'));
    const [before] = await store.groups();
    const keys = [...chunks.objects.keys()];
    for (const one of [store, newStore()]) await one.put('a', 'ns', groupOf('g'));
    expect([...chunks.objects.keys()]).to.deep.equal(keys);
    expect((await store.groups())[0]?.version).to.equal(before?.version);
    const id = { tenant: 'a', namespace: 'ns', name: 'g' };
    chunks.objects.set(ruleKey(id, versionAfter(before?.version, 0, 0)), Buffer.from('groups: {'));
    await store.put('a', 'ns', groupOf('g'));
    expect([await found(), chunks.objects.size]).to.deep.equal([[['a', 'ns', 'g', 'vector(1)']], 1]);
  });

  it('are forgotten once a newer version is there, or none', async () => {
    const other = newStore();
    const seen: WeakRef<RuleGroup>[] = [];
    const look = async (tenant?: string): Promise<void> => {
      for (const { group } of await store.groups(tenant)) seen.push(new WeakRef(group));
    };
    for (let version = 0; version < 4; version++) {
      await other.put('a', 'ns', groupOf('g', `vector(${version})`));
      await look(version % 2 === 0 ? 'a' : undefined);
    }
    await other.delete({ tenant: 'a', namespace: 'ns' });
    await look();
    // A reference that was just made holds until its turn is over.
    await nextTurn();
    collectGarbage();
    expect(seen.map((one) => one.deref())).to.deep.equal(Array(4).fill(undefined));
  });

  it('are the newest of what a crash left behind', async () => {
    await store.put('a', 'ns', groupOf('g', 'vector(1)'));
    chunks.before = (operation) => {
      if (operation === 'delete') throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'away' });
    };
    await store.put('a', 'ns', groupOf('g', 'vector(2)'));
    expect(chunks.objects.size).to.equal(2);
    store = newStore();
    expect(await found()).to.deep.equal([['a', 'ns', 'g', 'vector(2)']]);
    chunks.before = undefined;
    await store.put('a', 'ns', groupOf('g', 'vector(3)'));
    expect([await found(), chunks.objects.size]).to.deep.equal([[['a', 'ns', 'g', 'vector(3)']], 1]);
  });

  it('are found though they are replaced while they are read', async () => {
    await store.put('a', 'ns', groupOf('g', 'vector(1)'));
    const other = newStore();
    let replacements = 2;
    chunks.before = async (operation) => {
      if (operation !== 'get' || replacements === 0) return;
      replacements -= 1;
      await other.put('a', 'ns', groupOf('g', `vector(${3 - replacements})`));
    };
    expect(await newStore().groups()).to.have.length(1);
    expect(replacements).to.equal(0);
  });

  it('are deleted one by one or with their namespace, all versions of them', async () => {
    for (const group of ['g', 'g2']) await store.put('a', 'ns', groupOf(group));
    await store.put('a', 'other', groupOf('g'));
    await store.put('b', 'ns', groupOf('g'));
    expect(await store.delete({ tenant: 'a', namespace: 'ns', name: 'g' })).to.equal(true);
    expect(await store.delete({ tenant: 'a', namespace: 'ns', name: 'g' })).to.equal(false);
    expect((await found()).map((one) => one.slice(0, 3).join())).to.deep.equal(['a,ns,g2', 'a,other,g', 'b,ns,g']);
    await store.put('a', 'ns', groupOf('g'));
    expect(await store.delete({ tenant: 'a', namespace: 'ns' })).to.equal(true);
    expect(await store.delete({ tenant: 'a', namespace: 'ns' })).to.equal(false);
    expect((await found()).map((one) => one.slice(0, 3).join())).to.deep.equal(['a,other,g', 'b,ns,g']);
  });

  it('are read once, and what is damaged is told of once', async () => {
    await store.put('a', 'ns', groupOf('g'));
    const id = { tenant: 'a', namespace: 'ns', name: 'broken' };
    chunks.objects.set(ruleKey(id, versionAfter(undefined, 1, 0)), Buffer.from('name: broken\nrules: [{alert: x}]'));
    chunks.objects.set(ruleKey({ ...id, name: 'odd' }, versionAfter(undefined, 1, 0)), Buffer.from('name: even'));
    store = newStore();
    const reads: string[] = [];
    chunks.before = (operation, key) => void (operation === 'get' && reads.push(key));
    for (let look = 0; look < 3; look++) expect(await found()).to.deep.equal([['a', 'ns', 'g', 'vector(1)']]);
    expect(reads).to.have.length(3);
    expect(problems).to.deep.equal(Array(2).fill('a stored group of rules is damaged, and is not evaluated'));
  });

  it('are refused while the store is away', async () => {
    chunks.before = () => {
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'away' });
    };
    const error = await store.put('a', 'ns', groupOf('g')).catch((thrown: unknown) => thrown);
    expect((error as RefusedError).refusal.code).to.equal('STORAGE_UNAVAILABLE');
  });
});
