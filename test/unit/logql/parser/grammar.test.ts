import { expect } from 'chai';
import type { Expr, LabelFilter, LogRange } from '../../../../src/logql/ast.ts';
import { parseExpr, parseLogExpr, parseMatchers } from '../../../../src/logql/parser.ts';
import { refusalOf } from './refusal-of.ts';

const stagesOf = (tail: string) => parseLogExpr(`{a="b"} ${tail}`).stages;

const rangeOf = (text: string): LogRange => {
  const expr = parseExpr(`rate(${text})`);
  if (expr.kind !== 'rangeAggregation') throw new Error('not a range aggregation');
  return expr.range;
};

/** The tree with a pair of parentheses around every operator. */
const grouped = (expr: Expr): string => {
  if (expr.kind === 'binary') return `(${grouped(expr.left)} ${expr.op} ${grouped(expr.right)})`;
  return expr.kind === 'literal' || expr.kind === 'vector' ? String(expr.value) : expr.kind;
};

const groupedFilter = (filter: LabelFilter): string => {
  if (filter.kind === 'and' || filter.kind === 'or') {
    return `(${groupedFilter(filter.left)} ${filter.kind} ${groupedFilter(filter.right)})`;
  }
  return filter.kind === 'string' ? filter.matcher.name : filter.name;
};

describe('LogQL selectors', () => {
  it('reads every kind of matcher, in order', () => {
    expect(parseMatchers('{ app = "a" , env!="b",c=~"d|e", f!~`g.*` }')).to.deep.equal([
      { name: 'app', op: '=', value: 'a' },
      { name: 'env', op: '!=', value: 'b' },
      { name: 'c', op: '=~', value: 'd|e' },
      { name: 'f', op: '!~', value: 'g.*' },
    ]);
  });

  it('takes function names as label names, in any case, and letters of any script', () => {
    const names = ['sum', 'rate', 'ip', 'vector', 'bytes', 'Duration', 'label_replace', 'é', '_x9'];
    for (const name of names) expect(parseMatchers(`{${name}="1"}`)[0]?.name).to.equal(name);
  });

  it('lets only those through that ask for nothing in particular where this is allowed', () => {
    for (const text of ['{}', '{a=""}', '{a=~".*"}', '{a!="b"}', '{a!~"b"}', '{a=~"b?", c!="d"}']) {
      expect(refusalOf(() => parseMatchers(text))?.text, text).to.match(/^parse error : queries require at least one/);
      expect(parseMatchers(text, { mayBeUnselective: true }), text).to.be.an('array');
    }
    for (const text of ['{a="b"}', '{a!=""}', '{a=~".+"}', '{a!~".*"}', '{a!~"|b"}', '{a=~".*", c=~"d+"}']) {
      expect(parseMatchers(text), text).to.be.an('array');
    }
  });

  it('are told from queries', () => {
    for (const text of ['{a="b"} |= "c"', 'rate({a="b"}[1m])', '1']) {
      expect(refusalOf(() => parseMatchers(text))?.text).to.equal('only label matchers are supported');
    }
    expect(refusalOf(() => parseLogExpr('rate({a="b"}[1m])'))?.text).to.equal('only log selector is supported');
  });
});

describe('LogQL stages', () => {
  it('reads line filters with alternatives', () => {
    expect(stagesOf('|= "x" |~ "y" or `z` |> "<_> p" or ip("1.2.3.4")')).to.deep.equal([
      { kind: 'lineFilter', op: '|=', alternatives: [{ ip: false, value: 'x' }] },
      {
        kind: 'lineFilter',
        op: '|~',
        alternatives: [
          { ip: false, value: 'y' },
          { ip: false, value: 'z' },
        ],
      },
      {
        kind: 'lineFilter',
        op: '|>',
        alternatives: [
          { ip: false, value: '<_> p' },
          { ip: true, value: '1.2.3.4' },
        ],
      },
    ]);
  });

  it('takes the alternatives of a negative line filter as filters of their own: none of them may match', () => {
    expect(stagesOf('!= "x" or "y" !~ "z"')).to.deep.equal(stagesOf('!= "x" != "y" !~ "z"'));
  });

  it('reads the parsers', () => {
    expect(stagesOf('| json | json a, b="c.d[0]" | logfmt | logfmt --keep-empty --strict x | unpack')).to.deep.equal([
      { kind: 'json', extracts: [] },
      {
        kind: 'json',
        extracts: [
          { name: 'a', path: 'a', bare: true },
          { name: 'b', path: 'c.d[0]', bare: false },
        ],
      },
      { kind: 'logfmt', strict: false, keepEmpty: false, extracts: [] },
      { kind: 'logfmt', strict: true, keepEmpty: true, extracts: [{ name: 'x', path: 'x', bare: true }] },
      { kind: 'unpack' },
    ]);
    expect(stagesOf('| regexp "(?P<a>.)" | pattern `<a> <_>`')).to.deep.equal([
      { kind: 'regexp', pattern: '(?P<a>.)' },
      { kind: 'pattern', pattern: '<a> <_>' },
    ]);
  });

  it('reads formats, drop, keep and decolorize', () => {
    expect(
      stagesOf('| line_format "{{.a}}" | label_format a=b,c="d" | drop e, f="g" | keep h, i=~"j" | decolorize'),
    ).to.deep.equal([
      { kind: 'lineFormat', template: '{{.a}}' },
      {
        kind: 'labelFormat',
        formats: [
          { kind: 'rename', target: 'a', source: 'b' },
          { kind: 'template', target: 'c', template: 'd' },
        ],
      },
      {
        kind: 'drop',
        targets: [
          { name: 'e', matcher: undefined },
          { name: 'f', matcher: { name: 'f', op: '=', value: 'g' } },
        ],
      },
      {
        kind: 'keep',
        targets: [
          { name: 'h', matcher: undefined },
          { name: 'i', matcher: { name: 'i', op: '=~', value: 'j' } },
        ],
      },
      { kind: 'decolorize' },
    ]);
  });

  it('reads keywords in any case', () => {
    expect(stagesOf('| JSON | Line_Format "x" | a=1 AND b=2 Or c=3')).to.deep.equal(
      stagesOf('| json | line_format "x" | a=1 and b=2 or c=3'),
    );
    expect(parseExpr('SUM By (x) (RATE({a="b"}[1m] OFFSET 5m))')).to.deep.equal(
      parseExpr('sum by (x) (rate({a="b"}[1m] offset 5m))'),
    );
  });
});

describe('LogQL label filters', () => {
  const filterOf = (text: string): LabelFilter => {
    const [stage] = stagesOf(`| ${text}`);
    if (stage?.kind !== 'labelFilter') throw new Error('not a label filter');
    return stage.filter;
  };

  it('tell strings, numbers, durations, sizes and addresses apart', () => {
    expect(filterOf('a="5"')).to.deep.equal({ kind: 'string', matcher: { name: 'a', op: '=', value: '5' } });
    expect(filterOf('a!~"5"')).to.deep.equal({ kind: 'string', matcher: { name: 'a', op: '!~', value: '5' } });
    expect(filterOf('a >= 1.5e3')).to.deep.equal({ kind: 'number', name: 'a', op: '>=', value: 1500 });
    expect(filterOf('a < 1h30m')).to.deep.equal({
      kind: 'duration',
      name: 'a',
      op: '<',
      value: 5_400e9,
      text: '1h30m0s',
    });
    expect(filterOf('a != 5KiB')).to.deep.equal({ kind: 'bytes', name: 'a', op: '!=', value: 5120, text: '5KiB' });
    expect(filterOf('a != ip("10.0.0.0/8")')).to.deep.equal({ kind: 'ip', name: 'a', op: '!=', value: '10.0.0.0/8' });
  });

  it('take = for == with numbers, which may be signed', () => {
    expect(filterOf('a=5')).to.deep.equal(filterOf('a==5'));
    expect(filterOf('a=-5')).to.deep.equal({ kind: 'number', name: 'a', op: '==', value: -5 });
    expect(filterOf('a>+5')).to.deep.equal({ kind: 'number', name: 'a', op: '>', value: 5 });
    expect(filterOf('a>-5s')).to.deep.equal({ kind: 'duration', name: 'a', op: '>', value: -5e9, text: '-5s' });
  });

  it('read what is no decimal number as 0, as Loki does', () => {
    expect(filterOf('a=0x10')).to.deep.equal({ kind: 'number', name: 'a', op: '==', value: 0 });
  });

  for (const [written, meant] of [
    ['a=1 and b=1 or c=1', '((a and b) or c)'],
    ['a=1 or b=1 and c=1', '(a or (b and c))'],
    ['a=1 , b=1 or c=1', '(a and (b or c))'],
    ['a=1 b=1 or c=1', '(a and (b or c))'],
    ['a=1 or b=1 , c=1', '(a or (b and c))'],
    ['a=1 and b=1 , c=1 or d=1', '(a and (b and (c or d)))'],
    ['a=1 and b=1 and c=1', '((a and b) and c)'],
    ['a=1 or b=1 or c=1', '((a or b) or c)'],
    ['a=1 , b=1 , c=1', '(a and (b and c))'],
    ['(a=1 or b=1) and c=1', '((a or b) and c)'],
    ['a=1 (b=1 or c=1)', '(a and (b or c))'],
  ] as const) {
    it(`group ${written} as ${meant}`, () => {
      expect(groupedFilter(filterOf(written))).to.equal(meant);
    });
  }
});

describe('LogQL log ranges', () => {
  const minuteNs = 60_000_000_000n;

  it('are the same however their parts are arranged', () => {
    const wanted = rangeOf('{a="b"} | json | unwrap x | y="1" [5m] offset 1h');
    expect(wanted).to.deep.equal({
      log: { kind: 'log', matchers: [{ name: 'a', op: '=', value: 'b' }], stages: [{ kind: 'json', extracts: [] }] },
      rangeNs: 5n * minuteNs,
      offsetNs: 60n * minuteNs,
      unwrap: {
        name: 'x',
        conversion: 'none',
        filters: [{ kind: 'string', matcher: { name: 'y', op: '=', value: '1' } }],
      },
    });
    for (const form of [
      '{a="b"}[5m] offset 1h | json | unwrap x | y="1"',
      '({a="b"} | json | unwrap x | y="1")[5m] offset 1h',
      '({a="b"} | json | unwrap x | y="1" [5m] offset 1h)',
      '(({a="b"}[5m] offset 1h | json | unwrap x | y="1"))',
    ]) {
      expect(rangeOf(form), form).to.deep.equal(wanted);
    }
    expect(rangeOf('({a="b"})[5m] offset 1h | unwrap x')).to.deep.equal(rangeOf('{a="b"} | unwrap x [5m] offset 1h'));
  });

  it('unwrap with a conversion, and take its name for a label where no parenthesis follows', () => {
    expect(rangeOf('{a="b"} | unwrap duration_seconds(x) [1m]').unwrap).to.deep.equal({
      name: 'x',
      conversion: 'duration_seconds',
      filters: [],
    });
    expect(rangeOf('{a="b"} | unwrap bytes [1m]').unwrap).to.deep.equal({
      name: 'bytes',
      conversion: 'none',
      filters: [],
    });
  });

  it('may look into the future', () => {
    expect(rangeOf('{a="b"}[5m] offset -5m').offsetNs).to.equal(-5n * minuteNs);
  });

  for (const [text, ms] of [
    ['0', 0n],
    ['500ms', 500n],
    ['1h30m', 5_400_000n],
    ['1d', 86_400_000n],
    ['1y2w3d4h5m6s7ms', 33_019_506_007n],
  ] as const) {
    it(`read [${text}]`, () => {
      expect(rangeOf(`{a="b"}[${text}]`).rangeNs).to.equal(ms * 1_000_000n);
    });
  }
});

describe('LogQL expressions', () => {
  for (const [written, meant] of [
    ['vector(2)^vector(3)^vector(2)', '(2 ^ (3 ^ 2))'],
    ['2 * vector(3) ^ 2', '(2 * (3 ^ 2))'],
    ['vector(1) unless vector(2) or vector(3)', '((1 unless 2) or 3)'],
    ['vector(1) or vector(2) and vector(3)', '(1 or (2 and 3))'],
    ['vector(2)*vector(3)%vector(4)', '((2 * 3) % 4)'],
    ['vector(10)-vector(3)-vector(2)', '((10 - 3) - 2)'],
    ['vector(1) % 2 == 1', '((1 % 2) == 1)'],
    ['vector(1) + vector(2) > vector(3) and vector(4)', '(((1 + 2) > 3) and 4)'],
    ['(vector(1) + vector(2)) * vector(3)', '((1 + 2) * 3)'],
    ['vector(1) - -2', '(1 - -2)'],
    ['-2 ^ vector(2)', '(-2 ^ 2)'],
  ] as const) {
    it(`groups ${written} as ${meant}`, () => {
      expect(grouped(parseExpr(written))).to.equal(meant);
    });
  }

  for (const [written, value] of [
    ['1 + 2 * 3', 7],
    ['-2^2', 4],
    ['2 ^ 3 ^ 2', 512],
    ['7 % 4 - 10', -7],
    ['-7 % 4', -3],
    ['1 > 2', 0],
    ['2 >= bool 2', 1],
    ['1 != 2', 1],
    ['5 / 0', Number.NaN],
    ['5 % 0', Number.NaN],
    ['2 ^ 1024', Number.POSITIVE_INFINITY],
    ['1 ^ (0/0)', 1],
    ['010', 10],
    ['1_000', 1000],
    ['.5 + 1. + 1E+3', 1001.5],
    ['0x1p4', 16],
  ] as const) {
    it(`folds ${written} to ${value}`, () => {
      expect(parseExpr(written)).to.deep.equal({ kind: 'literal', value });
    });
  }

  it('reads aggregations with their parameter and grouping on either side', () => {
    const inner = parseExpr('rate({a="b"}[1m])');
    const node = {
      kind: 'vectorAggregation',
      op: 'topk',
      parameter: 5,
      inner,
      grouping: { without: false, names: ['x', 'y'] },
    };
    expect(parseExpr('topk(5, rate({a="b"}[1m])) by (x, y)')).to.deep.equal(node);
    expect(parseExpr('topk by (x, y) (5, rate({a="b"}[1m]))')).to.deep.equal(node);
    expect(parseExpr('sum(1 + vector(2))')).to.have.nested.property('inner.op', '+');
    expect(parseExpr('sum without () (vector(1))')).to.deep.include({ grouping: { without: true, names: [] } });
    expect(parseExpr('quantile_over_time(0.99, {a="b"} | unwrap x [1m]) by (y)')).to.deep.include({
      op: 'quantile_over_time',
      parameter: 0.99,
      grouping: { without: false, names: ['y'] },
    });
  });

  it('reads how vectors are matched', () => {
    const matchingOf = (words: string) => {
      const expr = parseExpr(`vector(1) / ${words} vector(2)`);
      return expr.kind === 'binary' ? expr.matching : undefined;
    };
    expect(matchingOf('')).to.equal(undefined);
    expect(matchingOf('on ()')).to.deep.equal({ on: true, names: [], group: 'none', include: [] });
    expect(matchingOf('ignoring (a, b)')).to.deep.equal({ on: false, names: ['a', 'b'], group: 'none', include: [] });
    expect(matchingOf('on (a) group_left')).to.deep.equal({ on: true, names: ['a'], group: 'left', include: [] });
    expect(matchingOf('on (a) group_right (b, c)')).to.deep.equal({
      on: true,
      names: ['a'],
      group: 'right',
      include: ['b', 'c'],
    });
    expect(parseExpr('vector(1) > bool on (a) vector(2)')).to.include({ returnBool: true });
  });

  it('reads label_replace', () => {
    expect(parseExpr('label_replace(vector(1), "a", "$1", "b", "(.*)")')).to.deep.equal({
      kind: 'labelReplace',
      inner: { kind: 'vector', value: 1 },
      target: 'a',
      replacement: '$1',
      source: 'b',
      pattern: '(.*)',
    });
  });
});
