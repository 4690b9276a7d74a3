import { expect } from 'chai';
import { EmbeddedStore } from '../../../../src/cluster/membership/embedded-store.ts';
import type { MemberDescription } from '../../../../src/cluster/membership/member-keys.ts';
import { Membership } from '../../../../src/cluster/membership/membership.ts';
import { MembershipError } from '../../../../src/cluster/membership/membership-error.ts';
import type { MembershipOptions } from '../../../../src/cluster/membership/membership-options.ts';
import type { MembershipStore, WatchHandlers } from '../../../../src/cluster/membership/membership-store.ts';
import type { View } from '../../../../src/cluster/view.ts';
import { ManualClock } from '../../../support/clock.ts';
import { memberOf } from '../members.ts';

/** The way of one node to the store: cut off, slow, or with a watch that hears nothing. */
class Link implements MembershipStore {
  #store: MembershipStore;
  isCut = false;
  isWatchDeaf = false;
  /** Carried out, but the answer is lost. */
  losesAnswers = 0;
  ranges = 0;
  /** Answers of ranges wait for it. */
  held: Promise<void> = Promise.resolve();

  constructor(store: MembershipStore) {
    this.#store = store;
  }

  /** The store was emptied, or is another one. */
  lead(store: MembershipStore): void {
    this.#store = store;
  }

  async range(prefix: string, deadlineMs: number) {
    this.ranges += 1;
    const reply = await this.#through(() => this.#store.range(prefix, deadlineMs));
    await this.held;
    return reply;
  }

  transaction(...args: Parameters<MembershipStore['transaction']>) {
    return this.#through(() => this.#store.transaction(...args));
  }

  grant(ttlMs: number, deadlineMs: number) {
    return this.#through(() => this.#store.grant(ttlMs, deadlineMs));
  }

  keepAlive(lease: string, deadlineMs: number) {
    return this.#through(() => this.#store.keepAlive(lease, deadlineMs));
  }

  revoke(lease: string, deadlineMs: number) {
    return this.#through(() => this.#store.revoke(lease, deadlineMs));
  }

  watch(prefix: string, from: number, handlers: WatchHandlers) {
    return this.#store.watch(prefix, from, {
      onEvents: (revision, events) => {
        if (!this.isWatchDeaf) handlers.onEvents(revision, events);
      },
      onProgress: (revision) => {
        if (!this.isWatchDeaf) handlers.onProgress(revision);
      },
      onReset: () => handlers.onReset(),
    });
  }

  close() {
    return Promise.resolve();
  }

  async #through<T>(call: () => Promise<T>): Promise<T> {
    const unreachable = new MembershipError({ code: 'UNAVAILABLE', text: 'cut off' });
    if (this.isCut) throw unreachable;
    const answer = await call();
    if (this.losesAnswers > 0) {
      this.losesAnswers -= 1;
      throw unreachable;
    }
    return answer;
  }
}

const describedAs = (nodeId: string, fields: Partial<MemberDescription> = {}): MemberDescription => {
  // With an incarnation, as of an earlier life: it must not matter.
  return memberOf(nodeId, { state: 'JOINING', ...fields });
};

const codeOf = async (work: Promise<unknown>): Promise<string | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof MembershipError) return error.refusal.code;
    throw error;
  }
};

const states = ({ members }: View) => members.map(({ nodeId, state }) => `${nodeId} ${state}`);

describe('membership', () => {
  let clock: ManualClock;
  let store: EmbeddedStore;
  const running: Membership[] = [];

  /** Virtual time passes in small steps; what was waited for goes on in between. */
  const run = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 50) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(Math.min(50, ms - passed));
    }
    await new Promise((resolve) => setImmediate(resolve));
  };

  /** The outcome of work that takes virtual time. */
  const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => undefined);
    for (let passed = 0; passed < ms && !isDone; passed += 50) await run(50);
    return isDone ? done : expect.fail(`not within ${ms} ms`);
  };

  const join = (options: Partial<MembershipOptions> = {}) => {
    const link = new Link(store);
    const problems: string[] = [];
    const lost: string[] = [];
    const membership = new Membership({
      store: link,
      clock,
      cluster: 'ringlog',
      clusterUid: undefined,
      newClusterUid: 'uid-1',
      config: '{"rf":1}',
      random: () => 0.5,
      onProblem: (text) => problems.push(text),
      ...options,
    });
    membership.onLost((reason) => lost.push(reason));
    running.push(membership);
    return { membership, link, problems, lost };
  };

  const joined = async (
    nodeId: string,
    fields: Partial<MemberDescription> = {},
    options: Partial<MembershipOptions> = {},
  ) => {
    const node = join(options);
    const registration = await within(5_000, node.membership.register(describedAs(nodeId, fields)));
    return { ...node, ...registration };
  };

  beforeEach(async () => {
    clock = new ManualClock();
    store = await EmbeddedStore.open({ clock });
  });
  afterEach(async () => {
    for (const membership of running.splice(0)) membership.stop();
    await store.close();
    await run(60_000);
    expect(clock.timers, 'timers left').to.equal(0);
  });

  describe('registration', () => {
    it('makes a node a member and its disk one of the roster; the revision is the incarnation', async () => {
      const a = await joined('a');
      const b = await joined('b', { zone: 'z', weight: 2 });
      await run(100);
      const { revision, entries } = await store.range('ringlog/', 1_000);
      expect(entries.map(({ key }) => key)).to.deep.equal([
        'ringlog/config',
        'ringlog/members/a',
        'ringlog/members/b',
        'ringlog/meta/cluster',
        'ringlog/roster/a/disk-of-a',
        'ringlog/roster/b/disk-of-b',
      ]);
      expect(b.incarnation).to.equal(revision);
      expect(b.incarnation).to.be.greaterThan(a.incarnation);
      const members = [
        memberOf('a', { state: 'JOINING', incarnation: a.incarnation }),
        memberOf('b', { state: 'JOINING', incarnation: b.incarnation, zone: 'z', weight: 2 }),
      ];
      for (const { membership } of [a, b]) {
        expect(membership.view.members).to.deep.equal(members);
        expect(membership.view.changedAt).to.equal(revision);
        expect(membership.view.roster).to.deep.equal(
          members.map(({ nodeId, diskId, incarnation }) => ({ nodeId, diskId, incarnation })),
        );
      }
    });

    it('changes state and weight, keeps the incarnation, and shows others each step', async () => {
      const a = await joined('a');
      const b = await joined('b');
      const seen: string[] = [];
      b.membership.onChange((view) => seen.push(states(view).join(', ')));
      const changes = [a.membership.become('ACTIVE'), a.membership.setWeight(0.5), a.membership.become('LEAVING')];
      await within(5_000, Promise.all(changes));
      await run(100);
      expect(seen).to.deep.equal(['a ACTIVE, b JOINING', 'a ACTIVE, b JOINING', 'a LEAVING, b JOINING']);
      const [self] = a.membership.view.members;
      expect(self).to.include({ incarnation: a.incarnation, weight: 0.5, state: 'LEAVING' });
      expect(b.membership.view).to.deep.equal(a.membership.view);
    });

    it('is not done twice when answers are lost', async () => {
      const node = join();
      node.link.losesAnswers = 3;
      const { incarnation } = await within(20_000, node.membership.register(describedAs('a')));
      expect(node.membership.view.members[0]?.incarnation).to.equal(incarnation);
      node.link.losesAnswers = 2;
      await within(20_000, node.membership.become('ACTIVE'));
      await run(1_000);
      expect(states(node.membership.view)).to.deep.equal(['a ACTIVE']);
      expect(node.lost).to.deep.equal([]);
    });

    it('of a process that restarts fast replaces that before, which hears that it is lost; nobody else sees the node gone', async () => {
      const watcher = await joined('b');
      const before = await joined('a');
      const seen = new Set<number>();
      watcher.membership.onChange(({ members }) => seen.add(members.length));
      const after = await joined('a');
      await run(40_000);
      expect(after.incarnation).to.be.greaterThan(before.incarnation);
      expect(before.lost.length).to.equal(1);
      expect(before.membership.fenceRemainingMs).to.be.at.most(0);
      expect(after.lost).to.deep.equal([]);
      expect([...seen]).to.deep.equal([2]);
      expect(watcher.membership.view.roster.find(({ nodeId }) => nodeId === 'a')?.incarnation).to.equal(
        after.incarnation,
      );
    });

    it('on another disk waits until the lease of the one that runs has ended', async () => {
      const before = await joined('a', { diskId: 'disk-1' });
      expect(await codeOf(within(5_000, join().membership.register(describedAs('a', { diskId: 'disk-2' }))))).to.equal(
        'NODE_ID_IN_USE',
      );
      before.membership.stop();
      await run(31_000);
      const after = await joined('a', { diskId: 'disk-2' });
      expect(after.membership.view.roster.map(({ diskId }) => diskId)).to.deep.equal(['disk-1', 'disk-2']);
    });

    it('refuses another configuration', async () => {
      await joined('a');
      const other = join({ config: '{"rf":3}' });
      expect(await codeOf(within(5_000, other.membership.register(describedAs('b'))))).to.equal('OTHER_CONFIG');
      expect(states((await joined('c')).membership.view)).to.deep.equal(['a JOINING', 'c JOINING']);
    });

    it('gives all members one uid, and refuses a disk of another cluster, or one that the store has forgotten', async () => {
      expect((await joined('a')).clusterUid).to.equal('uid-1');
      expect((await joined('b', {}, { newClusterUid: 'uid-2' })).clusterUid).to.equal('uid-1');
      expect((await joined('c', {}, { clusterUid: 'uid-1' })).clusterUid).to.equal('uid-1');
      const other = join({ clusterUid: 'uid-9' });
      expect(await codeOf(within(5_000, other.membership.register(describedAs('d'))))).to.equal('OTHER_CLUSTER');
      const forgotten = join({ clusterUid: 'uid-1', cluster: 'emptied' });
      expect(await codeOf(within(5_000, forgotten.membership.register(describedAs('d'))))).to.equal('OTHER_CLUSTER');
    });

    it('gives up by its deadline when the store is away', async () => {
      const node = join();
      node.link.isCut = true;
      const work = node.membership.register(describedAs('a'));
      expect(await codeOf(within(25_000, work))).to.equal('UNAVAILABLE');
    });

    it('is fenced before it waits for its last change, and stays in the roster with something on its disk', async () => {
      const a = await joined('a');
      const b = await joined('b');
      const change = a.membership.setWeight(2).catch(() => undefined);
      const leaving = a.membership.leave(() => false);
      expect(a.membership.fenceRemainingMs).to.be.at.most(0);
      expect(await within(5_000, leaving)).to.equal(false);
      await within(5_000, change);
      await run(100);
      expect(b.membership.view.roster.map(({ nodeId }) => nodeId)).to.deep.equal(['a', 'b']);
    });

    it('leaves without a trace', async () => {
      const a = await joined('a');
      const b = await joined('b');
      await within(5_000, a.membership.leave());
      await run(100);
      expect(b.membership.view.members.map(({ nodeId }) => nodeId)).to.deep.equal(['b']);
      expect(b.membership.view.roster.map(({ nodeId }) => nodeId)).to.deep.equal(['b']);
      expect(a.lost, 'no news').to.deep.equal([]);
      expect(a.membership.fenceRemainingMs).to.be.at.most(0);
      expect(await codeOf(a.membership.become('ACTIVE'))).to.equal('NOT_REGISTERED');
    });
  });

  describe('the lease and the fence', () => {
    it('stay ahead as long as the store answers', async () => {
      const a = await joined('a');
      let leastMs = Number.POSITIVE_INFINITY;
      for (let second = 0; second < 120; second++) {
        await run(1_000);
        leastMs = Math.min(leastMs, a.membership.fenceRemainingMs);
      }
      expect(leastMs).to.be.within(19_900, 25_000);
      expect(a.problems).to.deep.equal([]);
    });

    it('fences 5 s before the lease ends, counted from when the last keep-alive was sent; then the node is lost', async () => {
      const a = await joined('a');
      const b = await joined('b');
      await run(12_000);
      a.link.isCut = true;
      await run(100);
      const remainingMs = a.membership.fenceRemainingMs;
      expect(remainingMs).to.be.within(20_000, 25_000);
      await run(remainingMs - 50);
      expect(a.membership.fenceRemainingMs).to.be.greaterThan(0);
      await run(100);
      expect(a.membership.fenceRemainingMs).to.be.below(0);
      expect(states(b.membership.view), 'still a member for others').to.deep.equal(['a JOINING', 'b JOINING']);
      expect(a.lost).to.deep.equal([]);
      await run(6_000);
      expect(states(b.membership.view)).to.deep.equal(['b JOINING']);
      expect(
        b.membership.view.roster.map(({ nodeId }) => nodeId),
        'its disk may hold something',
      ).to.deep.equal(['a', 'b']);
      a.link.isCut = false;
      await run(2_000);
      expect(a.lost.length).to.equal(1);
      expect(a.membership.fenceRemainingMs).to.be.at.most(0);
      expect(a.problems.length, 'told once, not each try').to.equal(1);
    });

    it('live through an outage shorter than the lease', async () => {
      const a = await joined('a');
      a.link.isCut = true;
      await run(20_000);
      a.link.isCut = false;
      await run(2_000);
      expect(a.lost).to.deep.equal([]);
      expect(a.membership.fenceRemainingMs).to.be.greaterThan(20_000);
      expect(a.problems.length).to.equal(2);
    });

    it('do not count a keep-alive whose answer is lost', async () => {
      const a = await joined('a');
      await run(4_000);
      a.link.losesAnswers = 1;
      await run(1_100);
      expect(a.membership.fenceRemainingMs).to.be.below(20_000);
      await run(1_000);
      expect(a.membership.fenceRemainingMs).to.be.greaterThan(23_000);
    });
  });

  describe('the view', () => {
    it('is read anew when a keep-alive shows that the watch missed something', async () => {
      const a = await joined('a');
      a.link.isWatchDeaf = true;
      const b = await joined('b');
      await run(1_000);
      expect(states(a.membership.view)).to.deep.equal(['a JOINING']);
      await run(8_000);
      expect(states(a.membership.view)).to.deep.equal(['a JOINING', 'b JOINING']);
      expect(a.problems.length).to.equal(1);
      a.link.isWatchDeaf = false;
      await within(5_000, b.membership.become('ACTIVE'));
      await run(100);
      expect(states(a.membership.view), 'the new watch hears').to.deep.equal(['a JOINING', 'b ACTIVE']);
    });

    it('goes on after changes were forgotten that the watch had not told', async () => {
      const a = await joined('a');
      const b = await joined('b');
      store.compact(1_000);
      await within(5_000, b.membership.become('ACTIVE'));
      await run(1_000);
      expect(states(a.membership.view)).to.deep.equal(['a JOINING', 'b ACTIVE']);
    });

    it('is fresh when asked for, whatever the watch heard; callers share readings that began after they called', async () => {
      const a = await joined('a');
      a.link.isWatchDeaf = true;
      let release = (): void => undefined;
      a.link.held = new Promise((resolve) => {
        release = resolve;
      });
      a.link.ranges = 0;
      const early = a.membership.freshView(3_000);
      await run(50);
      const b = await joined('b');
      // The reading under way knows nothing of b: it must not answer these.
      const late = [1, 2, 3].map(() => a.membership.freshView(3_000));
      expect(a.link.ranges).to.equal(1);
      release();
      expect(states(await within(1_000, early))).to.deep.equal(['a JOINING']);
      for (const view of await within(1_000, Promise.all(late))) {
        expect(states(view)).to.deep.equal(['a JOINING', 'b JOINING']);
      }
      expect(a.link.ranges).to.equal(2);
      expect(a.membership.knownThrough).to.be.at.least(b.incarnation);
    });

    it('catches up with a revision that another node has seen, and does not read for one it knows', async () => {
      const a = await joined('a');
      a.link.isWatchDeaf = true;
      const b = await joined('b');
      a.link.ranges = 0;
      expect(states(await within(1_000, a.membership.catchUp(b.incarnation, 1_000)))).to.deep.equal([
        'a JOINING',
        'b JOINING',
      ]);
      await a.membership.catchUp(b.incarnation, 1_000);
      expect(a.link.ranges).to.equal(1);
      expect(await codeOf(within(1_000, a.membership.catchUp(b.incarnation + 100, 1_000)))).to.equal('UNAVAILABLE');
    });

    it('is never taken from a store that has lost revisions, which also ends the lease', async () => {
      const a = await joined('a');
      const emptied = await EmbeddedStore.open({ clock });
      a.link.lead(emptied);
      expect(await codeOf(within(2_000, a.membership.freshView(1_000)))).to.equal('DEADLINE_EXCEEDED');
      expect(states(a.membership.view)).to.deep.equal(['a JOINING']);
      await run(6_000);
      expect(a.lost.length).to.equal(1);
      await emptied.close();
    });

    it('is refused by the deadline when the store is away, and there again when it is back', async () => {
      const a = await joined('a');
      a.link.isCut = true;
      expect(await codeOf(within(2_000, a.membership.freshView(1_000)))).to.equal('DEADLINE_EXCEEDED');
      const fresh = a.membership.freshView(3_000);
      await run(1_000);
      a.link.isCut = false;
      expect(states(await within(2_000, fresh))).to.deep.equal(['a JOINING']);
    });
  });
});
