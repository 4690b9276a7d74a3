import { expect } from 'chai';
import fc from 'fast-check';
import {
  compileGoRegex,
  compileLineRegex,
  compileRegex,
  compileValueRegex,
  groupNames,
  tryCompileRegex,
} from '../../../../src/logql/regex.ts';
import { requiredLiterals } from '../../../../src/logql/regex-literals.ts';
import { parseRegex } from '../../../../src/logql/regex-syntax.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const required = (pattern: string): readonly string[] | undefined => {
  const node = parseRegex(pattern);
  return node === undefined ? undefined : requiredLiterals(node);
};

const matchesLine = (pattern: string, line: string): boolean => {
  const bytes = Buffer.from(`##${line}##`);
  return compileLineRegex(pattern).test(bytes, 2, bytes.length - 2);
};

describe('literals that a pattern needs', () => {
  const NEEDED: readonly (readonly [pattern: string, literals: readonly string[] | undefined])[] = [
    ['error', ['error']],
    ['user \\w+ failed', [' failed']],
    ['(?:GET|POST) /api/v[12]/ships', [' /api/v']],
    ['x+yz', ['yz']],
    ['(abc){2}', ['abc']],
    ['abc?', ['ab']],
    ['ab|cd', ['ab', 'cd']],
    ['(ab|c*)d', ['d']],
    ['(?i)error', undefined],
    ['(?i:e)rror', ['rror']],
    ['[a-z]+', undefined],
    ['a*', undefined],
    ['\\d+ms', ['ms']],
    ['\\Qa.b\\E$', ['a.b']],
    ['\\x41\\x{42}', ['AB']],
    ['größe: \\d', ['größe: ']],
    ['a\\1', undefined],
  ];
  for (const [pattern, literals] of NEEDED) {
    it(`of ${pattern} are ${literals?.join(' or ') ?? 'unknown'}`, () => {
      expect(required(pattern)).to.deep.equal(literals);
    });
  }

  const { node } = fc.letrec<{ node: string }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom('a', 'b', 'ab', 'é', '.', '\\d', '[ab]', '[^a]', '\\.', '^', '$', '\\b', '(?i)a', '\\x61', ''),
      fc.tuple(tie('node'), tie('node')).map(([left, right]) => left + right),
      fc.tuple(tie('node'), tie('node')).map(([left, right]) => `(${left}|${right})`),
      fc
        .tuple(tie('node'), fc.constantFrom('*', '+', '?', '{2}', '{0,2}', '{1,}?'))
        .map(([part, op]) => `(?:${part})${op}`),
      fc.tuple(tie('node'), fc.constantFrom('i', 's', 'i-s')).map(([part, flags]) => `(?${flags}:${part})`),
    ),
  }));
  const line = fc.string({ unit: fc.constantFrom('a', 'b', 'A', 'é', '.', '1', ' ', '\n'), maxLength: 12 });

  it('stand in every line that matches', () => {
    fc.assert(
      fc.property(node, line, (pattern, text) => {
        const compiled = tryCompileRegex(pattern);
        fc.pre('regex' in compiled);
        const literals = required(pattern);
        if (literals === undefined || !compiled.regex.test(text)) return;
        expect(
          literals.some((literal) => text.includes(literal)),
          `${literals.join()} in ${text}`,
        ).to.equal(true);
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('do not change what a filter keeps', () => {
    fc.assert(
      fc.property(node, line, (pattern, text) => {
        const compiled = tryCompileRegex(pattern);
        // Folding and `.+` alone are where Loki differs from plain regexes.
        fc.pre('regex' in compiled && !pattern.includes('i') && parseRegex(pattern)?.kind !== 'repeat');
        expect(matchesLine(pattern, text)).to.equal(compiled.regex.test(text));
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});

describe('regexes on lines', () => {
  it('see characters, not bytes', () => {
    expect(matchesLine('^.{3} .{3}$', 'ÄÖÜ äöü')).to.equal(true);
    expect(matchesLine('^[^a]$', '🦜')).to.equal(true);
    expect(matchesLine('\\pL+ \\pL+', 'ÄÖÜ äöü')).to.equal(true);
  });

  it('are searched as bytes when they are only literals', () => {
    for (const pattern of ['pier', 'pier|dock', '(pier)', '.*pier.*', '(?:pier|dock)', 'p\\.er']) {
      expect(compileLineRegex(pattern).isExact, pattern).to.equal(true);
    }
    for (const pattern of ['pier$', 'p.er', '(?i)pier', '.+pier']) {
      expect(compileLineRegex(pattern).isExact, pattern).to.equal(false);
    }
  });

  it('take linear time on patterns that make others hang', () => {
    const text = `${'x'.repeat(50_000)}a`;
    for (const pattern of [
      '(x+x+)+y',
      '(x|xx|xxx)*y',
      '(.*)(.*)(.*)(.*)z',
      '(x?){50}x{50}y',
      '([a-z]+)*[0-9]',
      '(?i)(x+)+ß',
    ]) {
      expect(matchesLine(pattern, text), pattern).to.equal(false);
    }
  });
});

describe('regexes on values', () => {
  const test = (pattern: string, value: string, dotMatchesNewline = false): boolean =>
    compileValueRegex(pattern, { dotMatchesNewline })(value);

  it('are anchored on both sides', () => {
    expect(test('ab', 'ab')).to.equal(true);
    expect(test('ab', 'xab')).to.equal(false);
    expect(test('a|b', 'ab')).to.equal(false);
    expect(test('a.*|b', 'abc')).to.equal(true);
    expect(test('a.*|b', 'xb')).to.equal(false);
    expect(test('', 'x')).to.equal(false);
    expect(test('|p', '')).to.equal(true);
    expect(test('(?i)AB', 'ab')).to.equal(true);
  });

  it('let a dot match a newline in selectors', () => {
    expect(test('x.y', 'x\ny', true)).to.equal(true);
    expect(test('x.y', 'x\ny', false)).to.equal(false);
  });
});

describe('the errors of regexes', () => {
  it('are worded as in Go', () => {
    expect(() => compileGoRegex('[')).to.throw('error parsing regexp: missing closing ]: `[`');
    expect(() => compileRegex('a{1001}'))
      .to.throw(RefusedError)
      .with.nested.property('refusal.text', 'parse error : error parsing regexp: invalid repeat count: `{1001}`');
  });

  it('do not concern groups that share a name', () => {
    expect(compileGoRegex('(?P<a>x)|(?P<a>y)').test('y')).to.equal(true);
    expect(groupNames('(?P<a>x)\\(?P<no>(?<b>y)(?P<a>z)')).to.deep.equal(['a', 'b', 'a']);
  });
});
