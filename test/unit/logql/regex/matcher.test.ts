import { expect } from 'chai';
import { compileLabelMatcher, matchesEmpty } from '../../../../src/logql/matcher.ts';
import type { LabelMatcher } from '../../../../src/protocol/matcher.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';

const matcher = (op: LabelMatcher['op'], value: string): LabelMatcher => ({ name: 'app', op, value });

const matching = (op: LabelMatcher['op'], value: string): readonly string[] =>
  ['', 'a', 'ab', 'A', 'x\ny'].filter(compileLabelMatcher(matcher(op, value)));

describe('label matchers', () => {
  it('compare whole values, a missing label being ""', () => {
    expect(matching('=', 'a')).to.deep.equal(['a']);
    expect(matching('!=', 'a')).to.deep.equal(['', 'ab', 'A', 'x\ny']);
    expect(matching('=~', 'a.*')).to.deep.equal(['a', 'ab']);
    expect(matching('!~', 'a.*')).to.deep.equal(['', 'A', 'x\ny']);
    expect(matching('=~', '(?i)a|')).to.deep.equal(['', 'a', 'A']);
    expect(matching('=~', 'x.y')).to.deep.equal(['x\ny']);
    expect(matching('=~', '.+')).to.deep.equal(['a', 'ab', 'A', 'x\ny']);
  });

  it('say whether a missing label passes', () => {
    expect(matchesEmpty(matcher('=', ''))).to.equal(true);
    expect(matchesEmpty(matcher('!=', ''))).to.equal(false);
    expect(matchesEmpty(matcher('=~', 'b?'))).to.equal(true);
    expect(matchesEmpty(matcher('=~', '.+'))).to.equal(false);
    expect(matchesEmpty(matcher('!~', 'a'))).to.equal(true);
  });

  it('refuse a regex that does not parse', () => {
    expect(() => compileLabelMatcher(matcher('=~', '(a')))
      .to.throw(RefusedError)
      .with.nested.property('refusal.code', 'INVALID_QUERY');
  });
});
