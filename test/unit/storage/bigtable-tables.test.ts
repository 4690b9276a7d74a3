import { expect } from 'chai';
import { BigtableTables, type BigtableTablesOptions } from '../../../src/storage/bigtable-tables.ts';
import { DAY_MS } from '../../../src/storage/schema-config.ts';
import { ManualClock } from '../../support/clock.ts';

const now = Date.UTC(2023, 3, 13, 12);
const day = Math.floor(now / DAY_MS);

/** Tables of an instance, with their families. */
class FakeAdmin {
  readonly there = new Map<string, readonly string[]>();
  lists = 0;
  failure: Error | undefined;

  async tables(): Promise<readonly string[]> {
    this.lists += 1;
    if (this.failure) throw this.failure;
    return [...this.there.keys()];
  }

  async families(table: string): Promise<readonly string[]> {
    return this.there.get(table) ?? [];
  }

  async create(table: string, families: readonly string[]): Promise<void> {
    if (!this.there.has(table)) this.there.set(table, families);
  }

  async drop(table: string): Promise<void> {
    this.there.delete(table);
  }
}

describe('the tables of an index in Bigtable', () => {
  let admin: FakeAdmin;
  let clock: ManualClock;
  let opened: BigtableTables[];
  let problems: string[];

  beforeEach(() => {
    admin = new FakeAdmin();
    clock = new ManualClock(now);
    opened = [];
    problems = [];
  });

  afterEach(async () => {
    for (const tables of opened) await tables.close();
  });

  const open = async (overrides: Partial<BigtableTablesOptions> = {}): Promise<BigtableTables> => {
    const options = {
      periods: [{ prefix: 'index_', periodHours: 24, fromDay: day - 5, endDay: undefined }],
      graceMs: 600_000,
      retentionMs: 0,
      listAgeMs: 15_000,
      pollMs: 120_000,
      ...overrides,
    };
    const tables = new BigtableTables(options, { admin, clock, report: (problem) => problems.push(problem) });
    opened.push(tables);
    await tables.open('own', ['c', 'r']);
    return tables;
  };

  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('are made from the first day on, and each before its day begins', async () => {
    const tables = await open();
    await tables.tidy();
    expect(admin.there.get('own')).to.deep.equal(['c', 'r']);
    admin.there.delete('own');
    expect([...admin.there.keys()].sort()).to.deep.equal([0, 1, 2, 3, 4, 5].map((ago) => `index_${day - 5 + ago}`));
    for (const families of admin.there.values()) expect(families).to.deep.equal(['f']);
    for (let minute = 0; minute < 12 * 60 - 8; minute += 2) {
      clock.advance(120_000);
      await settled();
    }
    expect([...admin.there.keys()]).to.include(`index_${day + 1}`);
  });

  it('are there for writers as soon as the store is open', async () => {
    await open();
    expect([...admin.there.keys()]).to.include(`index_${day}`);
  });

  it('go when they are past the retention, and nothing else does', async () => {
    const others = ['index_ext_1', 'index_7', `index_0${day - 4}`, `index_${day - 4}_old`, `other_${day - 4}`];
    for (const name of others) admin.there.set(name, ['f']);
    // Its name is ours, but not what is in it.
    admin.there.set(`index_${day - 5}`, ['f', 'mine']);
    admin.there.set(`index_${day - 4}`, ['f']);
    const tables = await open({ retentionMs: 2 * DAY_MS });
    await tables.tidy();
    const kept = [day - 2, day - 1, day].map((number) => `index_${number}`);
    expect([...admin.there.keys()].sort()).to.deep.equal(['own', `index_${day - 5}`, ...others, ...kept].sort());
  });

  it('are looked into by readers wherever they are expected, whatever an old list says', async () => {
    const tables = await open();
    await tables.tidy();
    await tables.names();
    admin.there.clear();
    admin.there.set('index_9', ['f']);
    const names = await tables.names();
    expect(names).to.include.members([`index_${day}`, `index_${day - 5}`]);
    expect(names, 'the list is not old yet').to.not.include('index_9');
    clock.advance(15_000);
    expect(await tables.names()).to.include('index_9');
  });

  it('are listed once for all who may have a list so old', async () => {
    const tables = await open();
    await tables.tidy();
    clock.advance(15_000);
    admin.lists = 0;
    await Promise.all([tables.names(), tables.names(), tables.names()]);
    expect(admin.lists).to.equal(1);
    const fresh = await open({ listAgeMs: 0, periods: [] });
    admin.lists = 0;
    await Promise.all([fresh.names(), fresh.names()]);
    expect(admin.lists).to.equal(2);
  });

  it('are listed again after an error', async () => {
    const tables = await open();
    clock.advance(15_000);
    admin.failure = new Error('away');
    expect(await tables.names().catch((error: unknown) => error)).to.equal(admin.failure);
    admin.failure = undefined;
    expect(await tables.names()).to.include('own');
  });

  it('take rows at once where every reader looks', async () => {
    const tables = await open();
    expect(tables.whenSeen(`index_${day}`)).to.equal(undefined);
    expect(tables.whenSeen(`index_${day - 5}`)).to.equal(undefined);
  });

  it('of other days take rows once every list has them, whoever made them', async () => {
    const [one, two] = [await open(), await open()];
    const seen: string[] = [];
    void one.whenSeen('index_5')?.then(() => seen.push('one'));
    await settled();
    expect(admin.there.has('index_5'), 'made').to.equal(true);
    clock.advance(10_000);
    await settled();
    // The other finds it on its list, and cannot know for how long it has been there.
    void two.whenSeen('index_5')?.then(() => seen.push('two'));
    await settled();
    clock.advance(4_999);
    await settled();
    expect(seen).to.deep.equal([]);
    clock.advance(1);
    await settled();
    expect(seen).to.deep.equal(['one']);
    clock.advance(10_000);
    await settled();
    expect(seen).to.deep.equal(['one', 'two']);
    expect(one.whenSeen('index_5')).to.equal(undefined);
  });

  it('are made and dropped though one of them can be neither', async () => {
    const tables = await open({ retentionMs: 2 * DAY_MS });
    await settled();
    admin.there.delete(`index_${day}`);
    admin.there.delete(`index_${day - 1}`);
    for (const old of [5, 4, 3]) admin.there.set(`index_${day - old}`, ['f']);
    const { create, drop } = admin;
    const failure = new Error('not this one');
    admin.create = async (table, families) => {
      if (table === `index_${day}`) throw failure;
      await create.call(admin, table, families);
    };
    admin.drop = async (table) => {
      if (table === `index_${day - 4}`) throw failure;
      await drop.call(admin, table);
    };
    expect(await tables.tidy().catch((error: unknown) => error)).to.equal(failure);
    expect(admin.there.has(`index_${day - 1}`)).to.equal(true);
    const left = [5, 4, 3].filter((old) => admin.there.has(`index_${day - old}`));
    expect(left).to.deep.equal([4]);
  });

  it('are tried again later when they cannot be made', async () => {
    await open();
    await settled();
    admin.there.delete(`index_${day - 3}`);
    admin.failure = new Error('away');
    clock.advance(120_000);
    await settled();
    expect(problems).to.have.length(1);
    admin.failure = undefined;
    clock.advance(120_000);
    await settled();
    expect(admin.there.has(`index_${day - 3}`)).to.equal(true);
  });
});
