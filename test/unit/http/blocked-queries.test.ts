import { expect } from 'chai';
import { checkBlocked } from '../../../src/http/blocked-queries.ts';
import { parseExpr } from '../../../src/logql/parser.ts';
import type { BlockedQuery } from '../../../src/protocol/limit-values.ts';
import { readLimits } from '../../../src/protocol/limits.ts';

const QUERY = '{app="web"} |= "x"';

const isBlocked = (query: string, blocked: Partial<BlockedQuery>): boolean => {
  try {
    checkBlocked(query, parseExpr(query), [{ pattern: '', isRegex: false, hash: 0, types: [], ...blocked }]);
    return false;
  } catch (error) {
    expect((error as Error).message).to.equal('query blocked by policy');
    return true;
  }
};

describe('blocked queries', () => {
  it('are those of the same text, blanks around it aside', () => {
    expect(isBlocked(QUERY, { pattern: ` ${QUERY}\n` })).to.equal(true);
    expect(isBlocked(QUERY, { pattern: '{app="web"}' })).to.equal(false);
  });

  it('are those that a regex is found in', () => {
    expect(isBlocked(QUERY, { pattern: 'app="w', isRegex: true })).to.equal(true);
    expect(isBlocked(QUERY, { pattern: '^app', isRegex: true })).to.equal(false);
    expect(isBlocked(QUERY, { pattern: '(', isRegex: true })).to.equal(false);
  });

  it('are all of a type', () => {
    const metric = `rate(${QUERY}[1m])`;
    expect(isBlocked(metric, { types: ['metric'] })).to.equal(true);
    expect(isBlocked(QUERY, { types: ['metric', 'limited'] })).to.equal(false);
    expect(isBlocked(QUERY, { types: ['filter'] })).to.equal(true);
    expect(isBlocked('{app="web"}', { types: ['limited'] })).to.equal(true);
  });

  it('are those of a hash, whatever the pattern', () => {
    // FNV-1, 32 bits, of the text.
    expect(isBlocked('{a="b"}', { pattern: 'x', hash: fnv1('{a="b"}') })).to.equal(true);
    expect(isBlocked('{a="b"}', { pattern: '{a="b"}', hash: 1 })).to.equal(false);
  });

  it('are read as Loki writes them, and refused where they make no sense', () => {
    const read = (list: unknown) => readLimits({ blocked_queries: list }).limitsFor('any').blockedQueries;
    expect(read([{ pattern: 'a', types: 'metric, filter' }])).to.deep.equal([
      { pattern: 'a', isRegex: false, hash: 0, types: ['metric', 'filter'] },
    ]);
    for (const bad of [[{ pattern: 1 }], [{ types: ['odd'] }], [{ patern: 'a' }], 'all', [null]]) {
      expect(() => read(bad), JSON.stringify(bad)).to.throw(/^limits\.blocked_queries: got .*, want a list/);
    }
  });
});

const fnv1 = (text: string): number =>
  Number([...Buffer.from(text)].reduce((hash, byte) => ((hash * 16777619n) & 0xffffffffn) ^ BigInt(byte), 2166136261n));
