import { expect } from 'chai';
import fc from 'fast-check';
import { compileGoRegex, compileValueBytesRegex, compileValueRegex } from '../../../../src/logql/regex.ts';
import { REGEX_COST_MAX, regexCost } from '../../../../src/logql/regex-cost.ts';
import { dfaOf, OUTCOME, type Outcome } from '../../../../src/logql/regex-dfa.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const outcomeOf = (pattern: string, line: string): Outcome => {
  const bytes = Buffer.from(`##${line}##`);
  return dfaOf(compileGoRegex(pattern))!.test(bytes, 2, bytes.length - 2);
};

describe('RegexDfa', () => {
  const CASES: readonly (readonly [pattern: string, line: string, isMatch: boolean])[] = [
    ['[0-9]{3}[a-z]{2}[0-9]+', 'at 123ab4', true],
    ['[0-9]{3}[a-z]{2}[0-9]+', 'at 123a4', false],
    ['^a', 'ba', false],
    ['a$', 'ab', false],
    ['a$', 'ba', true],
    ['^$', '', true],
    ['(?m)^b$', 'a\nb\nc', true],
    ['^b$', 'a\nb\nc', false],
    ['a.b', 'a\nb', false],
    ['(?s)a.b', 'a\nb', true],
    ['\\bcat\\b', 'a cat sat', true],
    ['\\bcat\\b', 'concatenate', false],
    ['\\Bcat', 'concat', true],
    ['(?i)straSSe', 'STRASSE', true],
    ['x*', '', true],
    ['[^a]', 'aaa', false],
  ];
  for (const [pattern, line, isMatch] of CASES) {
    it(`${isMatch ? 'finds' : 'does not find'} ${pattern} in ${JSON.stringify(line)}`, () => {
      expect(outcomeOf(pattern, line)).to.equal(isMatch ? OUTCOME.match : OUTCOME.noMatch);
    });
  }

  it('gives up on a line at its first byte that is not ASCII', () => {
    expect(outcomeOf('a.b', 'ünd')).to.equal(OUTCOME.unknown);
    expect(outcomeOf('a.b', 'a-b.ü')).to.equal(OUTCOME.match);
  });

  it('is not made for a pattern of many instructions', () => {
    expect(dfaOf(compileGoRegex('a{900}'))).to.equal(undefined);
  });

  it('gives up for good, in bounded time, where each byte makes a new state', () => {
    const dfa = dfaOf(compileGoRegex('a.{16}b'))!;
    let state = 1;
    const bytes = Buffer.from(
      Array.from({ length: 100_000 }, () => {
        state = (state * 1103515245 + 12345) & 0x7fffffff;
        return (state >> 16) & 1 ? 0x61 : 0x63;
      }),
    );
    expect(dfa.test(bytes, 0, bytes.length)).to.equal(OUTCOME.unknown);
    expect(dfa.test(Buffer.from('xaz'), 0, 3)).to.not.equal(OUTCOME.match);
  });

  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.constantFrom('a', 'b', 'ab', '.', '\\d', '\\w', '\\s', '[ab]', '[^a]', '[[:upper:]]', '^', '$', '\\b', '\\B'),
      fc.constantFrom('\\A', '\\z', '(?i)a', '(?m)^b', '(?m)a$', '(?s).', '\\n', '(?i)[k-s]', '', 'é', '\\pL'),
      fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => left + right),
      fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `(${left}|${right})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '*?', '{2}', '{0,2}', '{1,}?', '{3,5}'))
        .map(([part, op]) => `(?:${part})${op}`),
    ),
  }));
  const line = fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'K', 's', '1', ' ', '_', '\n', '-'), maxLength: 12 });

  it('says what re2js says', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    fc.assert(
      fc.property(pattern, fc.array(line, { minLength: 1, maxLength: 8 }), (text, lines) => {
        fc.pre(regexCost(text) <= REGEX_COST_MAX);
        const regex = compileGoRegex(text);
        const dfa = dfaOf(regex);
        for (const one of lines) {
          const bytes = Buffer.from(`a${one}b`);
          const outcome = dfa?.test(bytes, 1, bytes.length - 1);
          if (outcome === undefined || outcome === OUTCOME.unknown) continue;
          expect(outcome === OUTCOME.match, `${text} in ${JSON.stringify(one)}`).to.equal(regex.test(one));
        }
      }),
      { numRuns: propertyRuns(2) },
    );
  });

  const prefixed = fc.stringMatching(/^[ab]{1,3}$/).map((text) => `${text}.+`);
  const value = fc.oneof(line, fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\n', '\ufffd'), maxLength: 6 }));

  it('says of whole values what a label filter says of their text', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    fc.assert(
      fc.property(fc.oneof(pattern, prefixed), fc.array(value, { minLength: 1, maxLength: 8 }), (text, values) => {
        fc.pre(regexCost(text) <= REGEX_COST_MAX);
        const test = compileValueBytesRegex(text);
        const matches = compileValueRegex(text, { dotMatchesNewline: false });
        for (const value of values) {
          const bytes = Buffer.from(`a${value}b`);
          const outcome = test?.(bytes, 1, bytes.length - 1);
          if (outcome === undefined || outcome === OUTCOME.unknown) continue;
          expect(outcome === OUTCOME.match, `${text} is ${JSON.stringify(value)}`).to.equal(matches(value));
        }
      }),
      { numRuns: propertyRuns(2) },
    );
  });

  it('leaves values to other tests where those do better, or see more than the pattern says', () => {
    for (const simple of ['GET', 'GET|POST', 'a.*', '.*', '.+'])
      expect(compileValueBytesRegex(simple), simple).to.equal(undefined);
    expect(compileValueBytesRegex('\\Qa.b'), 'a quotation that would go on').to.equal(undefined);
    const told = (pattern: string, text: string) =>
      compileValueBytesRegex(pattern)?.(Buffer.from(text), 0, text.length);
    expect(told('/api/.+', '/api/x')).to.equal(OUTCOME.match);
    for (const other of ['/api/', '/apo/x', '/api/x\n', 'x/api/x'])
      expect(told('/api/.+', other)).to.equal(OUTCOME.noMatch);
    expect(told('(?i)/api/.+', '/API/x'), 'by the DFA').to.equal(OUTCOME.match);
    expect(told('(?s)/api/.+', '/api/x\n')).to.equal(OUTCOME.match);
  });
});
