import { expect } from 'chai';
import HashRing from 'hash-ring';
import { Ring } from '../../../src/cluster/ring.ts';
import { RingKeeper } from '../../../src/cluster/ring-keeper.ts';
import { ringDigest } from '../../../src/cluster/stream-key.ts';
import { tokensOf, VIRTUAL_NODES } from '../../../src/cluster/tokens.ts';
import type { Member } from '../../../src/cluster/view.ts';
import type { Clock } from '../../../src/protocol/clock.ts';
import { memberOf } from './members.ts';

/** Time passes whenever it is asked for; what is to run later waits for `turn`. */
class BusyClock implements Clock {
  readonly #due: (() => void)[] = [];
  #ms = 0;

  nowMs(): number {
    return this.#ms;
  }

  monotonicMs(): number {
    this.#ms += 1;
    return this.#ms;
  }

  after(_delayMs: number, callback: () => void): () => void {
    this.#due.push(callback);
    return () => undefined;
  }

  get hasTurns(): boolean {
    return this.#due.length > 0;
  }

  turn(): void {
    this.#due.shift()?.();
  }
}

const view = (...members: Member[]) => ({ members });
const named = (prefix: string, count: number): Member[] =>
  Array.from({ length: count }, (_, index) => memberOf(`${prefix}-${index}`));

const stepsOf = (steps: Generator<undefined, unknown, undefined>): number => {
  for (let count = 1; ; count += 1) if (steps.next().done) return count;
};

describe('a ring that follows the view', function () {
  this.timeout(20_000);

  it('has the tokens of the package', () => {
    for (const [nodeId, count] of [
      ['tokens-a', 1],
      ['tokens-a', 700],
      ['tokens-a', 300],
      ['tokens-b', VIRTUAL_NODES],
    ] as const) {
      const { rings } = new HashRing([nodeId], { hashMethod: 'md5', replicas: count });
      const wanted = Uint32Array.from(Object.keys(rings), (token) => Number(BigInt.asUintN(32, BigInt(token)))).sort();
      const steps = tokensOf(nodeId, count);
      let step = steps.next();
      while (!step.done) step = steps.next();
      expect(step.value, `${count} of ${nodeId}`).to.deep.equal(wanted);
    }
  });

  it('hashes in slices, keeps the ring it has until then, and is the one of the view in the end', async () => {
    const clock = new BusyClock();
    let late = 0;
    const [first, joining] = [named('sliced', 2), memberOf('sliced-late')];
    const keeper = new RingKeeper(clock, view(...first), () => {
      late += 1;
    });
    const before = keeper.ring;
    keeper.follow(view(...first, joining));
    const upToDate = keeper.upToDate();
    expect(keeper.ring).to.equal(before);
    let turns = 0;
    for (; clock.hasTurns; turns += 1) clock.turn();
    await upToDate;
    expect(turns).to.be.greaterThan(2);
    expect(late).to.equal(1);
    expect(keeper.ring.members.map(({ nodeId }) => nodeId)).to.deep.equal(['sliced-0', 'sliced-1', 'sliced-late']);
    expect(keeper.ring.shares()).to.deep.equal(new Ring(view(...first, joining)).shares());
    expect(keeper.digest).to.equal(ringDigest(keeper.ring.members));
    // Nothing is left to hash: its leaving and its return take no other turn.
    keeper.follow(view(...first));
    for (; clock.hasTurns; turns += 1) clock.turn();
    expect(keeper.ring.members).to.have.lengthOf(2);
  });

  it('prepares for who joins, and goes on from there when the view changes meanwhile', () => {
    const clock = new BusyClock();
    const first = named('prepared', 1);
    const keeper = new RingKeeper(clock, view(...first), () => undefined);
    const joining = memberOf('prepared-late', { state: 'JOINING' });
    keeper.follow(view(...first, joining));
    clock.turn();
    keeper.follow(view(...first, memberOf('prepared-late')));
    while (clock.hasTurns) clock.turn();
    const wanted = new Ring(view(...first, memberOf('prepared-late')));
    expect(keeper.ring.shares()).to.deep.equal(wanted.shares());
  });

  it('stays the same ring while the members on it are', () => {
    const clock = new BusyClock();
    const first = named('same', 3);
    const keeper = new RingKeeper(clock, view(...first), () => undefined);
    const before = keeper.ring;
    keeper.follow(view(...first.map((member) => ({ ...member })), memberOf('same-0-leaves', { state: 'LEAVING' })));
    expect(keeper.ring).to.equal(before);
    // Another process of the node: other members must reach it where it is now.
    keeper.follow(view(...first.map((member) => ({ ...member, incarnation: 7, address: 'elsewhere:1' }))));
    expect(keeper.ring).not.to.equal(before);
    expect(keeper.ring.owner(7)?.address).to.equal('elsewhere:1');
    expect(keeper.ring.shares()).to.deep.equal(before.shares());
  });

  it('is made in many steps, be it with ten nodes and one that nobody knew', () => {
    const ring = new Ring(view(...named('ten', 10)));
    const next = ring.next(view(...named('ten', 10), memberOf('eleventh')));
    // How long the longest takes says the benchmark of the ring.
    expect(stepsOf(next)).to.be.within(VIRTUAL_NODES / 256, VIRTUAL_NODES / 64);
  });

  it('is made once for all nodes of a process', () => {
    const members = named('shared', 3);
    const first = new Ring(view(...members));
    expect(stepsOf(new Ring(view()).next(view(...members)))).to.equal(1);
    // The members are those of the view all the same.
    const moved = new Ring(view(...members.map((member) => ({ ...member, address: 'elsewhere:1' }))));
    expect(moved.shares()).to.deep.equal(first.shares());
    expect(moved.owner(7)?.address).to.equal('elsewhere:1');
  });
});
