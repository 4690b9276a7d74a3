import { expect } from 'chai';
import { DRAIN_OPTIONS, Drain, patternText } from '../../../src/query/drain.ts';

const patternsOf = (lines: readonly string[], options = DRAIN_OPTIONS): readonly string[] => {
  const drain = new Drain(options);
  const patterns = new Set(lines.map((line) => drain.add(line)));
  return [...patterns].flatMap((pattern) => (pattern ? [patternText(pattern)] : []));
};

describe('Drain', () => {
  it('leaves open what differs between lines that are alike', () => {
    const lines = [
      'user 17 logged in from 10.0.0.1',
      'user 9 logged in from 10.0.0.2',
      'user 4 logged in from 10.0.0.3',
    ];
    expect(patternsOf(lines)).to.deep.equal(['user <_> logged in from <_>']);
  });

  it('keeps what stands between the words', () => {
    const lines = ['level=info msg="took 5 ms" id=1', 'level=info msg="took 8 ms" id=22'];
    expect(patternsOf(lines)).to.deep.equal(['level=info msg="took <_> ms" id=<_>']);
  });

  it('keeps apart lines that have less than half of their words in common', () => {
    expect(patternsOf(['job started now fine', 'job failed again badly'])).to.have.length(2);
  });

  it('keeps apart lines that begin with other words, and those of another shape', () => {
    expect(patternsOf(['a x y z', 'b x y z', 'a x y'])).to.have.length(3);
  });

  it('takes values at the start for open', () => {
    expect(patternsOf(['2026-01-01 started worker', '2026-01-02 started worker'])).to.deep.equal([
      '<_> started worker',
    ]);
  });

  it('counts a line to the pattern that is most like it', () => {
    const drain = new Drain();
    const first = drain.add('get user one from cache node');
    const second = drain.add('get user two with disk store');
    expect(first).not.to.equal(second);
    expect(drain.add('get user three from cache node')).to.equal(first);
    expect(drain.add('get user four with disk store')).to.equal(second);
  });

  it('takes the branch of the wildcard where a node has too many', () => {
    const options = { ...DRAIN_OPTIONS, childrenMax: 2 };
    const lines = ['a did this thing', 'b did this thing', 'c did this thing', 'd did this thing'];
    expect(patternsOf(lines, options)).to.deep.equal(['a did this thing', 'b did this thing', '<_> did this thing']);
  });

  it('begins no more patterns than it may, and goes on counting those it has', () => {
    const drain = new Drain({ ...DRAIN_OPTIONS, patternsMax: 1 });
    const first = drain.add('one two three');
    expect(drain.add('other words here')).to.equal(undefined);
    expect(drain.add('entirely different')).to.equal(undefined);
    expect(drain.add('one two four')).to.equal(first);
  });

  it('leaves out empty lines and those of very many words', () => {
    expect(patternsOf(['', 'x '.repeat(DRAIN_OPTIONS.wordsMax + 1)])).to.deep.equal([]);
    expect(patternsOf([`${'x '.repeat(DRAIN_OPTIONS.wordsMax - 1)}x`])).to.have.length(1);
  });
});
