import { expect } from 'chai';
import { tablePeriods } from '../../../src/storage/bigtable-table-plan.ts';
import { createSchemaConfig, dayOf, tableOf } from '../../../src/storage/schema-config.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { eventually } from '../../support/eventually.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { RawBigtable } from '../../support/stores/raw-bigtable.ts';

const schema = createSchemaConfig([
  { from: '2020-01-01', schema: 'v13', store: 'bigtable-hashed', prefix: 'index_', periodHours: 168, rowShards: 16 },
]);
const DAYS_MS = 86_400_000;
const tableAgo = (days: number): string => tableOf(schema[0], dayOf(Date.now()) - days);

describe('tables of the Bigtable index store', function () {
  this.timeout(60_000);
  const emulator = suiteBigtable();

  it('are made ahead and dropped with the retention, and no other is touched', async () => {
    const options = bigtableOptions(emulator().host, { periods: tablePeriods(schema), retentionMs: 14 * DAYS_MS });
    const raw = new RawBigtable(emulator().host, options.instance);
    const foreign = ['index_ext_1', 'index_0001', 'chunks_1', 'somebody'];
    for (const table of [...foreign, tableAgo(70)]) await raw.createTable(table, ['f']);
    await raw.createTable(tableAgo(77), ['f', 'mine']);
    const problems: string[] = [];
    const store = await openBigtable(options, (problem) => problems.push(problem));
    const wanted = [...foreign, tableAgo(77), 'ringlog-commits', ...[0, 7, 14].map(tableAgo)].sort();
    await eventually(
      'the tables are tidied',
      async () => `${await raw.tables()}` === `${wanted}`,
      () => problems,
    );
    expect(problems).to.deep.equal([]);
    await store.close();
    await raw.close();
  });

  it('are made when a row of theirs comes, whenever that day was', async () => {
    const options = bigtableOptions(emulator().host, { periods: tablePeriods(schema), retentionMs: 14 * DAYS_MS });
    const store = await openBigtable(options);
    await store.write([{ table: 'index_100', hashValue: 'row', rangeValue: 'a', value: '-' }]);
    expect(await store.tables()).to.include.members(['index_100', tableAgo(0)]);
    await store.close();
  });

  it('that are new on another node are read here at once', async () => {
    const options = bigtableOptions(emulator().host, { periods: tablePeriods(schema), listAgeMs: 400 });
    const [one, two] = [await openBigtable(options), await openBigtable(options)];
    expect(await two.tables()).to.not.include('index_100');
    await one.write([{ table: 'index_100', hashValue: 'row', rangeValue: 'a', value: '-' }]);
    expect(await two.tables(), 'known by the time the rows are durable').to.include('index_100');
    await Promise.all([one.close(), two.close()]);
  });
});
