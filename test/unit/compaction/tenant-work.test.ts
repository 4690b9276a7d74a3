import { expect } from 'chai';
import type { DeleteRequest } from '../../../src/compaction/delete-request.ts';
import { retentionRulesOf } from '../../../src/compaction/retention-rules.ts';
import { TenantWork } from '../../../src/compaction/tenant-work.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { LimitsError, readLimits } from '../../../src/protocol/limits.ts';

const DAY_MS = 86_400_000;
const NOW_MS = 1_000 * DAY_MS;

const chunk = (fromMs: number, throughMs: number) => ({
  key: 'k',
  tenant: 't',
  fingerprint: 1n,
  fromMs,
  throughMs,
  checksum: 1,
});

const request = (query: string, startMs: number, endMs: number): DeleteRequest => ({
  tenant: 't',
  requestId: '1',
  query,
  startMs,
  endMs,
  createdMs: 0,
});

const rulesOf = (limits: object) => retentionRulesOf(readLimits(limits).limitsFor('t'));

const verdictAtAge = (limits: object, days: number, labels: readonly string[]): string => {
  const throughMs = NOW_MS - days * DAY_MS;
  return new TenantWork(rulesOf(limits), [], NOW_MS).verdict(chunk(throughMs - 1000, throughMs), labelSetOf(labels))
    .kind;
};

describe('what compaction does with a chunk', () => {
  const limits = {
    retention_period: '10d',
    retention_stream: [
      { selector: '{app="a"}', priority: 1, period: '5d' },
      { selector: '{app=~"a|b"}', priority: 2, period: '20d' },
      { selector: '{app="b", env="dev"}', priority: 2, period: '2d' },
      { selector: '{env="dev"}', priority: 0, period: '24h' },
    ],
  };

  it('expires it once its last entry is older than its stream is kept, not before', () => {
    expect(verdictAtAge({ retention_period: '10d' }, 10, ['app', 'x'])).to.equal('keep');
    expect(verdictAtAge({ retention_period: '10d' }, 10.001, ['app', 'x'])).to.equal('expire');
    expect(verdictAtAge({}, 10_000, ['app', 'x']), '0: for ever').to.equal('keep');
  });

  it('goes by the rule of the highest priority, of equal ones by the shortest, else by the tenant', () => {
    expect(verdictAtAge(limits, 6, ['app', 'a'])).to.equal('keep');
    expect(verdictAtAge(limits, 21, ['app', 'a'])).to.equal('expire');
    expect(verdictAtAge(limits, 3, ['app', 'b', 'env', 'dev'])).to.equal('expire');
    expect(verdictAtAge(limits, 3, ['app', 'b', 'env', 'prod'])).to.equal('keep');
    expect(verdictAtAge(limits, 1.5, ['app', 'c', 'env', 'dev'])).to.equal('expire');
    expect(verdictAtAge(limits, 9, ['app', 'c'])).to.equal('keep');
    expect(verdictAtAge(limits, 11, ['app', 'c'])).to.equal('expire');
  });

  it('is not concerned with chunks that no rule and no request can reach', () => {
    const work = new TenantWork(rulesOf(limits), [request('{app="a"}', 0, 1000)], NOW_MS);
    expect(work.concerns(chunk(NOW_MS - 1000, NOW_MS))).to.equal(false);
    expect(work.concerns(chunk(NOW_MS - 2 * DAY_MS, NOW_MS - 2 * DAY_MS))).to.equal(true);
    expect(new TenantWork(rulesOf({}), [], NOW_MS).concerns(chunk(0, 1))).to.equal(false);
  });

  it('deletes it whole only where a request covers it and looks at no lines', () => {
    const verdict = (query: string, startMs: number, endMs: number): string =>
      new TenantWork(rulesOf({}), [request(query, startMs, endMs)], NOW_MS).verdict(
        chunk(1000, 2000),
        labelSetOf(['app', 'a']),
      ).kind;
    expect(verdict('{app="a"}', 1000, 2000)).to.equal('delete');
    expect(verdict('{}', 0, 9000)).to.equal('delete');
    expect(verdict('{app="a"}', 1001, 2000)).to.equal('rewrite');
    expect(verdict('{app="a"}', 1000, 1999)).to.equal('rewrite');
    expect(verdict('{app="a"} |= "x"', 0, 9000)).to.equal('rewrite');
    expect(verdict('{app="a"}', 2000, 9000), 'its last ms').to.equal('rewrite');
    expect(verdict('{app="a"}', 2001, 9000)).to.equal('keep');
    expect(verdict('{app="b"}', 0, 9000)).to.equal('keep');
  });

  it('takes no retention of streams below a day, and none without a selector', () => {
    for (const wrong of [
      [{ selector: '{a="b"}', period: '23h' }],
      [{ period: '24h' }],
      'x',
      [{ selector: '{a="b"}', period: '24h', more: 1 }],
    ]) {
      expect(() => readLimits({ retention_stream: wrong }), JSON.stringify(wrong)).to.throw(LimitsError);
    }
  });
});
