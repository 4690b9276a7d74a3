import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { strictest } from '../../../src/protocol/strictest-limits.ts';

describe('the limits of several tenants', () => {
  it('are the smallest that any of them has; 0 is none', () => {
    const limits = strictest([
      { ...DEFAULT_LIMITS, maxQuerySeries: 0, maxQueryBytesRead: 9, requiredLabels: ['a'] },
      { ...DEFAULT_LIMITS, maxQuerySeries: 7, maxQueryBytesRead: 5, requiredLabels: ['a', 'b'], volumeEnabled: false },
    ]);
    expect(limits).to.include({ maxQuerySeries: 7, maxQueryBytesRead: 5, volumeEnabled: false, maxQueryRangeMs: 0 });
    expect(limits.requiredLabels).to.deep.equal(['a', 'b']);
  });

  it('let as many tasks run as the one with fewest may have, none being none, and keep nothing that is too fresh for any', () => {
    const limits = strictest([
      { ...DEFAULT_LIMITS, maxQueryParallelism: 0, maxCacheFreshnessPerQueryMs: 5, splitQueriesByIntervalMs: 0 },
      { ...DEFAULT_LIMITS, maxQueryParallelism: 8, maxCacheFreshnessPerQueryMs: 9, splitQueriesByIntervalMs: 7 },
    ]);
    expect(limits).to.include({ maxQueryParallelism: 0, maxCacheFreshnessPerQueryMs: 9, splitQueriesByIntervalMs: 7 });
  });

  it('are those of one tenant as they are', () => {
    expect(strictest([DEFAULT_LIMITS])).to.equal(DEFAULT_LIMITS);
  });
});
