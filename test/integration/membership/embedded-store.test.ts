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

  it('ends no lease because its own process stood still, however long: it could not hear who kept it alive', async () => {
    const manual = new ManualClock();
    let stoodMs = 0;
    const still = {
      nowMs: () => manual.nowMs() + stoodMs,
      monotonicMs: () => manual.monotonicMs() + stoodMs,
      after: (delayMs: number, callback: () => void) => manual.after(delayMs, callback),
    };
    const store = await EmbeddedStore.open({ clock: still });
    for (const pauseMs of [9_001, 9_500, 10_500, 60_000]) {
      const lease = await store.grant(10_000, 5_000);
      await store.transaction([], [put('a', 'A', lease)], 5_000);
      stoodMs += pauseMs;
      // Timers run before what came over the sockets meanwhile is read.
      manual.advance(1_000);
      expect((await store.range('a', 5_000)).entries.length, `${pauseMs} ms`).to.equal(1);
      await store.keepAlive(lease, 5_000);
      manual.advance(9_999);
      expect((await store.range('a', 5_000)).entries.length, 'its whole time').to.equal(1);
      manual.advance(1);
      expect((await store.range('a', 5_000)).entries.length, 'and no more').to.equal(0);
    }
    await store.close();
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
