import { expect } from 'chai';
import { LabelQueries } from '../../../src/actors/label-queries.ts';
import { TenantLabels } from '../../../src/actors/tenant-labels.ts';
import { compareBytes } from '../../../src/protocol/label-text.ts';
import type { StoredSource } from '../../../src/query/query-source.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { labelsOf } from '../../support/entries.ts';
import { turnsDuring } from '../../support/turns-during.ts';

const RANGE = { startNs: 0n, endNs: 1n };
const COUNT = 5_000;
const appOf = (index: number): string => `app ${index}`;

describe('questions about the labels of very many streams', () => {
  /** Half of them are stored; some both in memory and stored. Each look at the clock takes a millisecond. */
  const labels = (): TenantLabels => {
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => (nowMs += 1) };
    const held = Array.from({ length: COUNT }, (_, index) => labelsOf(`{app="${appOf(index)}"}`));
    const series = Array.from({ length: COUNT }, (_, index) => ({
      id: `${index}`,
      labels: ['app', appOf(COUNT / 2 + index)],
    }));
    const index = {
      labelNames: async () => ['app'],
      labelValues: async () => series.map((one) => one.labels[1] as string),
    };
    const queries = new LabelQueries({
      clock,
      memory: { labelSets: async () => held },
      stored: { index } as unknown as StoredSource,
      series: { series: async () => series } as never,
    });
    return new TenantLabels(queries, clock);
  };
  const all = Array.from({ length: 1.5 * COUNT }, (_, index) => appOf(index)).sort(compareBytes);

  it('leave turns to others: series', async () => {
    const found = labels().series('t', [], RANGE);
    expect(await turnsDuring(found)).to.be.at.least(50);
    expect((await found).map(({ pairs }) => pairs[1]).sort()).to.deep.equal(all);
  });

  it('leave turns to others: values, in order', async () => {
    const found = labels().values('t', 'app', [], RANGE);
    expect(await turnsDuring(found)).to.be.at.least(50);
    expect(await found).to.deep.equal(all);
  });

  it('leave turns to others: names', async () => {
    const found = labels().names('t', [], RANGE);
    expect(await turnsDuring(found)).to.be.at.least(20);
    expect(await found).to.deep.equal(['app']);
  });
});
