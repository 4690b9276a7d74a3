import { expect } from 'chai';
import { type FoundEntry, Oracle } from './oracle.ts';
import { SoakEntries, type SoakStream, soakStreams } from './soak-entries.ts';

const SEED = 7;
const ALL = { startNs: 0n, endNs: 1_000n };

describe('the oracle of the soak test', () => {
  const entries = new SoakEntries(SEED);
  const streams = soakStreams(1, 2);
  const stream = streams[0] as SoakStream;
  let oracle: Oracle;

  /** Sent at times 0, 10, 20 … and acknowledged at that ms, if at all. */
  const send = (count: number, acknowledgedMs: number | undefined): void => {
    for (let index = 0; index < count; index += 1) {
      const number = oracle.sent(stream, BigInt(index * 10));
      if (acknowledgedMs !== undefined) oracle.acknowledged(stream, number, acknowledgedMs);
    }
  };
  const found = (number: number, change: Partial<FoundEntry> = {}): FoundEntry => ({
    timeNs: BigInt(number * 10),
    line: entries.line(0, number),
    metadata: entries.metadata(0, number),
    ...change,
  });
  const kindsOf = (askedMs: number, answer: readonly FoundEntry[], range = ALL): readonly string[] =>
    oracle.checkEntries(stream, range, askedMs, answer).map(({ kind, entries: count }) => `${count} ${kind}`);

  beforeEach(() => {
    oracle = new Oracle(entries, streams);
  });

  it('is content with everything once, in any order', () => {
    send(3, 1);
    expect(kindsOf(2, [found(2), found(0), found(1)])).to.deep.equal([]);
  });

  it('finds what was acknowledged before the question and is not in the answer', () => {
    send(3, 1);
    expect(kindsOf(2, [found(0), found(2)])).to.deep.equal(['1 lost']);
    expect(kindsOf(0.5, [found(0), found(2)]), 'acknowledged later').to.deep.equal([]);
  });

  it('lets what was sent and never acknowledged be there or not', () => {
    send(2, undefined);
    expect(kindsOf(2, [])).to.deep.equal([]);
    expect(kindsOf(2, [found(1)])).to.deep.equal([]);
  });

  it('finds an entry that is there twice', () => {
    send(2, 1);
    expect(kindsOf(2, [found(0), found(1), found(1)])).to.deep.equal(['1 doubled']);
  });

  it('finds what was never sent: a number, a time, a line, metadata, another stream, another range', () => {
    send(1, 1);
    const inventions = [
      found(1),
      found(0, { timeNs: 1n }),
      found(0, { line: `${entries.line(0, 0)}x` }),
      found(0, { metadata: [] }),
      found(0, { line: entries.line(1, 0), metadata: entries.metadata(1, 0) }),
    ];
    for (const one of inventions) expect(kindsOf(2, [found(0), one])).to.deep.equal(['1 invented']);
    expect(kindsOf(2, [found(0)], { startNs: 5n, endNs: 9n })).to.deep.equal(['1 invented']);
  });

  it('wants one count of a settled range, and one between of another', () => {
    send(4, 1);
    expect(oracle.checkCount(stream, ALL, 2, 4)).to.deep.equal({ isSettled: true, findings: [] });
    expect(oracle.checkCount(stream, { startNs: 10n, endNs: 20n }, 2, 2).findings).to.deep.equal([]);
    expect(oracle.checkCount(stream, ALL, 2, 3).findings[0]).to.include({ kind: 'miscounted', entries: 1 });
    expect(oracle.checkCount(stream, ALL, 2, 5).findings[0]).to.include({ kind: 'miscounted', entries: 1 });
    send(2, undefined);
    expect(oracle.checkCount(stream, ALL, 2, 5)).to.deep.equal({ isSettled: false, findings: [] });
    expect(oracle.checkCount(stream, ALL, 2, 7).findings).to.have.length(1);
  });

  it('takes each acknowledgement once', () => {
    send(1, 1);
    expect(() => oracle.acknowledged(stream, 0, 2)).to.throw('before');
    expect(oracle).to.include({ sentCount: 1, acknowledgedCount: 1 });
  });
});
