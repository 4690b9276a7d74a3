import { expect } from 'chai';
import {
  chunkFormatOf,
  createSchemaConfig,
  DAY_MS,
  dayBuckets,
  defaultSchemaConfig,
  firstDayOf,
  isIndexTable,
  periodAt,
  SchemaConfigError,
  type SchemaPeriodOptions,
  tableOf,
} from '../../../src/storage/schema-config.ts';

const period = (overrides: Partial<SchemaPeriodOptions> = {}): SchemaPeriodOptions => {
  return { from: '2023-03-01', schema: 'v12', prefix: 'index_', periodHours: 168, rowShards: 16, ...overrides };
};

const message = (options: readonly SchemaPeriodOptions[]): string => {
  try {
    createSchemaConfig(options);
  } catch (error) {
    expect(error).to.be.instanceOf(SchemaConfigError);
    return (error as Error).message;
  }
  return '';
};

describe('the schema configuration', () => {
  it('counts days as the calendar does', () => {
    for (const day of [
      '1970-01-01',
      '1999-12-31',
      '2000-02-29',
      '2023-04-11',
      '2024-02-29',
      '2024-03-01',
      '2100-02-28',
      '2100-03-01',
    ]) {
      expect(createSchemaConfig([period({ from: day })])[0].fromDay * DAY_MS, day).to.equal(Date.parse(day));
    }
  });

  it('names the place, what it holds and what is wanted', () => {
    expect(message([])).to.equal('schema_config.configs: want at least one period');
    expect(message([period({ from: '2023-02-29' })])).to.equal(
      'schema_config.configs[0].from: got "2023-02-29", want a day as YYYY-MM-DD',
    );
    expect(message([period(), period({ from: '2023-04-01', schema: 'v14' })])).to.equal(
      'schema_config.configs[1].schema: got "v14", want one of v9, v10, v11, v12, v13',
    );
    expect(message([period({ prefix: 'a/b' })])).to.equal(
      'schema_config.configs[0].index.prefix: got "a/b", want 1 to 64 letters, digits or _ . -',
    );
    expect(message([period({ periodHours: 36 })])).to.equal(
      'schema_config.configs[0].index.period: got "36h", want a multiple of 24h (0 for a single table)',
    );
    expect(message([period({ rowShards: 0 })])).to.equal(
      'schema_config.configs[0].row_shards: got 0, want a whole number from 1 to 1024',
    );
    expect(message([period({ from: '2023-04-12' }), period({ from: '2023-04-12' })])).to.equal(
      'schema_config.configs[1].from: 2023-04-12 is not after 2023-04-12: want periods in ascending order',
    );
  });

  it('refuses days that do not exist', () => {
    for (const from of ['2023-13-01', '2023-00-01', '2023-04-31', '2100-02-29', '2023-4-1', 'today', '']) {
      expect(message([period({ from })]), from).to.contain('want a day as YYYY-MM-DD');
    }
  });

  it('begins with v13, whose chunks are of format 4; those of older schemas are of format 3', () => {
    expect(defaultSchemaConfig().map(({ schema, prefix }) => `${schema} ${prefix}`)).to.deep.equal(['v13 index_']);
    expect(chunkFormatOf(defaultSchemaConfig()[0])).to.equal(4);
    for (const schema of ['v9', 'v10', 'v11', 'v12']) {
      expect(chunkFormatOf(createSchemaConfig([period({ schema })])[0])).to.equal(3);
    }
  });

  it('finds the period of a time; what is before all periods belongs to the first', () => {
    const config = createSchemaConfig([period(), period({ from: '2023-04-12', schema: 'v13' })]);
    const change = Date.UTC(2023, 3, 12);
    expect(periodAt(config, change - 1).schema).to.equal('v12');
    expect(periodAt(config, change).schema).to.equal('v13');
    expect(periodAt(config, -1).schema).to.equal('v12');
  });
});

describe('tables', () => {
  const tables = (fromMs: number, throughMs: number) =>
    dayBuckets(createSchemaConfig([period()]), fromMs, throughMs).map(({ table }) => table);

  it('are named by the number of their span; a week changes on Thursdays', () => {
    const thursday = Date.UTC(2023, 3, 13);
    expect(tables(thursday - 1, thursday - 1)).to.deep.equal(['index_2779']);
    expect(tables(thursday, thursday)).to.deep.equal(['index_2780']);
    expect(tables(thursday - 1, thursday)).to.deep.equal(['index_2779', 'index_2780']);
  });

  it('are one for all days where the period says 0', () => {
    const [single] = createSchemaConfig([period({ periodHours: 0, prefix: 'index' })]);
    expect(tableOf(single, 19_458)).to.equal('index');
  });

  it('that are not there are left out, over any span of time', () => {
    const config = createSchemaConfig([period()]);
    const day = 19_458;
    const found = dayBuckets(config, 0, day * 2 * DAY_MS, new Set(['index_2779', 'other']));
    expect(found.map((bucket) => bucket.day)).to.deep.equal([19_453, 19_454, 19_455, 19_456, 19_457, 19_458, 19_459]);
  });
});

describe('day buckets', () => {
  const day = 19_459;
  const config = createSchemaConfig([period({ prefix: 'a_' }), period({ from: '2023-04-12', prefix: 'b_' })]);

  it('are told from those of others by prefix and number, and so is the first day that any may have rows of', () => {
    const config = createSchemaConfig([
      { from: '2020-01-01', schema: 'v11', prefix: 'old_', periodHours: 168, rowShards: 16 },
      { from: '2023-04-13', schema: 'v13', prefix: 'all', periodHours: 0, rowShards: 16 },
    ]);
    const tables = ['old_2779', 'all', 'old_', 'old_x', 'older_1', 'ringlog-commits'];
    expect(tables.filter((table) => isIndexTable(config, table))).to.deep.equal(['old_2779', 'all']);
    expect(firstDayOf(config, tables)).to.equal(2779 * 7);
    expect(firstDayOf(config, ['all'])).to.equal(19_460);
    expect(firstDayOf(config, ['other'])).to.equal(undefined);
  });

  it('are clipped where a period ends, 1 ms before the next begins', () => {
    const found = dayBuckets(config, day * DAY_MS - 60_000, day * DAY_MS + 60_000);
    expect(found.map(({ table, day, throughInDayMs }) => ({ table, day, throughInDayMs }))).to.deep.equal([
      { table: 'a_2779', day: day - 1, throughInDayMs: DAY_MS - 1 },
      { table: 'b_2779', day, throughInDayMs: 60_000 },
    ]);
  });

  it('go on over midnight within a period', () => {
    const found = dayBuckets(config, day * DAY_MS + 1, (day + 1) * DAY_MS);
    expect(found.map(({ throughInDayMs }) => throughInDayMs)).to.deep.equal([DAY_MS, 0]);
  });
});
