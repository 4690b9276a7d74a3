import { expect } from 'chai';
import fc from 'fast-check';
import type { RangeAggregation, RangeOp, VectorAggregation, VectorOp } from '../../../src/logql/ast.ts';
import { absenceOf } from '../../../src/query/range/absent-over-time.ts';
import { rangeFunctionOf } from '../../../src/query/range/range-functions.ts';
import { newSeries, type StepSeries } from '../../../src/query/step-series.ts';
import { Turns } from '../../../src/query/turns.ts';
import { aggregateSeries } from '../../../src/query/vector/vector-aggregation.ts';
import { ManualClock } from '../../support/clock.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const window = (op: RangeOp, values: readonly number[], seconds = 60, parameter = 0): number => {
  const range = { unwrap: { name: 'v', conversion: 'none', filters: [] } };
  const apply = rangeFunctionOf({ op, range } as unknown as RangeAggregation);
  if (apply.kind !== 'values') throw new Error(`${op} does not take values`);
  const times = Float64Array.from(values, (_, index) => index * 10e9);
  return apply.of({
    values: Float64Array.from(values),
    times,
    first: 0,
    end: values.length,
    rangeSeconds: seconds,
    parameter,
  });
};

describe('range aggregations of values', () => {
  it('of 1, 2, 3, 4 are what Loki gives', () => {
    const values = [1, 2, 3, 4];
    expect(window('sum_over_time', values)).to.equal(10);
    expect(window('avg_over_time', values)).to.equal(2.5);
    expect(window('min_over_time', values)).to.equal(1);
    expect(window('max_over_time', values)).to.equal(4);
    expect(window('stddev_over_time', values)).to.equal(1.118033988749895);
    expect(window('stdvar_over_time', values)).to.equal(1.25);
    expect(window('first_over_time', values)).to.equal(1);
    expect(window('last_over_time', values)).to.equal(4);
    expect(window('rate', values, 10)).to.equal(1);
    expect(window('quantile_over_time', values, 60, 0.9)).to.be.closeTo(3.7, 1e-12);
  });

  it('let NaN lose against any number', () => {
    expect(window('min_over_time', [Number.NaN, 3, 2])).to.equal(2);
    expect(window('max_over_time', [Number.NaN, 3, 2])).to.equal(3);
    expect(window('max_over_time', [Number.NaN])).to.be.NaN;
  });

  it('give infinite quantiles outside of 0 to 1', () => {
    expect(window('quantile_over_time', [1], 60, 1.5)).to.equal(Number.POSITIVE_INFINITY);
  });

  it('give the quantile of the sorted values, NaN first', () => {
    const number = fc.oneof(fc.double(), fc.integer({ max: 3 }), fc.constant(Number.NaN));
    const values = fc.oneof(
      fc.array(number, { minLength: 1, maxLength: 60 }),
      // What a search for a place might meet with: sorted, reversed, up and down.
      fc
        .tuple(fc.constantFrom(1, -1), fc.nat({ max: 300 }), fc.integer({ min: 1, max: 300 }))
        .map(([sign, top, length]) => Array.from({ length }, (_, index) => sign * Math.abs(top - index))),
    );
    fc.assert(
      fc.property(
        values,
        fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 0.99, 1)),
        (all, q) => {
          const sorted = [...all].sort((a, b) => (Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : a - b));
          const rank = q * (all.length - 1);
          const lower = sorted[Math.floor(rank)]!;
          const upper = sorted[Math.min(all.length - 1, Math.floor(rank) + 1)]!;
          const weight = rank - Math.floor(rank);
          // Without the sign of a zero, which no order of values tells.
          expect(window('quantile_over_time', all, 60, q) + 0).to.deep.equal(lower * (1 - weight) + upper * weight + 0);
        },
      ),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('keep an infinite mean until its opposite comes', () => {
    expect(window('avg_over_time', [1, Number.POSITIVE_INFINITY, 5])).to.equal(Number.POSITIVE_INFINITY);
    expect(window('avg_over_time', [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])).to.be.NaN;
  });

  it("count a counter with Loki's slip of units", () => {
    expect(window('rate_counter', [0, 10, 20, 5, 15])).to.be.closeTo(0.5833333333333334, 1e-12);
    expect(window('rate_counter', [10, 20], 20)).to.be.closeTo(0.500001, 1e-12);
    expect(window('rate_counter', [7])).to.equal(0);
  });
});

const seriesOf = (labels: readonly string[], values: readonly (number | undefined)[]): StepSeries => {
  const series = newSeries(labels, values.length);
  values.forEach((value, step) => {
    if (value === undefined) return;
    series.values[step] = value;
    series.present[step] = 1;
  });
  return series;
};

const pointsOf = (series: readonly StepSeries[]): Record<string, (number | undefined)[]> =>
  Object.fromEntries(
    series.map(({ labels, values, present }) => [
      labels.join(),
      Array.from(values, (value, step) => (present[step] === 1 ? value : undefined)),
    ]),
  );

const aggregate = async (op: VectorOp, series: readonly StepSeries[], more: Partial<VectorAggregation> = {}) => {
  const stepCount = series[0]?.values.length ?? 0;
  return pointsOf(await aggregateSeries({ op, ...more } as VectorAggregation, series, stepCount, turns));
};

const turns = new Turns(new ManualClock());

describe('absent_over_time', () => {
  it('is 1 where no series has a point, with the labels of matchers that name one value', () => {
    const matchers = [
      { name: 'b', op: '=', value: '2' },
      { name: 'a', op: '=', value: '1' },
      { name: 'c', op: '=~', value: 'x' },
      { name: 'd', op: '=', value: '1' },
      { name: 'd', op: '=', value: '2' },
    ] as const;
    const found = [seriesOf([], [undefined, 1, undefined])];
    expect(pointsOf(absenceOf(found, matchers, 3))).to.deep.equal({ 'a,1,b,2': [1, undefined, 1] });
    expect(absenceOf([seriesOf([], [1])], matchers, 1)).to.deep.equal([]);
  });
});

describe('vector aggregations', () => {
  const series = [
    seriesOf(['app', 'a', 'i', '1'], [4, undefined, Number.NaN]),
    seriesOf(['app', 'a', 'i', '2'], [2, 3, 5]),
    seriesOf(['app', 'b', 'z', 'q'], [1, undefined, undefined]),
  ];

  it('go step by step over the series that have a point', async () => {
    expect(await aggregate('sum', series)).to.deep.equal({ '': [7, 3, Number.NaN] });
    expect(await aggregate('count', series)).to.deep.equal({ '': [3, 1, 2] });
    expect(await aggregate('min', series)).to.deep.equal({ '': [1, 3, 5] });
    expect(await aggregate('max', series)).to.deep.equal({ '': [4, 3, 5] });
    expect((await aggregate('avg', series.slice(0, 2)))['']?.slice(0, 2)).to.deep.equal([3, 3]);
    expect((await aggregate('stdvar', series.slice(0, 2)))['']?.slice(0, 2)).to.deep.equal([1, 0]);
    expect((await aggregate('stddev', series.slice(0, 2)))['']?.slice(0, 2)).to.deep.equal([1, 0]);
  });

  it('group by the labels that are there, or by all others', async () => {
    const by = { grouping: { without: false, names: ['z', 'nope'] } };
    expect(await aggregate('count', series, by)).to.deep.equal({ '': [2, 1, 2], 'z,q': [1, undefined, undefined] });
    const without = { grouping: { without: true, names: ['i', 'z'] } };
    expect(Object.keys(await aggregate('sum', series, without))).to.deep.equal(['app,a', 'app,b']);
  });

  it('choose the top anew at each step, with their own labels; NaN loses', async () => {
    expect(await aggregate('topk', series, { parameter: 1 })).to.deep.equal({
      'app,a,i,1': [4, undefined, undefined],
      'app,a,i,2': [undefined, 3, 5],
    });
    expect(
      await aggregate('bottomk', series, { parameter: 1, grouping: { without: false, names: ['app'] } }),
    ).to.deep.equal({
      'app,a,i,2': [2, 3, 5],
      'app,b,z,q': [1, undefined, undefined],
    });
  });

  it('of nothing are nothing', async () => {
    expect(await aggregate('sum', [])).to.deep.equal({});
  });

  it('sort by value, NaN last', async () => {
    const some = [3, Number.NaN, 1].map((value, index) => seriesOf(['i', String(index)], [value]));
    expect(Object.keys(await aggregate('sort', some))).to.deep.equal(['i,2', 'i,0', 'i,1']);
    expect(Object.keys(await aggregate('sort_desc', some))).to.deep.equal(['i,0', 'i,2', 'i,1']);
  });
});
