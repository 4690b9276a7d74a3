import { expect } from 'chai';
import fc from 'fast-check';
import { parseExpr } from '../../../../src/logql/parser.ts';
import { prettyExpr } from '../../../../src/logql/pretty.ts';
import { printExpr } from '../../../../src/logql/print.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { anyExpr } from './arbitraries.ts';

const pretty = (text: string): string => prettyExpr(parseExpr(text));
const LONG = 'another_label="another value", one_more_label="one more value to be long", last="last value"';

describe('LogQL broken into lines', () => {
  it('stays on one line of 100 characters', () => {
    const query = `{app="${'x'.repeat(92)}"}`;
    expect(query).to.have.length(100);
    expect(pretty(`${query}`)).to.equal(query);
    expect(pretty(`{app="${'x'.repeat(92)}"} | json`)).to.equal(`${query}\n  | json`);
  });

  it('has a line for each stage, the range behind the last one', () => {
    expect(
      pretty(`quantile_over_time(0.9, {${LONG}} |= "x" | json | unwrap took [5m] offset 1m) by (app, env)`),
    ).to.equal(
      [
        'quantile_over_time(',
        '  0.9,',
        `  {${LONG}}`,
        '    |= "x"',
        '    | json',
        '    | unwrap took [5m] offset 1m0s',
        ') by (app, env)',
      ].join('\n'),
    );
  });

  it('has aggregations around what they aggregate', () => {
    expect(pretty(`topk(3, sum by (app) (rate({${LONG}}[5m])))`)).to.equal(
      ['topk(', '  3,', '  sum by (app)(', '    rate(', `      {${LONG}} [5m]`, '    )', '  )', ')'].join('\n'),
    );
  });

  it('has operators between their operands, and keeps the parentheses of those that take lines of their own', () => {
    const rate = `rate({${LONG}}[5m])`;
    expect(pretty(`${rate} * (${rate} + on (app) group_left (env) vector(1))`)).to.equal(
      [
        '  rate(',
        `    {${LONG}} [5m]`,
        '  )',
        '*',
        '  (',
        '      rate(',
        `        {${LONG}} [5m]`,
        '      )',
        '    + on (app) group_left (env)',
        '      vector(1.000000)',
        '  )',
      ].join('\n'),
    );
  });

  it('parses to the same tree, whatever the tree', () => {
    fc.assert(
      fc.property(anyExpr, (expr) => {
        expect(parseExpr(prettyExpr(expr))).to.deep.equal(expr);
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('parses to the same tree where nothing fits on a line', () => {
    const names = ['group_left', 'group_left (x)', 'group_right (x)', ''].map((group) => `== on (a) ${group}`);
    for (const operator of ['+', '> bool', ...names]) {
      const query = `(rate({${LONG}}[5m]) ${operator} sum(rate({${LONG}}[1m]) / 2)) - (vector(1) ${operator} rate({${LONG}}[5m]))`;
      expect(printExpr(parseExpr(pretty(query)))).to.equal(printExpr(parseExpr(query)));
    }
  });
});
