import { expect } from 'chai';
import fc from 'fast-check';
import HashRing from 'hash-ring';
import { Ring } from '../../../src/cluster/ring.ts';
import { streamKey } from '../../../src/cluster/stream-key.ts';
import type { Member } from '../../../src/cluster/view.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { memberOf } from './members.ts';

/** Few distinct names: a node's 4096 tokens take some milliseconds the first time. */
const names = fc.uniqueArray(
  fc.tuple(fc.constantFrom('node-', 'ringlog-', '10.0.0.'), fc.nat(39)).map(([prefix, number]) => `${prefix}${number}`),
  { minLength: 3, maxLength: 20 },
);
const zones = fc.constantFrom('', 'a', 'b', 'c');
const members = fc
  .tuple(names, fc.infiniteStream(zones))
  .map(([nodeIds, zoneOf]) => nodeIds.map((nodeId) => memberOf(nodeId, { zone: zoneOf.next().value as string })));
const key = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const KEYS = Uint32Array.from({ length: 4096 }, (_, index) => index * 2 ** 20 + 12_345);

// A case makes rings of up to 80,000 tokens and looks thousands of keys up: some milliseconds.
const numRuns = Math.min(400, propertyRuns(50));

const ringOf = (all: readonly Member[]): Ring => new Ring({ members: all });

describe('the ring', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('has no owner without an ACTIVE member', () => {
    const ring = ringOf([memberOf('a', { state: 'JOINING' }), memberOf('b', { state: 'LEAVING' })]);
    expect(ring.owner(7)).to.equal(undefined);
    expect(ring.preference(7, 3)).to.deep.equal([]);
    expect(ring.shares()).to.deep.equal([]);
  });

  it('gives all keys to the only ACTIVE member, those past the last token too', () => {
    const ring = ringOf([memberOf('a'), memberOf('b', { state: 'JOINING' })]);
    for (const at of [0, 1, 2 ** 31, 2 ** 32 - 1]) expect(ring.owner(at)?.nodeId).to.equal('a');
    expect(ring.shares()).to.deep.equal([1]);
  });

  it('finds the first member that is wanted, clockwise, whatever its zone', () => {
    const all = ['a', 'b', 'c', 'd', 'e'].map((nodeId) => memberOf(nodeId));
    const wanted = new Set(['b', 'd']);
    const isWanted = ({ nodeId }: Member): boolean => wanted.has(nodeId);
    const one = ringOf(all);
    const zoned = ringOf(all.map((member) => ({ ...member, zone: member.nodeId < 'c' ? 'x' : 'y' })));
    for (const at of KEYS) {
      const first = one.preference(at, all.length).find(isWanted)?.nodeId;
      if (one.firstOf(at, isWanted)?.nodeId !== first) expect.fail(`key ${at}`);
      if (zoned.firstOf(at, isWanted)?.nodeId !== first) expect.fail(`key ${at}, with zones`);
    }
    expect(one.firstOf(7, () => true)).to.equal(one.owner(7));
    let asked = 0;
    expect(one.firstOf(7, () => ++asked > 5)).to.equal(undefined);
    expect(asked).to.equal(5);
  });

  it('is the same for the same members, in whatever order', () => {
    fc.assert(
      fc.property(members, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (all, chance) => {
        const shuffled = all
          .map((member) => ({ member, at: chance.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ member }) => ({ ...member }));
        const [one, other] = [ringOf(all), ringOf(shuffled)];
        expect(other.shares()).to.deep.equal(one.shares());
        for (const at of KEYS) {
          if (one.owner(at)?.nodeId !== other.owner(at)?.nodeId) expect.fail(`key ${at} has two owners`);
        }
      }),
      { numRuns },
    );
  });

  it('moves keys only to a node that joins, or from one that leaves, and at most 1.15 of its fair share', () => {
    fc.assert(
      fc.property(members, (all) => {
        const [joining, ...others] = all;
        const before = ringOf(others);
        const after = ringOf(all);
        let moved = 0;
        for (const at of KEYS) {
          const [was, is] = [before.owner(at)?.nodeId, after.owner(at)?.nodeId];
          if (was === is) continue;
          moved += 1;
          if (is !== joining?.nodeId) expect.fail(`key ${at} moved from ${was} to ${is}`);
        }
        const share = after.shares()[after.members.findIndex(({ nodeId }) => nodeId === joining?.nodeId)] ?? 0;
        expect(share).to.be.within(0.85 / all.length, 1.15 / all.length);
        expect(moved / KEYS.length).to.be.closeTo(share, 0.03);
      }),
      { numRuns },
    );
  });

  it('gives no node of 3 to 50 more than 1.10 of the mean', () => {
    for (const count of [3, 4, 5, 7, 10, 15, 20, 30, 40, 50]) {
      for (const prefix of ['node-', 'ringlog-', '10.0.0.']) {
        const ring = ringOf(Array.from({ length: count }, (_, index) => memberOf(`${prefix}${index}`)));
        expect(Math.max(...ring.shares()) * count, `${count} of ${prefix}`).to.be.at.most(1.1);
      }
    }
  });

  it('gives a node keys in proportion to its weight, and takes none from others that it need not', () => {
    const all = Array.from({ length: 5 }, (_, index) => memberOf(`node-${index}`));
    const heavier = all.map((member, index) => (index === 0 ? { ...member, weight: 1.5 } : member));
    const [before, after] = [ringOf(all), ringOf(heavier)];
    expect(after.shares()[0]).to.be.closeTo(1.5 / 5.5, 0.02);
    for (const at of KEYS) {
      if (before.owner(at)?.nodeId !== after.owner(at)?.nodeId) expect(after.owner(at)?.nodeId).to.equal('node-0');
    }
  });

  it('lists distinct nodes, the owner first, one of each zone before a second of any', () => {
    fc.assert(
      fc.property(members, key, fc.integer({ min: 1, max: 25 }), (all, at, count) => {
        const ring = ringOf(all);
        const listed = ring.preference(at, count);
        expect(listed.length).to.equal(Math.min(count, all.length));
        expect(new Set(listed.map(({ nodeId }) => nodeId)).size).to.equal(listed.length);
        expect(listed[0]).to.equal(ring.owner(at));
        const zoneCount = new Set(all.map(({ zone }) => zone)).size;
        const first = listed.slice(0, zoneCount).map(({ zone }) => zone);
        expect(new Set(first).size).to.equal(first.length);
        expect(ring.preference(at, count + 1).slice(0, listed.length)).to.deep.equal(listed);
      }),
      { numRuns: numRuns * 5 },
    );
  });

  it('is not looked up by the package, which gives every key to one node', () => {
    const ring = new HashRing(['node-0', 'node-1', 'node-2'], { hashMethod: 'md5', replicas: 512 });
    const keys = Array.from({ length: 1000 }, (_, index) => labelSetOf(['app', `app-${index}`]).canonical);
    expect(new Set(keys.map((text) => ring.getNode(text))).size).to.equal(1);
  });
});

describe('the key of a stream', () => {
  it('depends on the tenant and the labels, and on nothing else', () => {
    const labels = '{app="web", env="prod"}';
    const at = streamKey('tenant-a', labels);
    expect(streamKey('tenant-a', labelSetOf(['env', 'prod', 'app', 'web']).canonical)).to.equal(at);
    expect(streamKey('tenant-b', labels)).not.to.equal(at);
    expect(streamKey('tenant-a', '{app="web", env="test"}')).not.to.equal(at);
    expect(at).to.be.within(0, 2 ** 32 - 1);
  });

  it('stays what it is: nodes of two versions must agree', () => {
    expect(streamKey('tenant', '{app="web"}')).to.equal(1_614_580_051);
  });

  it('spreads streams over the nodes as evenly as the ring is', () => {
    const ring = ringOf(['a', 'b', 'c', 'd'].map((nodeId) => memberOf(nodeId)));
    const counts = new Map<string | undefined, number>();
    for (let index = 0; index < 20_000; index++) {
      const owner = ring.owner(streamKey('tenant', `{app="app-${index}"}`))?.nodeId;
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    expect(Math.max(...counts.values()) / 5_000).to.be.below(1.15);
  });
});
