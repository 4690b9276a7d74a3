import { hash } from 'node:crypto';
import { cp, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import { DAY_MS } from '../../../src/storage/schema-config.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { logRequest } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { StoreRig } from '../../support/store-rig.ts';
import { newInstance } from '../../support/stores/bigtable-stores.ts';
import { RawBigtable } from '../../support/stores/raw-bigtable.ts';
import { CliProcess, type Finished } from '../cli/cli-process.ts';

const TENANTS = ['team-a', 'team-b'];
const STREAMS = 8;
const DAYS = [0, 1, 2, 3];

const dayOfT0 = (days: number): string => new Date(T0_MS + days * DAY_MS).toISOString().slice(0, 10);

const QUERIES = [
  '{app=~".+"}',
  '{app="app-3", env!="dev"} |= "1"',
  'sum by (app) (count_over_time({app=~"app-.*"}[6h]))',
  'sum(rate({env="prod"} | logfmt | n > 10 [1d]))',
];

/** What a node answers to a set of queries, of all tenants, with labels and series. */
const answersOf = async (node: RinglogNode): Promise<string> => {
  const answers: unknown[] = [];
  const range = { startNs: BigInt(T0_MS - DAY_MS) * 1_000_000n, endNs: BigInt(T0_MS + 5 * DAY_MS) * 1_000_000n };
  for (const tenant of TENANTS) {
    for (const query of QUERIES) {
      const request = logRequest(query, { tenant, ...range, stepNs: 3_600_000_000_000n });
      const { statistics: _, ...answer } = await node.services.queryAll(request, new AbortController().signal);
      answers.push(answer);
    }
    answers.push([...(await node.services.labelValues(tenant, 'app', [], range))].sort());
  }
  return JSON.stringify(answers, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
};

/** Every six hours from noon on: some chunks lie across midnight. */
const PARTS = [0, 1, 2];
const ENTRIES = 20;

const push = async (node: RinglogNode, days: readonly number[]): Promise<void> => {
  for (const tenant of TENANTS) {
    for (const [day, part] of days.flatMap((one) => PARTS.map((two) => [one, two] as const))) {
      const streams = Object.fromEntries(
        Array.from({ length: STREAMS }, (_, stream) => [
          `{app="app-${stream}", env="${stream % 2 ? 'prod' : 'dev'}"}`,
          Array.from({ length: ENTRIES }, (_, at) => ({
            ...entryAt(
              day * DAY_MS + part * 21_600_000 + 1_080_000 * at + stream,
              `n=${at} tenant=${tenant} ${hash('sha512', `${day} ${part} ${stream} ${at}`, 'base64')}`,
            ),
            metadata: ['trace', `${day}-${stream}-${at}`],
          })),
        ]),
      );
      await node.services.push(tenant, pushOf(streams));
      await node.services.flush();
    }
  }
};

describe('ringlog copy', function () {
  this.timeout(120_000);
  let rig: StoreRig;

  beforeEach(async () => {
    rig = await StoreRig.open();
  });
  afterEach(() => rig.close());

  const embedded = (name: string, ...periods: readonly object[]): object => rig.embedded(name, ...periods);

  const fileOf = async (settings: object): Promise<string> => {
    const file = path.join(rig.folder, `${Math.random().toString(36).slice(2)}.yaml`);
    await writeFile(file, JSON.stringify(settings));
    return file;
  };

  const begin = async (from: object, to: object, args: readonly string[] = [], env = {}): Promise<CliProcess> => {
    const files = ['--from-config', await fileOf(from), '--to-config', await fileOf(to)];
    return new CliProcess(['copy', ...files, ...args], env);
  };

  const copy = async (from: object, to: object, ...args: readonly string[]): Promise<Finished> =>
    await (await begin(from, to, args)).finished();

  const totals = async (from: object, to: object, ...args: readonly string[]): Promise<Record<string, number>> => {
    const { code, stdout, stderr } = await copy(from, to, '--json', ...args);
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout) as Record<string, number>;
  };

  /** Pushes everything to a node over these stores, stops it. @returns its answers */
  const fill = async (settings: object): Promise<string> => {
    const node = await rig.start(settings);
    await push(node, DAYS);
    const answers = await answersOf(node);
    await rig.stop();
    return answers;
  };

  const expectAnswers = async (settings: object, answers: string): Promise<void> => {
    expect(await answersOf(await rig.start(settings))).to.equal(answers);
    await rig.stop();
  };

  const source = (): object =>
    embedded('source', { from: '2020-01-01', schema: 'v11' }, { from: dayOfT0(1), schema: 'v13' });
  const bucket = (): object =>
    rig.inBucket(
      'bucket',
      { from: '2020-01-01', schema: 'v12' },
      { from: dayOfT0(2), schema: 'v13', index: { prefix: 'new_' } },
    );

  it('moves a store and back, and every answer stays the same', async () => {
    const answers = await fill(source());
    expect(answers.length).to.be.greaterThan(50_000);
    const { copied = 0, copiedBytes } = await totals(source(), bucket());
    expect(copied).to.be.greaterThan(100);
    expect(rig.server.objects.bucket('chunks').size).to.equal(copied);
    expect(copiedBytes).to.equal(
      [...rig.server.objects.bucket('chunks').values()].reduce((sum, { bytes }) => sum + bytes.length, 0),
    );
    await expectAnswers(bucket(), answers);
    const again = embedded('again', { from: '2020-01-01', schema: 'v9', index: { prefix: 'nine_', period: '24h' } });
    expect(await totals(bucket(), again)).to.include({ copied, there: 0, unnamed: 0 });
    await expectAnswers(again, answers);
    expect(await totals(again, bucket())).to.include({ copied: 0, there: copied });
    const verified = await totals(source(), again, '--verify');
    expect(verified).to.include({ equal: copied, different: 0, damaged: 0, comparedBytes: copiedBytes });
  });

  it('goes on where it was killed, or interrupted, at any moment', async () => {
    const answers = await fill(source());
    const all = (await readdir(path.join(rig.folder, 'source/chunks'), { recursive: true })).filter((name) =>
      /:[0-9a-f]+$/.test(name),
    );
    const there = (): number => rig.server.objects.bucket('chunks').size;
    for (const share of [0.1, 0.3, 0.5]) {
      const copying = await begin(source(), bucket(), ['--rate-limit', '100KB', '--concurrency', '3']);
      await eventually('some were copied', () => there() >= share * all.length);
      copying.child.kill('SIGKILL');
      await copying.finished();
    }
    const copying = await begin(source(), bucket(), ['--rate-limit', '100KB', '--json']);
    const before = there();
    await eventually('more were copied', () => there() > before + 5);
    copying.child.kill('SIGINT');
    const { code, stdout, stderr } = await copying.finished();
    expect([code, stderr]).to.deep.equal([
      1,
      'ending: what is under way is finished first\n' +
        'ringlog: interrupted: what was copied stays, the same command goes on from there\n',
    ]);
    expect(JSON.parse(stdout).copied).to.be.greaterThan(5);
    expect(there()).to.be.lessThan(all.length);
    const rest = await totals(source(), bucket());
    expect((rest['copied'] ?? 0) + (rest['there'] ?? 0)).to.equal(all.length);
    expect(rest['there']).to.be.greaterThan(all.length / 2);
    expect(there()).to.equal(all.length);
    await expectAnswers(bucket(), answers);
  });

  it('copies what a running node has stored, and later the rest', async () => {
    const running = await rig.start(source());
    await push(running, [0, 1]);
    const { copied = 0 } = await totals(source(), bucket());
    await push(running, [2]);
    expect(await totals(source(), bucket(), '--dry-run')).to.include({ there: copied, copiedBytes: 0 });
    const later = await totals(source(), bucket());
    expect(later['there']).to.equal(copied);
    expect(later['copied']).to.be.greaterThan(0);
    const answers = await answersOf(running);
    await expectAnswers(bucket(), answers);
  });

  it('copies one tenant and a stretch of time', async () => {
    await fill(source());
    await totals(source(), bucket(), '--tenant', 'team-b', '--from', `${dayOfT0(3)}T00:00:00Z`);
    const names = [...rig.server.objects.bucket('chunks').keys()];
    expect(names).to.not.be.empty;
    for (const name of names) expect(name).to.match(/^team-b\//);
    const lines = await rig.start(bucket());
    const atNs = BigInt(T0_MS + 4 * DAY_MS) * 1_000_000n;
    const request = (query: string) =>
      logRequest(query, { tenant: 'team-b', startNs: atNs, endNs: atNs, isInstant: true });
    const result = await lines.services.queryAll(
      request('sum(count_over_time({app=~".+"}[30h]))'),
      new AbortController().signal,
    );
    expect(JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? `${value}` : value))).to.include(
      `${STREAMS * ENTRIES * PARTS.length}`,
    );
  });

  it('says what it did, what it would do, and what differs', async () => {
    await fill(source());
    const look = await copy(source(), bucket(), '--dry-run');
    expect([look.code, look.stderr]).to.deep.equal([0, '']);
    const count = /^would copy (\d+) chunks in [\d.]+ s; 0 were there, 0 were left out\n$/.exec(look.stdout)?.[1];
    expect(count, look.stdout).to.not.equal(undefined);
    expect(rig.server.objects.bucket('chunks').size).to.equal(0);
    const done = await copy(source(), bucket());
    expect(done.stdout).to.match(
      new RegExp(`^copied ${count} chunks \\(\\d\\.\\d MB\\) in [\\d.]+ s; 0 were there, 0 were left out\\n$`),
    );
    const [lost = ''] = rig.server.objects.bucket('chunks').keys();
    rig.server.objects.bucket('chunks').delete(lost);
    const { code, stdout, stderr } = await copy(source(), bucket(), '--verify');
    expect(code).to.equal(1);
    expect(stderr)
      .to.include('at the target: there is no such object\n')
      .and.to.include('ringlog: 1 chunks are not as at the source\n');
    expect(stdout).to.match(/^new_\d+: (\d+) of \1 rows of chunks, (\d+) of \2 of series and labels\n/m);
    expect(stdout)
      .to.include(`${Number(count) - 1} chunks are equal (`)
      .and.to.include(', 1 differ, 0 are damaged at the source\n');
    expect((await copy(source(), bucket(), '--all')).code).to.equal(0);
    expect((await copy(source(), bucket(), '--verify')).code).to.equal(0);
  });

  it('leaves its source as it is', async () => {
    await fill(source());
    const photograph = async (): Promise<readonly string[]> => {
      const names = await readdir(path.join(rig.folder, 'source'), { recursive: true });
      const files = names.filter((name) => !name.endsWith('lock.mdb')).sort();
      return await Promise.all(
        files.map(async (name) => {
          const { mtimeMs, size } = await stat(path.join(rig.folder, 'source', name));
          return `${name} ${mtimeMs} ${size}`;
        }),
      );
    };
    const before = await photograph();
    await totals(source(), bucket());
    expect(await photograph()).to.deep.equal(before);
  });

  it('refuses what it cannot copy, and says why', async () => {
    await fill(source());
    const refused = async (from: object, to: object, ...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await copy(from, to, ...args);
      expect(stdout).to.equal('');
      return `${code} ${stderr.trimEnd()}`;
    };
    const dir = path.join(rig.folder, 'source');
    expect(await refused(source(), source())).to.equal('2 ringlog: both configurations name the same stores');
    expect(await refused(source(), embedded('source'))).to.equal(
      `2 ringlog: both configurations have their index in ${dir}: it cannot be copied into itself`,
    );
    expect(await refused(embedded('nowhere'), bucket())).to.match(/^1 ringlog: cannot open the chunk folder: ENOENT/);
    await cp(path.join(dir, 'chunks'), path.join(rig.folder, 'nowhere/chunks'), { recursive: true });
    expect(await refused(embedded('nowhere'), bucket())).to.match(
      /^1 ringlog: there is no index in \S+nowhere\/index$/,
    );
    expect(await refused(source(), bucket(), '--verify', '--all')).to.match(/^2 ringlog: --verify copies nothing/);
    expect(await refused(source(), bucket(), '--from', 'yesterday')).to.match(
      /^2 ringlog: --from: "yesterday" is no time/,
    );
    expect(await refused(source(), bucket(), '--rate-limit', 'much')).to.match(
      /^2 ringlog: option '--rate-limit <size>'/,
    );
    await rig.start(embedded('target'));
    expect(await refused(source(), embedded('target'))).to.equal(
      `1 ringlog: the data folder ${path.join(rig.folder, 'target')} is in use by another ringlog node`,
    );
  });

  describe('with an index in Bigtable', () => {
    const emulator = suiteBigtable({ isNamed: true });

    const inCloud = (instance: string, ...periods: readonly object[]): object => ({
      ...rig.inBucket(instance, ...periods),
      storage_config: {
        gcs: { bucket_name: 'chunks', api_endpoint: rig.server.url },
        bigtable: { project: 'test', instance, table_cache_expiration: '0s' },
      },
    });

    it('moves an embedded store there and back, and every answer stays the same', async () => {
      const cloud = inCloud(
        newInstance(),
        { from: dayOfT0(-7), schema: 'v12', store: 'bigtable' },
        { from: dayOfT0(2), schema: 'v13', store: 'bigtable-hashed' },
      );
      const answers = await fill(source());
      const { copied } = await totals(source(), cloud);
      expect(copied).to.be.greaterThan(100);
      await expectAnswers(cloud, answers);
      expect(await totals(source(), cloud)).to.include({ copied: 0, there: copied });
      expect(await totals(source(), cloud, '--verify')).to.include({ equal: copied, different: 0 });
      const again = embedded('again');
      expect(await totals(cloud, again)).to.include({ copied, there: 0, unnamed: 0 });
      await expectAnswers(again, answers);
    });

    it('moves the index alone where the bucket stays', async () => {
      const bucketAndLmdb = rig.inBucket('lmdb', { from: dayOfT0(-7), schema: 'v13' });
      const cloud = inCloud(newInstance(), { from: dayOfT0(-7), schema: 'v13', store: 'bigtable-hashed' });
      const answers = await fill(bucketAndLmdb);
      rig.server.seen.length = 0;
      await totals(bucketAndLmdb, cloud);
      expect(rig.server.count('upload')).to.equal(0);
      await expectAnswers(cloud, answers);
    });

    it('makes no table that the target’s nodes would drop, and leaves its chunks out', async () => {
      const instance = newInstance();
      const raw = new RawBigtable(emulator().host, instance);
      const period = {
        from: dayOfT0(-7),
        schema: 'v13',
        store: 'bigtable',
        index: { prefix: 'index_', period: '24h' },
      };
      const [today, first] = [Date.now(), T0_MS + 2 * DAY_MS].map((ms) => Math.floor(ms / DAY_MS)) as [number, number];
      const retention = { retention_deletes_enabled: true, retention_period: `${24 * (today - first)}h` };
      const cloud = { ...inCloud(instance, period), table_manager: retention };
      await fill(source());
      const { copied, expired } = await totals(source(), cloud);
      expect(
        [copied, expired].every((count) => (count ?? 0) > 0),
        `${copied} copied, ${expired} expired`,
      ).to.equal(true);
      const tables = (await raw.tables()).filter((table) => table.startsWith('index_'));
      expect(tables)
        .to.include(`index_${first}`)
        .and.not.include(`index_${first - 1}`);
      expect(await totals(source(), cloud, '--verify')).to.include({ equal: copied, different: 0, expired });
      const { stdout } = await copy(source(), cloud, '--dry-run');
      expect(stdout).to.contain(`${expired} are past the retention of the target's tables: not copied`);
      await raw.close();
    });

    it('makes no table at its source', async () => {
      const instance = newInstance();
      const raw = new RawBigtable(emulator().host, instance);
      const cloud = inCloud(instance, { from: dayOfT0(-7), schema: 'v13', store: 'bigtable' });
      expect(await totals(cloud, embedded('target'))).to.include({ copied: 0 });
      expect(await raw.tables()).to.deep.equal([]);
      await raw.close();
    });
  });
});
