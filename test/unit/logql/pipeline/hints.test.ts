import { expect } from 'chai';
import type { RangeAggregation, VectorAggregation } from '../../../../src/logql/ast.ts';
import { labelHints, metricStages } from '../../../../src/logql/hints.ts';
import { parseExpr } from '../../../../src/logql/parser.ts';
import type { LabelHints } from '../../../../src/logql/pipeline.ts';
import { labelsAfter } from './run-pipeline.ts';

const hintsOf = (query: string): LabelHints => {
  const expr = parseExpr(query.replace('S', '{app="a"}')) as RangeAggregation | VectorAggregation;
  return expr.kind === 'rangeAggregation'
    ? labelHints(expr, undefined)
    : labelHints(expr.inner as RangeAggregation, expr);
};

const extracted = (query: string): LabelHints['extract'] => hintsOf(query).extract;

describe('label hints', () => {
  it('extract nothing under a sum that needs no label', () => {
    expect(extracted('sum(count_over_time(S | json [1m]))')).to.equal('none');
    expect(extracted('sum by () (rate(S | json [1m]))')).to.equal('none');
    expect(extracted('absent_over_time(S | json [1m])')).to.equal('none');
    expect(extracted('sum(count_over_time(S | json | line_format "{{.a}}" [1m]))')).to.equal('none');
  });

  it('extract everything where labels are kept', () => {
    expect(extracted('count_over_time(S | json [1m])')).to.equal('all');
    expect(extracted('max(count_over_time(S | json [1m]))')).to.equal('all');
    expect(extracted('sum without (x) (count_over_time(S | json [1m]))')).to.equal('all');
    expect(extracted('sum by (x) (max_over_time(S | json | unwrap v [1m]))')).to.equal('all');
  });

  it('extract what filters, templates, renames, unwrap and grouping name', () => {
    expect(extracted('sum(count_over_time(S | json | a="1" or b > 2 [1m]))')).to.deep.equal(['a', 'b']);
    expect(extracted('sum by (x) (count_over_time(S | json | label_format y="{{.b}}", z=c [1m]))')).to.deep.equal([
      'b',
      'c',
      'x',
    ]);
    expect(extracted('sum(bytes_over_time(S | json | line_format "{{.a}}" [1m]))')).to.deep.equal(['a']);
    expect(extracted('avg_over_time(S | json | unwrap v | w="1" [1m]) by (x)')).to.deep.equal(['x', 'v', 'w']);
    expect(extracted('sum by (k_extracted) (rate(S | json [1m]))')).to.deep.equal(['k_extracted', 'k']);
  });

  it('keep errors that the query names', () => {
    expect(hintsOf('sum by (__error__) (count_over_time(S | json [1m]))').preserveError).to.equal(true);
    expect(hintsOf('sum(count_over_time(S | json | __error__="JSONParserErr" [1m]))').preserveError).to.equal(true);
    expect(hintsOf('count_over_time(S | json | __error__="JSONParserErr" [1m])').preserveError).to.equal(false);
  });

  it('show in what a line yields', () => {
    const hints = hintsOf('sum by (a) (count_over_time(S | json [1m]))');
    expect(labelsAfter('| json', '{"a":1 "b":2}', { hints })).to.deep.equal({ a: '1' });
  });
});

describe('the stages of a metric query', () => {
  const kinds = (query: string): readonly string[] =>
    metricStages(parseExpr(query.replace('S', '{app="a"}')) as RangeAggregation).map(({ kind }) => kind);

  it('leave out a line_format that nothing notices', () => {
    expect(kinds('count_over_time(S | json | line_format "{{ nofunc }}" [1m])')).to.deep.equal(['json']);
    expect(kinds('bytes_over_time(S | line_format "x" [1m])')).to.deep.equal(['lineFormat']);
    expect(kinds('count_over_time(S | line_format "x" |= "x" [1m])')).to.deep.equal(['lineFormat', 'lineFilter']);
    expect(kinds('count_over_time(S | line_format "x" | logfmt | line_format "y" [1m])')).to.deep.equal([
      'lineFormat',
      'logfmt',
    ]);
  });
});
