import { expect } from 'chai';
import { UsageError } from '../../../src/cli/cli-error.ts';
import { commonLabels, formatLabels, parseLabelOptions, withoutLabels } from '../../../src/cli/label-text.ts';

describe('parseLabelOptions', () => {
  it('takes selectors, pairs, and both together', () => {
    expect(parseLabelOptions(['{app="x", env="y"}'])).to.equal('{app="x", env="y"}');
    expect(parseLabelOptions(['app=x', 'path=a=b "c"'])).to.equal('{app="x", path="a=b \\"c\\""}');
    expect(parseLabelOptions([' {app="x",} ', 'env=y'])).to.equal('{app="x", env="y"}');
  });

  it('refuses what is neither, and no label at all', () => {
    for (const texts of [['x'], ['1a=b'], ['a-b=c'], [], ['{}']]) {
      expect(() => parseLabelOptions(texts)).to.throw(UsageError, /^--labels: /);
    }
  });

  it('refuses several pairs in one text and names the right forms', () => {
    expect(() => parseLabelOptions(['app=a,env=b'])).to.throw(
      UsageError,
      /--labels app=a --labels env=b\) or write '\{app="a"/,
    );
    expect(parseLabelOptions(['app=a,b'])).to.equal('{app="a,b"}');
    expect(parseLabelOptions(['{app="a,env=b"}'])).to.equal('{app="a,env=b"}');
  });
});

describe('commonLabels', () => {
  it('is what all label sets share', () => {
    const sets = [
      { app: 'x', env: 'p', i: '1' },
      { app: 'x', env: 'p', i: '2', z: '' },
    ];
    expect(commonLabels(sets)).to.deep.equal({ app: 'x', env: 'p' });
    expect(commonLabels([])).to.deep.equal({});
    expect(formatLabels(withoutLabels(sets[1]!, { app: 'x', env: 'p' }))).to.equal('{i="2", z=""}');
  });
});
