import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { IngestionRateLimiter, TokenBucket } from '../../../src/protocol/rate-limiter.ts';

const LIMITS = { ...DEFAULT_LIMITS, ingestionRateBytes: 100.5, ingestionBurstBytes: 200 };

describe('TokenBucket', () => {
  it('gives its burst at once, and then what has come at the rate', () => {
    const bucket = new TokenBucket(200, 0);
    expect(bucket.take(200, 100, 200, 0)).to.equal(true);
    expect(bucket.take(1, 100, 200, 0)).to.equal(false);
    expect(bucket.waitMs(50, 100, 200)).to.equal(500);
    expect(bucket.take(50, 100, 200, 500)).to.equal(true);
    expect(bucket.take(200, 100, 200, 60_000)).to.equal(true);
    expect(bucket.take(1, 100, 200, 60_000)).to.equal(false);
  });

  it('takes nothing when it cannot give all', () => {
    const bucket = new TokenBucket(200, 0);
    expect(bucket.take(201, 100, 200, 0)).to.equal(false);
    expect(bucket.take(200, 100, 200, 0)).to.equal(true);
  });
});

describe('IngestionRateLimiter', () => {
  it('refuses a push over the limit with the text of Loki and when to come back', () => {
    const limiter = new IngestionRateLimiter(() => 0);
    expect(limiter.take('t1', 2, 150, LIMITS)).to.equal(undefined);
    expect(limiter.take('t1', 3, 151, LIMITS)).to.deep.equal({
      code: 'RATE_LIMITED',
      text: "ingestion rate limit exceeded for user t1 (limit: 100 bytes/sec) while attempting to ingest '3' lines totaling '151' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
      retryAfterMs: 1005,
    });
  });

  it('counts each tenant for itself', () => {
    const limiter = new IngestionRateLimiter(() => 0);
    expect(limiter.take('t1', 1, 200, LIMITS)).to.equal(undefined);
    expect(limiter.take('t2', 1, 200, LIMITS)).to.equal(undefined);
    expect(limiter.take('t1', 1, 1, LIMITS)?.code).to.equal('RATE_LIMITED');
  });

  it('gives a node its part of the rate of the cluster, unless the rate is for each node', () => {
    let nowMs = 0;
    const take = (strategy: 'global' | 'local', bytes: number) => {
      const limits = { ...LIMITS, ingestionRateBytes: 100, ingestionRateStrategy: strategy } as const;
      return limiter.take(strategy, 1, bytes, limits, 4)?.text.match(/limit: (\d+)/)?.[1];
    };
    const limiter = new IngestionRateLimiter(() => nowMs);
    for (const strategy of ['global', 'local'] as const) expect(take(strategy, 200)).to.equal(undefined);
    nowMs = 1000;
    expect([take('global', 26), take('global', 25)]).to.deep.equal(['25', undefined]);
    expect([take('local', 101), take('local', 100)]).to.deep.equal(['100', undefined]);
  });

  it('forgets full buckets when there are very many tenants, but not the debt of others', () => {
    let nowMs = 0;
    const limiter = new IngestionRateLimiter(() => nowMs);
    for (let tenant = 0; tenant < 9_999; tenant += 1) limiter.take(`t${tenant}`, 1, 1, LIMITS);
    nowMs = 1000;
    limiter.take('debtor', 1, 200, LIMITS);
    limiter.take('one more', 1, 1, LIMITS);
    expect(limiter.take('debtor', 1, 1, LIMITS)?.code).to.equal('RATE_LIMITED');
  });
});
