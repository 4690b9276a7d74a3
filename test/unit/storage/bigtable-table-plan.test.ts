import { expect } from 'chai';
import {
  expectedTables,
  expiredTables,
  type TablePeriod,
  tablePeriods,
} from '../../../src/storage/bigtable-table-plan.ts';
import { createSchemaConfig, DAY_MS } from '../../../src/storage/schema-config.ts';

const HOUR_MS = 3_600_000;
/** A Thursday: tables of 168 hours change. */
const thursday = Date.UTC(2023, 3, 13);

const period = (overrides: Partial<TablePeriod> = {}): TablePeriod => ({
  prefix: 'index_',
  periodHours: 168,
  fromDay: 19_400,
  endDay: undefined,
  ...overrides,
});

const expected = (periods: readonly TablePeriod[], nowMs: number, retentionMs = 0) =>
  expectedTables(periods, nowMs, { graceMs: 10 * 60_000, retentionMs });

describe('tables that are to be there', () => {
  it('are those of all days since the first, and of the next ones in time', () => {
    const all = ['index_2779', 'index_2778', 'index_2777', 'index_2776', 'index_2775', 'index_2774', 'index_2773'];
    const early = [...all, 'index_2772', 'index_2771'];
    expect(expected([period()], thursday - 11 * 60_000)).to.deep.equal(early);
    expect(expected([period()], thursday - 10 * 60_000)).to.deep.equal(['index_2780', ...early]);
  });

  it('begin where the retention ends, as Loki counts it', () => {
    // 28 days keep the current week and four before it.
    expect(expected([period()], thursday, 28 * DAY_MS)).to.deep.equal([
      'index_2780',
      'index_2779',
      'index_2778',
      'index_2777',
      'index_2776',
    ]);
  });

  it('are those of each period on its own days', () => {
    const day = thursday / DAY_MS;
    const periods = [
      period({ prefix: 'a_', fromDay: day - 1, endDay: day + 1 }),
      period({ prefix: 'b', periodHours: 0, fromDay: day + 1, endDay: day + 2 }),
      period({ prefix: 'c_', periodHours: 24, fromDay: day + 2 }),
    ];
    expect(expected(periods, thursday)).to.deep.equal(['a_2780', 'a_2779']);
    expect(expected(periods, thursday + DAY_MS + HOUR_MS)).to.deep.equal(['b', 'a_2780', 'a_2779']);
    expect(expected(periods, thursday + 3 * DAY_MS)).to.deep.equal([
      `c_${day + 3}`,
      `c_${day + 2}`,
      'b',
      'a_2780',
      'a_2779',
    ]);
  });

  it('are of the periods in Bigtable alone', () => {
    const schema = createSchemaConfig([
      { from: '2023-01-01', schema: 'v12', prefix: 'a_', periodHours: 168, rowShards: 16 },
      { from: '2023-02-01', schema: 'v12', store: 'bigtable', prefix: 'b_', periodHours: 168, rowShards: 16 },
      { from: '2023-03-01', schema: 'v13', store: 'bigtable-hashed', prefix: 'c_', periodHours: 24, rowShards: 16 },
    ]);
    expect(tablePeriods(schema).map(({ prefix, endDay }) => [prefix, endDay])).to.deep.equal([
      ['b_', Date.UTC(2023, 2, 1) / DAY_MS],
      ['c_', undefined],
    ]);
  });
});

describe('tables that are to go', () => {
  const expired = (tables: readonly string[], periods = [period()], retentionMs = 28 * DAY_MS) =>
    expiredTables(periods, tables, thursday, { retentionMs });

  it('are those that are past the retention, of a period and its days', () => {
    const tables = ['index_2780', 'index_2776', 'index_2775', 'index_2772', 'index_2771', 'index_2770', 'index_9'];
    // The period begins in 2771: what is before it was not made for it.
    expect(expired(tables)).to.deep.equal(['index_2775', 'index_2772', 'index_2771']);
  });

  it('are none without a retention', () => {
    expect(expired(['index_2775'], [period()], 0)).to.deep.equal([]);
  });

  it('are none that are named otherwise', () => {
    const others = ['index_ext_2775', 'index_2775b', 'index_02775', 'index_', 'index_-5', 'Index_2775', 'x_index_2775'];
    expect(expired([...others, 'index_2775.0', 'ringlog-commits', '2775', 'index_12345678901'])).to.deep.equal([]);
  });

  it('are none that another period of the same prefix may have named and keeps', () => {
    const day = thursday / DAY_MS;
    // 2775 is a week in 2023 for the one, and a day in 1977 for the other.
    const daily = period({ periodHours: 24, fromDay: 0, endDay: 19_400 });
    expect(expired(['index_2775'], [daily, period()])).to.deep.equal(['index_2775']);
    const kept = period({ periodHours: 24, fromDay: day - 10 });
    expect(expired([`index_${day - 3}`], [kept, period({ periodHours: 24, fromDay: 19_000 })])).to.deep.equal([]);
    // By the weekly period long gone, by the daily one yesterday's.
    const weekly = period({ fromDay: 0, endDay: 7 * (day + 1) });
    expect(expired([`index_${day - 1}`], [weekly, kept])).to.deep.equal([]);
  });

  it('are never the one table of a period without a length', () => {
    expect(expired(['all', 'all2775'], [period({ prefix: 'all', periodHours: 0 })])).to.deep.equal([]);
    expect(expired(['index_2775'], [period(), period({ prefix: 'index_2775', periodHours: 0 })])).to.deep.equal([]);
  });
});
