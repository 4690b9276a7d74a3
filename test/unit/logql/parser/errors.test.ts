import { expect } from 'chai';
import { parseExpr } from '../../../../src/logql/parser.ts';
import { refusalOf } from './refusal-of.ts';

const errorOf = (text: string): string | undefined => refusalOf(() => parseExpr(text))?.text;

const NOT_SELECTIVE =
  'queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, ' +
  'app=~".*" does not meet this requirement, but app=~".+" will';

describe('LogQL syntax errors', () => {
  for (const [query, text] of [
    ['', ' : syntax error: unexpected $end'],
    ['   ', ' at line 1, col 4: syntax error: unexpected $end'],
    ['\n\n', ' at line 3, col 1: syntax error: unexpected $end'],
    ['{"é": 1}', ' at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }'],
    ['{a="😀é" $', ' at line 1, col 9: syntax error: unexpected IDENTIFIER, expecting } or ,'],
    ['{app="a"}[5m]', ' at line 0, col 10: syntax error: unexpected RANGE'],
    ['5m', ' at line 0, col 1: syntax error: unexpected DURATION'],
    ['5KB', ' at line 0, col 1: syntax error: unexpected BYTES'],
    ['{a="b"} |= "c"\n|= |=', ' at line 0, col 4: syntax error: unexpected |=, expecting STRING or ip'],
    ['rate({a="b"}[5m])\n>= >=', ' at line 0, col 4: syntax error: unexpected >='],
    ['rate({a="b"}[5x])', ' at line 0, col 13: unknown unit "x" in duration "5x"'],
    ['rate({a="b"}[])', ' at line 0, col 13: empty duration string'],
    ['rate({a="b"}[300y])', ' at line 0, col 13: duration out of range'],
    ['rate({a="b"}[5m', " at line 0, col 13: missing closing ']' in duration"],
    ['{app="a"} | foo="x" and', ' at line 1, col 24: syntax error: unexpected $end, expecting IDENTIFIER or ('],
    [
      '{app="a"} | label_format a=',
      ' at line 1, col 28: syntax error: unexpected $end, expecting IDENTIFIER or STRING',
    ],
    ['rate({a="b"})', ' at line 1, col 13: syntax error: unexpected )'],
    ['rate({a="b"}[5m]', ' at line 1, col 17: syntax error: unexpected $end, expecting )'],
    ['rate(3 {a="b"}[5m])', ' at line 1, col 8: syntax error: unexpected {, expecting ,'],
    ['rate(3, 4)', ' at line 1, col 9: syntax error: unexpected NUMBER, expecting { or ('],
    ['rate by (a) ({a="b"}[5m])', ' at line 1, col 6: syntax error: unexpected by, expecting ('],
    ['rate(({a="b"}) | json [5m])', ' at line 1, col 16: syntax error: unexpected |, expecting RANGE'],
    ['rate(({a="b"})[5m] | json)', ' at line 1, col 22: syntax error: unexpected json, expecting unwrap'],
    [
      'rate(({a="b"} | unwrap x $',
      ' at line 1, col 26: syntax error: unexpected IDENTIFIER, expecting RANGE or ) or |',
    ],
    ['rate({a="b"}[5m] offset 1h offset 1h)', ' at line 1, col 28: syntax error: unexpected offset, expecting )'],
    ['rate({a="b"} | json [5m] | json)', ' at line 1, col 26: syntax error: unexpected |, expecting )'],
    ['-rate({a="b"}[5m])', ' at line 1, col 2: syntax error: unexpected RATE, expecting NUMBER'],
    ['sum({a="b"})', ' at line 1, col 12: syntax error: unexpected )'],
    ['sum(({a="b"}))', ' at line 1, col 14: syntax error: unexpected )'],
    ['sum(rate({a="b"}[5m])) by', ' at line 1, col 26: syntax error: unexpected $end, expecting ('],
    ['sum by (a) rate({a="b"}[5m])', ' at line 1, col 12: syntax error: unexpected RATE, expecting ('],
    ['vector(1) on (a) vector(2)', ' at line 1, col 11: syntax error: unexpected on'],
    [
      'vector(1) + on (a) group_left (vector(2))',
      ' at line 1, col 32: syntax error: unexpected VECTOR, expecting IDENTIFIER or )',
    ],
    ['variants', ' at line 1, col 9: syntax error: unexpected $end, expecting ('],
    ['{a="b"} /* c', ' at line 1, col 9: comment not terminated'],
  ] as const) {
    it(`${JSON.stringify(query)} is a parse error${text}`, () => {
      expect(errorOf(query)).to.equal(`parse error${text}`);
    });
  }

  it('report the first of two', () => {
    expect(errorOf('{a="b"} | "x" "\\d"')).to.equal('parse error at line 1, col 11: syntax error: unexpected STRING');
  });
});

describe('LogQL queries that mean nothing', () => {
  for (const [query, text] of [
    ['{}', NOT_SELECTIVE],
    ['rate({a=""}[1m])', NOT_SELECTIVE],
    ['sum_over_time({a="b"}[1m])', 'invalid aggregation sum_over_time without unwrap'],
    ['count_over_time({a="b"} | unwrap x [1m])', 'invalid aggregation count_over_time with unwrap'],
    ['rate({a="b"}[1m]) by (x)', 'grouping not allowed for rate aggregation'],
    ['quantile_over_time({a="b"} | unwrap x [1m])', 'parameter required for operation quantile_over_time'],
    ['count_over_time(3, {a="b"}[1m])', 'parameter 3 not supported for operation count_over_time'],
    ['topk(vector(1))', 'parameter required for operation topk'],
    ['topk(1.5, vector(1))', 'invalid parameter topk(1.5,'],
    ['bottomk(0, vector(1))', 'invalid parameter (must be greater than 0) bottomk(0'],
    ['topk(9223372036854775808, vector(1))', 'invalid parameter topk(9223372036854775808,'],
    ['sum(3, vector(1))', 'unsupported parameter for operation sum(3,'],
    ['sort by (a) (vector(1))', "sort and sort_desc doesn't allow grouping by "],
    ['approx_topk(5, vector(1)) by (x)', 'grouping not allowed for approx_topk aggregation'],
    ['{a="b"} + vector(1)', 'unexpected type for left leg of binary operation (+): *syntax.MatchersExpr'],
    ['vector(1) or {a="b"} | json', 'unexpected type for right leg of binary operation (or): *syntax.PipelineExpr'],
    ['1 and vector(1)', 'unexpected literal for left leg of logical/set binary operation (and): 1.000000'],
    ['vector(1) unless 2.5', 'unexpected literal for right leg of logical/set binary operation (unless): 2.500000'],
    [
      'label_replace(vector(1), "a", "b", "c", "[")',
      'invalid regex in label_replace: error parsing regexp: missing closing ]: `[)$`',
    ],
    ['{a=~"["}', 'error parsing regexp: missing closing ]: `[`'],
    ['{a="b"} | c!~"(?=d)"', 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
    ['{a="b"} | drop c=~"*"', 'error parsing regexp: missing argument to repetition operator: `*`'],
    ['{a="b"} | regexp "x"', 'invalid regexp parser: at least one named capture must be supplied'],
    ['{a="b"} | regexp "(?P<a>x)(?P<a>y)"', "invalid regexp parser: duplicate extracted label name 'a'"],
    ['{a="b"} | pattern "x"', 'invalid pattern parser: at least one capture is required'],
    ['{a="b"} | pattern "<a><b>"', "invalid pattern parser: found consecutive capture '<a><b>': invalid expression"],
    ['{a="b"} | pattern "<a> <a>"', 'invalid pattern parser: duplicate capture name (a): invalid expression'],
  ] as const) {
    it(`${query}: ${text}`, () => {
      expect(errorOf(query)).to.equal(`parse error : ${text}`);
    });
  }

  it('are judged from the root, left operand first', () => {
    expect(errorOf('sum_over_time({a="b"}[1m]) + topk(0, vector(1))')).to.match(/without unwrap$/);
    expect(errorOf('topk(0, vector(1)) + sum_over_time({a="b"}[1m])')).to.match(/greater than 0\) topk\(0$/);
    expect(errorOf('topk(0, sum_over_time({a=""}[1m]))')).to.match(/greater than 0\) topk\(0$/);
    expect(errorOf('sum(sum_over_time({a=""}[1m]))')).to.match(/without unwrap$/);
  });

  it('are judged after the syntax, but for regexes and patterns, which end parsing at once', () => {
    expect(errorOf('topk(0, vector(1)) +')).to.match(/col 21: syntax error: unexpected \$end$/);
    expect(errorOf('sum_over_time({a="b"}[1m]) + rate({a=~"["}[1m]) +')).to.match(/missing closing \]/);
    expect(errorOf('{a="b"} | pattern "x" | $')).to.match(/at least one capture/);
  });
});

describe('LogQL queries beyond all measure', () => {
  it('are refused from 131072 bytes on', () => {
    const selector = '{a="b"}';
    expect(errorOf(selector.padEnd(131_071))).to.equal(undefined);
    expect(errorOf(selector.padEnd(131_072))).to.equal('parse error : input size too long (131072 > 131072)');
    expect(errorOf(`{a="${'é'.repeat(70_000)}"}`)).to.equal('parse error : input size too long (140006 > 131072)');
  });

  const deep = (open: string, levels: number, inner: string, close: string) =>
    open.repeat(levels) + inner + close.repeat(levels);

  for (const [what, query] of [
    ['parentheses', deep('(', 10_000, '1', ')')],
    ['unclosed parentheses', '('.repeat(100_000)],
    ['aggregations', deep('sum(', 10_000, 'vector(1)', ')')],
    ['label_replace', deep('label_replace(', 4_000, 'vector(1)', ',"","","","")')],
    ['label filters', `{a="b"} | ${deep('(', 10_000, 'x="1"', ')')}`],
    ['ranges', `rate${deep('(', 10_000, '{a="b"}[1m]', ')')}`],
    ['powers', `1${'^1'.repeat(10_000)}`],
    ['conditions', `{a="b"} | x=1${',x=1'.repeat(10_000)}`],
    ['alternatives', `{a="b"} | x=1${' or x=1'.repeat(10_000)}`],
    ['sums', `vector(1)${'+vector(1)'.repeat(10_000)}`],
  ] as const) {
    it(`are refused where ${what} nest too deeply`, () => {
      expect(errorOf(query)).to.equal('parse error : query nests too deeply');
    });
  }

  it('are refused where there are more stages than anyone writes', () => {
    expect(errorOf(`{a="b"}${' | json'.repeat(501)}`)).to.equal('parse error : query has too many stages');
    expect(errorOf(`{a="b"}${' |= "x"'.repeat(501)}`)).to.equal('parse error : query has too many stages');
  });

  const TOO_LARGE = 'parse error : error parsing regexp: expression too large';
  for (const [what, query] of [
    ['one regex', `{a=~"${'.x'.repeat(5_000)}"}`],
    ['one set', `{a="b"} | x=~"[${'\\\\pL'.repeat(1_000)}]"`],
    ['the regexes of line filters', `{a="b"}${` |~ "${'.x'.repeat(50)}"`.repeat(50)}`],
    ['the regexes of a chain of alternatives', `{a="b"} |~ "x{900}" or "y{900}" or "z{900}" or "x{901}"`],
    ['the regexes of matchers', `{${`a=~"${'.x'.repeat(50)}",`.repeat(50)}b="c"}`],
    [
      'the regexes of label_replace',
      `${'label_replace('.repeat(50)}vector(1)${`,"","","","${'.x'.repeat(50)}")`.repeat(50)}`,
    ],
  ] as const) {
    it(`are refused where ${what} would take long to compile`, () => {
      expect(errorOf(query)).to.equal(TOO_LARGE);
    });
  }

  it('are taken where they are only long', () => {
    expect(errorOf(`1${'+1'.repeat(50_000)}`)).to.equal(undefined);
    expect(errorOf(`{a="b"}${' | json'.repeat(500)}`)).to.equal(undefined);
    expect(errorOf(`{a=~"${'value-1\\\\.x|prefix.*|'.repeat(5000)}"}`)).to.match(/empty-compatible/);
    expect(errorOf(`{a=~"${'value-1\\\\.x|prefix.*|'.repeat(5000)}x"}`)).to.equal(undefined);
    expect(errorOf(deep('sum(', 200, 'vector(1)', ')'))).to.equal(undefined);
    expect(errorOf(`{a="b"} | x=1${' or x=1'.repeat(900)}`)).to.equal(undefined);
  });
});
