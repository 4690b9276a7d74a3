import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { EmbeddedStore } from '../../../src/cluster/membership/embedded-store.ts';
import { StoreClient } from '../../../src/cluster/membership/store-client.ts';
import { serveStore } from '../../../src/cluster/membership/store-server.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { ManualClock } from '../../support/clock.ts';
import { refusalOf, Told } from './store-contract.ts';

const clock = systemClock;
const put = (key: string, value: string, lease?: string) =>
  ({ type: 'put', key, value, ...(lease !== undefined && { lease }) }) as const;

describe('the embedded membership store', () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-members-'));
    file = path.join(folder, 'membership.json');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('has what it answered, and leases with their whole time, though its process ended at once', async () => {
    const store = await EmbeddedStore.open({ clock, file });
    const lease = await store.grant(30_000, 5_000);
    const { revision } = await store.transaction([], [put('a', 'A', lease)], 5_000);
    // Not closed: as after a kill.
    const after = await EmbeddedStore.open({ clock, file });
    expect(await after.range('', 5_000)).to.deep.equal(await store.range('', 5_000));
    await after.keepAlive(lease, 5_000);
    expect(await after.grant(30_000, 5_000), 'no lease id twice').not.to.equal(lease);
    expect((await after.transaction([], [put('b', 'B')], 5_000)).revision).to.equal(revision + 1);
    await store.close();
    await after.close();
  });

  it('does not start over on a file that it cannot read: revisions would be given out twice', async () => {
    await writeFile(file, '{"revision":');
    expect(await refusalOf(EmbeddedStore.open({ clock, file }))).to.equal('UNAVAILABLE');
    expect(await readFile(file, 'utf8')).to.equal('{"revision":');
  });

  it('neither answers nor tells what it could not write down', async () => {
    const store = await EmbeddedStore.open({ clock, file: path.join(folder, 'none', 'membership.json') });
    const told = new Told();
    store.watch('', 2, told);
    expect(await refusalOf(store.transaction([], [put('a', 'A')], 5_000))).to.equal('UNAVAILABLE');
    expect(await refusalOf(store.range('', 5_000))).to.equal('UNAVAILABLE');
    expect(told.changes).to.deep.equal([]);
    await store.close();
  });

  it('is served once: a socket left behind is replaced, one in use is not', async () => {
    const store = await EmbeddedStore.open({ clock });
    const address = { path: path.join(folder, 'members.sock') };
    await writeFile(address.path, '');
    const server = await serveStore(store, address);
    expect(await refusalOf(serveStore(store, address))).to.equal('UNAVAILABLE');
    const client = new StoreClient({ clock, address });
    await client.transaction([], [put('a', 'A')], 5_000);
    expect((await store.range('', 5_000)).entries.length).to.equal(1);
    await client.close();
    await server.close();
    await store.close();
  });

  it('refuses by the deadline when nobody serves it', async () => {
    const client = new StoreClient({ clock, address: { path: path.join(folder, 'nobody.sock') } });
    expect(await refusalOf(client.range('', 200))).to.equal('UNAVAILABLE');
    await client.close();
    expect(await refusalOf(client.range('', 200))).to.equal('UNAVAILABLE');
  });

  describe('whose own process stands still', () => {
    const TTL_MS = 10_000;
    const hasA = async (store: EmbeddedStore): Promise<boolean> => (await store.range('a', 5_000)).entries.length === 1;
    const storeWith = async (ttlMs: number) => {
      const manual = new ManualClock();
      let stoodMs = 0;
      const still = {
        nowMs: () => manual.nowMs() + stoodMs,
        monotonicMs: () => manual.monotonicMs() + stoodMs,
        after: (delayMs: number, callback: () => void) => manual.after(delayMs, callback),
      };
      const store = await EmbeddedStore.open({ clock: still });
      const lease = await store.grant(ttlMs, 5_000);
      await store.transaction([], [put('a', 'A', lease)], 5_000);
      /** Timers run before what came over the sockets meanwhile is read. */
      const standStill = (ms: number): void => {
        stoodMs += ms;
        manual.advance(Math.min(500, ttlMs / 16));
      };
      return { store, lease, advance: (ms: number) => manual.advance(ms), standStill };
    };

    for (const [ttlMs, keptMs, pauseMs] of [
      [TTL_MS, 0, 9_001],
      [TTL_MS, 0, 10_500],
      [TTL_MS, 5_000, 60_000],
      [TTL_MS, 8_000, 1_999],
      [2_000, 1_000, 1_100],
      [2_000, 1_500, 1_990],
    ] as const) {
      it(`ends no lease for that: one of ${ttlMs} ms, ${keptMs} ms after it was kept alive, for ${pauseMs} ms`, async () => {
        const { store, lease, advance, standStill } = await storeWith(ttlMs);
        advance(keptMs);
        standStill(pauseMs);
        expect(await hasA(store)).to.equal(true);
        await store.keepAlive(lease, 5_000);
        advance(ttlMs - 1);
        expect(await hasA(store), 'its whole time').to.equal(true);
        advance(1);
        expect(await hasA(store), 'and no more').to.equal(false);
        await store.close();
      });
    }

    it('ends those of the dead all the same, however often that is', async () => {
      const { store, advance, standStill } = await storeWith(TTL_MS);
      let rounds = 0;
      for (; rounds < 100 && (await hasA(store)); rounds += 1) {
        standStill(3_000);
        advance(1_000);
      }
      expect(rounds).to.be.within(5, 11);
      await store.close();
    });
  });

  it('resets a watch whose store was emptied: it cannot know what it missed', async () => {
    const store = await EmbeddedStore.open({ clock });
    const told = new Told();
    store.watch('', 1_000, told);
    await store.transaction([], [put('a', 'A')], 5_000);
    expect(told.resets).to.equal(1);
    await store.close();
  });
});
