import { expect } from 'chai';
import fc from 'fast-check';
import { parseExpr } from '../../../../src/logql/parser.ts';
import { printExpr } from '../../../../src/logql/print.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { anyExpr } from './arbitraries.ts';
import { refusalOf } from './refusal-of.ts';

/** Shared by the properties of this file. */
const RUNS = propertyRuns(2);

const printed = (text: string): string => printExpr(parseExpr(text));

describe('printed LogQL', () => {
  for (const [written, text] of [
    ['sum by(app)(rate({app="a"}|="x"[5m]))', 'sum by (app)(rate({app="a"} |= "x"[5m]))'],
    ['sum(vector(1)) without (a, b)', 'sum without (a,b)(vector(1.000000))'],
    ['{a="b"} | x=1 and y="z" or u<5KiB', '{a="b"} | ( ( x==1 , y="z" ) or u<5KiB )'],
    ['rate({a="b"}[90s] offset 1h)', 'rate({a="b"}[1m30s] offset 1h0m0s)'],
    [
      'avg_over_time({a="b"}[1d] | unwrap bytes(x) | y > 1e3) by ()',
      'avg_over_time({a="b"} | unwrap bytes(x) | y>1000[1d]) by ()',
    ],
    ['quantile_over_time(.50, {a="b"} | unwrap x [0])', 'quantile_over_time(0.5,{a="b"} | unwrap x[0s])'],
    ['{a=`b"\\`, c=~"é\\u200b"}', '{a="b\\"\\\\", c=~"é\\u200b"}'],
    ['{a="b"} != "x" or "y" |= ip("1.1.1.1") or "z"', '{a="b"} != "x" != "y" |= ip("1.1.1.1") or "z"'],
    ['{a="b"} | logfmt --keep-empty --strict x, y="z"', '{a="b"} | logfmt --strict --keep-empty x="x",y="z"'],
    ['vector(1) + 2 * vector(0.0000001)', '(vector(1.000000) + (2 * vector(0.0000001)))'],
    ['vector(1) == bool on(a) group_left vector(2)', '(vector(1.000000) == bool on (a) group_left vector(2.000000))'],
    [
      'vector(1) / on(a) group_left() (vector(2)*2)',
      '(vector(1.000000) / on (a) group_left () (vector(2.000000) * 2))',
    ],
    ['1e21 + 0', '1e+21'],
    ['0.00001', '1e-05'],
    ['1e20', '100000000000000000000'],
  ] as const) {
    it(`${written} is ${text}`, () => {
      expect(printed(written)).to.equal(text);
    });
  }

  it('has a text for what no literal is', () => {
    expect(printed('1/0')).to.equal('(0 / 0)');
    expect(printed('vector(1) * 2^1024')).to.equal('(vector(1.000000) * (2 ^ 1024))');
    expect(printed('-2^1025')).to.equal('(-2 ^ 1025)');
    expect(printed('0 * -1')).to.equal('-0');
    for (const text of ['(0 / 0)', '(2 ^ 1024)', '(-2 ^ 1025)', '-0']) expect(printed(text)).to.equal(text);
  });

  it('parses to the same tree, whatever the tree', () => {
    fc.assert(
      fc.property(anyExpr, (expr) => {
        expect(parseExpr(printExpr(expr))).to.deep.equal(expr);
      }),
      { numRuns: RUNS },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});

describe('damaged LogQL', () => {
  const scraps = [
    '(',
    ')',
    '{',
    '}',
    '[',
    ']',
    '"',
    '`',
    '|',
    '|=',
    '!',
    '=',
    '~',
    ',',
    '-',
    '--strict',
    'or',
    'by',
    'on',
    'offset',
  ];
  const numbers = ['5', '5m', '0x', '1e', '5KB', '1_', '.'];
  const words = [
    'sum',
    'rate(',
    'json',
    'unwrap',
    'ip(',
    'bool',
    'vector(1)',
    ' ',
    '\n',
    '#',
    '/*',
    '//',
    '\\',
    '$',
    'é',
    '😀',
    "'",
    '\u0000',
  ];

  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    removed: fc.nat({ max: 4 }),
    inserted: fc.constantFrom('', ...scraps, ...numbers, ...words),
  });

  type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

  /** Edits between characters, never inside of one: a query arrives as UTF-8, which has no form for half a surrogate pair. */
  const damaged = (text: string, edits: readonly Edit[]): string => {
    const characters = [...text];
    for (const { at, removed, inserted } of edits)
      characters.splice(Math.floor(at * characters.length), removed, ...inserted);
    return characters.join('');
  };

  const expectRefusedOrPrintable = (text: string): void => {
    const refusal = refusalOf(() => {
      const parsed = parseExpr(text);
      expect(parseExpr(printExpr(parsed))).to.deep.equal(parsed);
    });
    if (refusal !== undefined) expect(refusal.code).to.equal('INVALID_QUERY');
  };

  it('is refused or parses, and then prints as what parses to the same tree', () => {
    fc.assert(
      fc.property(anyExpr, fc.array(edit, { minLength: 1, maxLength: 4 }), (expr, edits) => {
        expectRefusedOrPrintable(damaged(printExpr(expr), edits));
      }),
      { numRuns: RUNS },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('is damaged beside a character of two UTF-16 units, not inside', () => {
    const template = '𮯡𐀻𘳖𐇾𑝀𐌀𘳖𮯡𱍋';
    const text = printed(
      `{app="web"} | line_format \`${template}\` | regexp \`(?P<a>.)"\` | logfmt --strict --keep-empty`,
    );
    const [before, after] = text.split('𐌀') as [string, string];
    for (const kept of [before, `${before}𐌀`]) {
      const at = [...kept].length / [...text].length;
      const edited = damaged(text, [{ at, removed: 0, inserted: '//' }]);
      expect(edited).to.equal(kept === before ? `${before}//𐌀${after}` : `${before}𐌀//${after}`);
      expectRefusedOrPrintable(edited);
    }
  });
});
