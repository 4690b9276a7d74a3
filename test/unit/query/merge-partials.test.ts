import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ValueMerger } from '../../../src/query/merge-partials.ts';
import type { PartialValues } from '../../../src/query/scan/scan-messages.ts';
import { CELLS_MAX, keyOfLabels } from '../../../src/query/step-series.ts';
import { Turns } from '../../../src/query/turns.ts';
import { ManualClock } from '../../support/clock.ts';

/** Of two series in turn, so many that their columns are let go of. */
const COUNT = 20_000;

const valuesFrom = (first: number): PartialValues => ({
  keys: ['a', 'b'].map((app) => keyOfLabels(['app', app])).join('\n'),
  series: Uint32Array.from({ length: COUNT }, (_, index) => index % 2),
  times: Float64Array.from({ length: COUNT }, (_, index) => first + index),
  values: Float64Array.from({ length: COUNT }, (_, index) => first + index),
  streams: BigUint64Array.of(1n),
  streamStarts: Uint32Array.of(0),
});

/** As they may come from another node: all columns lie in one message. */
const inOneMessage = ({ keys, streams, streamStarts, ...columns }: PartialValues): PartialValues => {
  const message = new ArrayBuffer(20 * COUNT);
  const values = new Float64Array(message, 0, COUNT);
  const times = new Float64Array(message, 8 * COUNT, COUNT);
  const series = new Uint32Array(message, 16 * COUNT, COUNT);
  values.set(columns.values);
  times.set(columns.times);
  series.set(columns.series);
  return { keys, series, times, values, streams, streamStarts };
};

describe('values of several tasks', () => {
  it('are put together by series, in order of time, wherever they come from', async () => {
    const merger = new ValueMerger(1, 0);
    const turns = new Turns(new ManualClock());
    const [here, there] = [valuesFrom(COUNT), inOneMessage(valuesFrom(0))];
    for (const values of [here, there]) await merger.add(values, turns);
    const found: [readonly string[], number[]][] = [];
    for await (const { labels, times, values } of merger.series(turns)) {
      expect(values).to.deep.equal(times);
      found.push([labels, [...times]]);
    }
    const wanted = (odd: number) => Array.from({ length: COUNT }, (_, index) => 2 * index + odd);
    expect(found).to.deep.equal([
      [['app', 'a'], wanted(0)],
      [['app', 'b'], wanted(1)],
    ]);
    expect(here.times.length, 'what a worker sent is let go of').to.equal(0);
    expect(there.times.length, 'a message of another node is not ours alone').to.equal(COUNT);
  });

  it('of one time come by stream and as they were pushed, whatever else came with them', async () => {
    const key = keyOfLabels(['app', 'a']);
    const of = (
      streams: readonly bigint[],
      streamStarts: readonly number[],
      entries: readonly (readonly number[])[],
    ) => ({
      keys: key,
      series: new Uint32Array(entries.length),
      times: Float64Array.from(entries, ([time]) => time!),
      values: Float64Array.from(entries, ([, value]) => value!),
      streams: BigUint64Array.from(streams),
      streamStarts: Uint32Array.from(streamStarts),
    });
    const merged = async (...parts: readonly PartialValues[]): Promise<number[]> => {
      const merger = new ValueMerger(1, 0);
      const turns = new Turns(new ManualClock());
      for (const part of parts) await merger.add(part, turns);
      const found: number[] = [];
      for await (const { values } of merger.series(turns)) found.push(...values);
      return found;
    };
    const early = of(
      [9n, 7n],
      [0, 1],
      [
        [1, 90],
        [4, 70],
      ],
    );
    const late = of(
      [9n, 7n],
      [0, 3],
      [
        [5, 91],
        [6, 95],
        [6, 92],
        [5, 71],
        [6, 72],
      ],
    );
    const lateOfNine = of(
      [9n],
      [0],
      [
        [5, 91],
        [6, 95],
        [6, 92],
      ],
    );
    const lateOfSeven = of(
      [7n],
      [0],
      [
        [5, 71],
        [6, 72],
      ],
    );
    const ofLate = [71, 91, 72, 95, 92];
    expect(await merged(late)).to.deep.equal(ofLate);
    expect(await merged(lateOfNine, lateOfSeven)).to.deep.equal(ofLate);
    expect(await merged(late, early)).to.deep.equal([90, 70, ...ofLate]);
  });

  it('of one time and one fingerprint come by the tenants that have it, however their tasks were cut', async () => {
    const of = (entries: readonly (readonly [time: number, value: number])[]): PartialValues => ({
      keys: keyOfLabels(['app', 'a']),
      series: new Uint32Array(entries.length),
      times: Float64Array.from(entries, ([time]) => time),
      values: Float64Array.from(entries, ([, value]) => value),
      streams: BigUint64Array.of(7n),
      streamStarts: Uint32Array.of(0),
    });
    const [first, second] = [
      [0, 3, 5, 6, 7, 9].map((time) => [time, 100 + time] as const),
      [5, 6, 7].map((time) => [time, 200 + time] as const),
    ];
    const wanted = [100, 103, 105, 205, 106, 206, 107, 207, 109];
    for (let cut = 0; cut <= first.length; cut += 1) {
      for (const isReversed of [false, true]) {
        const merger = new ValueMerger(1, 0);
        const turns = new Turns(new ManualClock());
        const parts = [
          [of(first.slice(0, cut)), 0],
          [of(second), 1],
          [of(first.slice(cut)), 0],
        ] as const;
        for (const [part, tenant] of isReversed ? parts.toReversed() : parts) await merger.add(part, turns, tenant);
        const found: number[] = [];
        for await (const { values } of merger.series(turns)) found.push(...values);
        expect(found, `cut at ${cut}`).to.deep.equal(wanted);
      }
    }
  });

  it('are refused where they make more series and steps than counts may', async () => {
    const turns = new Turns(new ManualClock());
    await new ValueMerger(CELLS_MAX / 2, 0).add(valuesFrom(0), turns);
    const error = await new ValueMerger(CELLS_MAX / 2 + 1, 0)
      .add(valuesFrom(0), turns)
      .catch((thrown: unknown) => thrown);
    expect(error)
      .to.be.instanceOf(RefusedError)
      .with.property('message')
      .that.matches(/too many series and steps/);
  });
});
