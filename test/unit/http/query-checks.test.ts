import { expect } from 'chai';
import type { EdgeLimits } from '../../../src/http/edge-options.ts';
import { checkQueryLimits, withinLookback } from '../../../src/http/query-checks.ts';
import { parseExpr } from '../../../src/logql/parser.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';

const HOUR = 3_600_000_000_000n;
const HOUR_MS = 3_600_000;
const UNLIMITED: EdgeLimits = {
  ...DEFAULT_LIMITS,
  maxEntriesLimitPerQuery: 0,
  maxQueryLengthMs: 0,
  maxQueryLookbackMs: 0,
  maxQueryRangeMs: 0,
  maxStreamsMatchersPerQuery: 0,
};

const check = (
  query: string,
  limits: Partial<EdgeLimits>,
  { hours = 1n, limit = 100, isInstant = false } = {},
): string => {
  const range = { startNs: 0n, endNs: isInstant ? 0n : hours * HOUR, limit, isInstant };
  try {
    checkQueryLimits(parseExpr(query), range, { ...UNLIMITED, ...limits });
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.text;
    throw error;
  }
  return 'ok';
};

describe('checkQueryLimits', () => {
  it('caps the entries of log queries, the default 100 too, and not of metric queries', () => {
    const limits = { maxEntriesLimitPerQuery: 10 };
    expect(check('{a="b"}', limits)).to.equal(
      'max entries limit per query exceeded, limit > max_entries_limit_per_query (100 > 10)',
    );
    expect(check('{a="b"}', limits, { limit: 10 })).to.equal('ok');
    expect(check('rate({a="b"}[1m])', limits)).to.equal('ok');
  });

  it('counts range and offset to the length of a metric query, and a nanosecond', () => {
    const limits = { maxQueryLengthMs: 2 * HOUR_MS };
    expect(check('{a="b"}', limits, { hours: 2n })).to.equal('ok');
    expect(check('sum(count_over_time({a="b"}[1m]))', limits, { hours: 2n })).to.equal(
      'the query time range exceeds the limit (query length: 2h1m0.000000001s, limit: 2h)',
    );
    expect(check('rate({a="b"}[1m] offset 10m) + vector(1)', limits, { hours: 2n })).to.equal(
      'the query time range exceeds the limit (query length: 2h11m0.000000001s, limit: 2h)',
    );
    expect(check('rate({a="b"}[1m])', { maxQueryLengthMs: 1 }, { isInstant: true })).to.equal('ok');
  });

  it('prints the limit as Prometheus does', () => {
    expect(check('{a="b"}', { maxQueryLengthMs: 25 * HOUR_MS }, { hours: 26n })).to.equal(
      'the query time range exceeds the limit (query length: 26h0m0s, limit: 1d1h)',
    );
  });

  it('bounds the range of every selector', () => {
    const limits = { maxQueryRangeMs: HOUR_MS / 6 };
    const query = 'sum(rate({a="b"}[5m])) + sum(rate({a="b"}[11m]))';
    expect(check(query, limits, { isInstant: true })).to.equal('[interval] value exceeds limit: [11m] > [10m]');
  });

  it('bounds the matchers of a selector', () => {
    expect(check('{a="1", b="2", c!="3"}', { maxStreamsMatchersPerQuery: 2 })).to.equal(
      'max streams matchers per query exceeded, matchers-count > limit (3 > 2)',
    );
  });

  it('wants the required labels of range queries only', () => {
    const limits = { requiredLabels: ['fx'], minimumLabelsNumber: 2 };
    expect(check('sum(count_over_time({env="x", i="1"}[1m]))', limits)).to.equal(
      'stream selector is missing required matchers [fx], labels present in the query were [env, i]',
    );
    expect(check('{fx="1"}', limits)).to.equal(
      'stream selector has less label matchers than required: (present: [fx], number_present: 1, required_number_label_matchers: 2)',
    );
    expect(check('rate({env="x"}[1m])', limits, { isInstant: true })).to.equal('ok');
  });

  it('looks through every kind of expression', () => {
    const limits = { maxStreamsMatchersPerQuery: 1 };
    const inner = 'rate({a="1", b="2"}[1m])';
    for (const query of [`label_replace(${inner}, "x", "$1", "a", "(.*)")`, `1 + topk(1, sum by (a) (${inner}))`]) {
      expect(check(query, limits)).to.match(/^max streams matchers/);
    }
    expect(check('1 + 1', limits)).to.equal('ok');
  });
});

describe('withinLookback', () => {
  const limits = { ...UNLIMITED, maxQueryLookbackMs: HOUR_MS };
  const now = 10n * HOUR;

  it('moves the start up, or finds nothing left', () => {
    expect(withinLookback({ startNs: 0n, endNs: now }, limits, now)).to.deep.equal({ startNs: 9n * HOUR, endNs: now });
    expect(withinLookback({ startNs: 0n, endNs: 8n * HOUR }, limits, now)).to.equal(undefined);
    expect(withinLookback({ startNs: 0n, endNs: 1n }, UNLIMITED, now)).to.deep.equal({ startNs: 0n, endNs: 1n });
  });
});
