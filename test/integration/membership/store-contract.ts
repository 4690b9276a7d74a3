import { expect } from 'chai';
import { MembershipError, type MembershipRefusal } from '../../../src/cluster/membership/membership-error.ts';
import type { KeyEvent, MembershipStore } from '../../../src/cluster/membership/membership-store.ts';
import { eventually } from '../../support/eventually.ts';

const DEADLINE_MS = 5_000;

/** A store under test. Each test uses keys of its own. */
export interface StoreHarness {
  /** Another client of the same store. */
  client(): MembershipStore;
  /** The store forgets the changes before this revision. */
  compact(revision: number): Promise<void>;
  /** The server ends without notice, is away for so long, and comes back with its data; undefined where there is no server. */
  restart?(awayMs: number): Promise<void>;
  stop(): Promise<void>;
}

export const refusalOf = async (work: Promise<unknown>): Promise<MembershipRefusal['code'] | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof MembershipError) return error.refusal.code;
    throw error;
  }
};

/** What a watch told, in order. */
export class Told {
  readonly changes: { readonly revision: number; readonly events: readonly KeyEvent[] }[] = [];
  progress = 0;
  resets = 0;

  onEvents(revision: number, events: readonly KeyEvent[]): void {
    this.changes.push({ revision, events });
  }

  onProgress(revision: number): void {
    this.progress = revision;
  }

  onReset(): void {
    this.resets += 1;
  }

  get values(): readonly string[] {
    return this.changes.flatMap(({ events }) =>
      events.map((event) => (event.type === 'put' ? event.entry.value : `-${event.key.split('/').at(-1)}`)),
    );
  }
}

export const describeStore = (name: string, start: () => Promise<StoreHarness>, why?: string): void => {
  describe(`the membership store: ${name}`, function () {
    this.timeout(60_000);
    let harness: StoreHarness;
    let store: MembershipStore;
    let prefix: string;
    let tests = 0;
    const clients: MembershipStore[] = [];

    const client = (): MembershipStore => {
      const another = harness.client();
      clients.push(another);
      return another;
    };
    const put = (key: string, value: string, lease?: string, from = store) =>
      from.transaction(
        [],
        [{ type: 'put', key: prefix + key, value, ...(lease !== undefined && { lease }) }],
        DEADLINE_MS,
      );
    const values = async (from = store) => (await from.range(prefix, DEADLINE_MS)).entries.map(({ value }) => value);

    before(async function () {
      if (why !== undefined) {
        if (process.env['CI']) throw new Error(why);
        process.stderr.write(`SKIPPED: the membership store on etcd is not tested: ${why}\n`);
        this.skip();
      }
      harness = await start();
    });
    beforeEach(() => {
      tests += 1;
      prefix = `test-${tests}/`;
      store = client();
    });
    afterEach(async () => {
      for (const used of clients.splice(0)) await used.close();
    });
    after(() => harness?.stop());

    it('answers a range with what was put, sorted, with revisions', async () => {
      const first = await put('b', 'B');
      const second = await put('a', 'A');
      const third = await put('b', 'B2');
      const { revision, entries } = await client().range(prefix, DEADLINE_MS);
      expect(second.revision).to.equal(first.revision + 1);
      expect(revision).to.equal(third.revision);
      expect(entries).to.deep.equal([
        { key: `${prefix}a`, value: 'A', createRevision: second.revision, modRevision: second.revision },
        { key: `${prefix}b`, value: 'B2', createRevision: first.revision, modRevision: third.revision },
      ]);
    });

    it('does a transaction whole, at one revision, or not at all', async () => {
      const key = `${prefix}a`;
      const { revision } = await put('a', 'A');
      const write = [
        { type: 'delete', key },
        { type: 'put', key: `${prefix}b`, value: 'B' },
      ] as const;
      for (const guard of [
        { type: 'absent', key },
        { type: 'unchanged', key, modRevision: revision - 1 },
        { type: 'value', key, value: 'other' },
        { type: 'value', key: `${prefix}none`, value: 'A' },
      ] as const) {
        expect(await store.transaction([guard], write, DEADLINE_MS)).to.deep.equal({ ok: false, revision });
      }
      const guards = [
        { type: 'unchanged', key, modRevision: revision },
        { type: 'value', key, value: 'A' },
        { type: 'absent', key: `${prefix}b` },
      ] as const;
      expect(await store.transaction(guards, write, DEADLINE_MS)).to.deep.equal({ ok: true, revision: revision + 1 });
      expect(await values()).to.deep.equal(['B']);
    });

    it('deletes the keys of a lease that nobody keeps alive, and tells the watches', async () => {
      const told = new Told();
      const lease = await store.grant(1_000, DEADLINE_MS);
      const { revision } = await put('a', 'A', lease);
      store.watch(prefix, revision + 1, told);
      await eventually('the key is gone', () => told.values.includes('-a'));
      expect(await values()).to.deep.equal([]);
      expect(await refusalOf(store.keepAlive(lease, DEADLINE_MS))).to.equal('LEASE_GONE');
      expect(await refusalOf(put('b', 'B', lease))).to.equal('LEASE_GONE');
    });

    it('keeps the keys of a lease that is kept alive', async () => {
      const lease = await store.grant(2_000, DEADLINE_MS);
      const { revision } = await put('a', 'A', lease);
      for (let times = 0; times < 6; times++) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        expect((await store.keepAlive(lease, DEADLINE_MS)).revision).to.be.at.least(revision);
      }
      expect(await values()).to.deep.equal(['A']);
    });

    it('ends a revoked lease at once, and passes over a second time; a key that moved to another lease stays', async () => {
      const [first, second] = [await store.grant(60_000, DEADLINE_MS), await store.grant(60_000, DEADLINE_MS)];
      await put('a', 'A', first);
      await put('b', 'B', first);
      await put('b', 'B2', second);
      await store.revoke(first, DEADLINE_MS);
      await store.revoke(first, DEADLINE_MS);
      expect(await values()).to.deep.equal(['B2']);
    });

    it('tells a watch every change under its prefix, one call a revision, from the revision it names', async () => {
      const told = new Told();
      await put('early', 'early');
      const { revision } = await put('a', '1');
      store.watch(prefix, revision, told);
      await client().transaction([], [{ type: 'put', key: `else-${prefix}`, value: 'else' }], DEADLINE_MS);
      await client().transaction(
        [],
        [
          { type: 'put', key: `${prefix}a`, value: '2' },
          { type: 'put', key: `${prefix}b`, value: '3' },
        ],
        DEADLINE_MS,
      );
      await eventually(
        'all changes',
        () => told.values.length === 3,
        () => told,
      );
      expect(told.changes.map(({ events }) => events.length)).to.deep.equal([1, 2]);
      expect(told.changes.map(({ revision: at }) => at)).to.deep.equal([revision, revision + 2]);
    });

    it('tells a cancelled watch nothing', async () => {
      const told = new Told();
      const other = new Told();
      const { revision } = await put('a', '1');
      const cancel = store.watch(prefix, revision + 1, told);
      store.watch(prefix, revision + 1, other);
      await put('a', '2');
      await eventually('the first change', () => told.values.length === 1 && other.values.length === 1);
      cancel();
      await put('a', '3');
      await eventually('the other one hears it', () => other.values.length === 2);
      expect(told.values).to.deep.equal(['2']);
    });

    it('resets a watch of changes that are forgotten', async () => {
      const told = new Told();
      const { revision } = await put('a', '1');
      await put('a', '2');
      await put('a', '3');
      await harness.compact(revision + 2);
      store.watch(prefix, revision, told);
      await eventually('the reset', () => told.resets === 1);
      expect(told.values).to.deep.equal([]);
    });

    it('loses no lease and no change when the server dies and is away for seconds', async function () {
      const { restart } = harness;
      if (!restart) return;
      this.timeout(120_000);
      const told = new Told();
      const lease = await store.grant(10_000, DEADLINE_MS);
      const { revision } = await put('leased', 'leased', lease);
      store.watch(prefix, revision + 1, told);
      const expected: string[] = [];
      for (let round = 0; round < 3; round++) {
        // Some before, some after: the watch must go on where it was, not where the store is.
        for (let change = 0; change < 5; change++) {
          expected.push(`${round}.${change}`);
          await put('a', `${round}.${change}`);
        }
        await restart(round === 2 ? 3_000 : 0);
        await eventually('a call gets through', async () => (await refusalOf(store.range(prefix, 500))) === undefined);
        await store.keepAlive(lease, DEADLINE_MS);
      }
      const last = await put('a', 'last');
      expect(last.revision, 'revisions go on').to.be.greaterThan(revision + 15);
      expected.push('last');
      await eventually(
        'all changes',
        () => told.values.length >= expected.length,
        () => told.values,
      );
      expect(told.values).to.deep.equal(expected);
      expect(told.resets).to.equal(0);
    });
  });
};
