import { expect } from 'chai';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import type { LabelMatcher } from '../../../src/protocol/matcher.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { literalAlternatives, planOf, plansOf } from '../../../src/storage/matcher-plan.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const matcher = (op: LabelMatcher['op'], value: string): LabelMatcher => ({ name: 'app', op, value });

/** What the plan says of a series: the value of its label, '' if it has none. */
const passes = (plan: ReturnType<typeof planOf>, value: string): boolean => {
  const isRead = value !== '' && (plan.values?.includes(value) ?? true);
  const isWanted = isRead && plan.isWanted(value);
  return plan.effect === 'include' ? isWanted : !isWanted;
};

describe('matcher plans', () => {
  const cases: readonly (readonly [
    LabelMatcher['op'],
    string,
    'include' | 'exclude',
    readonly string[] | undefined,
  ])[] = [
    ['=', 'web', 'include', ['web']],
    ['=', '', 'exclude', undefined],
    ['!=', 'web', 'exclude', ['web']],
    ['!=', '', 'include', undefined],
    ['=~', 'a|b', 'include', ['a', 'b']],
    ['=~', 'a|', 'exclude', undefined],
    ['=~', 'a.*', 'include', undefined],
    ['=~', '.*', 'exclude', undefined],
    ['=~', '.+', 'include', undefined],
    ['!~', 'a|b', 'exclude', ['a', 'b']],
    ['!~', 'a|', 'include', undefined],
    ['!~', 'a.*', 'exclude', undefined],
    ['!~', '.*', 'include', undefined],
  ];
  for (const [op, value, effect, values] of cases) {
    it(`of ${op} ${JSON.stringify(value)}: ${effect} ${values ? values.join(' and ') : 'from whole rows'}`, () => {
      const plan = planOf(matcher(op, value));
      expect(plan.effect).to.equal(effect);
      expect(plan.values).to.deep.equal(values);
    });
  }

  it('decide as the matcher does on the value, a missing label being empty', () => {
    const patterns = [
      '',
      'web',
      'w.*',
      '.*',
      '.+',
      'web|api',
      'web|',
      '(web|api)',
      'w(e)b',
      'a\\.b',
      '[^a]*',
      '(?i)WEB',
      'x?',
    ];
    const values = ['', 'web', 'api', 'a.b', 'aXb', 'WEB', 'x', 'we\nb', 'web|api'];
    for (const pattern of patterns) {
      for (const value of values) {
        const isMatch = RE2JS.compile(`^(?s:${pattern})$`).test(value);
        for (const [op, expected] of [
          ['=', value === pattern],
          ['!=', value !== pattern],
          ['=~', isMatch],
          ['!~', !isMatch],
        ] as const) {
          expect(passes(planOf(matcher(op, pattern)), value), `${JSON.stringify(value)} ${op} ${pattern}`).to.equal(
            expected,
          );
        }
      }
    }
  });

  it('are anchored at both ends, and a dot is any character', () => {
    const plan = planOf(matcher('=~', 'a.c|d+'));
    expect(['abc', 'a\nc', 'dd'].every((value) => passes(plan, value))).to.equal(true);
    expect(['xabc', 'abcx', 'abd', 'dda'].some((value) => passes(plan, value))).to.equal(false);
  });

  it('come with the cheap ones first, and leave out what is always true', () => {
    const plans = plansOf([
      matcher('!~', 'a.*'),
      matcher('=~', '.*'),
      matcher('!=', 'b'),
      matcher('=~', 'w.*'),
      matcher('=', 'c'),
    ]);
    expect(plans.map(({ effect, values }) => `${effect} ${values}`)).to.deep.equal([
      'include c',
      'include undefined',
      'exclude b',
      'exclude undefined',
    ]);
  });

  it('refuse what Go refuses', () => {
    for (const pattern of ['(', '*a', '[z-a]', '\\1', '(?=a)', 'a{2,1}']) {
      expect(() => planOf(matcher('=~', pattern)), pattern)
        .to.throw(RefusedError)
        .with.nested.property('refusal.code', 'INVALID_QUERY');
    }
  });

  it('stay linear on hostile patterns', () => {
    const plan = planOf(matcher('=~', '(a+)+(a|aa)*c'));
    expect(plan.isWanted('a'.repeat(2_000))).to.equal(false);
  });

  it('read whole rows rather than very many values', () => {
    const many = Array.from({ length: 100 }, (_, index) => `v${index}`).join('|');
    const plan = planOf(matcher('=~', many));
    expect(plan.values).to.equal(undefined);
    expect(plan.isWanted('v99')).to.equal(true);
    expect(plan.isWanted('v100')).to.equal(false);
  });
});

describe('literal alternatives', () => {
  it('are read from plain, escaped and grouped text', () => {
    expect(literalAlternatives('a')).to.deep.equal(['a']);
    expect(literalAlternatives('')).to.deep.equal(['']);
    expect(literalAlternatives('a|b|a')).to.deep.equal(['a', 'b']);
    expect(literalAlternatives('(a|b)')).to.deep.equal(['a', 'b']);
    expect(literalAlternatives('(?:a|b)')).to.deep.equal(['a', 'b']);
    expect(literalAlternatives('a\\.b|c\\|d|e-f/g')).to.deep.equal(['a.b', 'c|d', 'e-f/g']);
  });

  it('are not seen where there is more than literals', () => {
    for (const pattern of [
      'a.',
      'a*',
      '(a)|(b)',
      'a(b|c)',
      '(?i:a)',
      '[ab]',
      '^a',
      'a$',
      '\\d',
      '\\Qa\\E',
      'a\\',
      'a{2}',
      '(a',
    ]) {
      expect(literalAlternatives(pattern), pattern).to.equal(undefined);
    }
  });

  it('mean what the regex means', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '|', '(', ')', '\\', '.', '?', ':', '_', '-'),
      maxLength: 8,
    });
    fc.assert(
      fc.property(text, text, (pattern, value) => {
        const values = literalAlternatives(pattern);
        if (!values) return;
        const regex = RE2JS.compile(pattern, RE2JS.DOTALL);
        expect(values.includes(value)).to.equal(regex.testExact(value));
        for (const alternative of values) expect(regex.testExact(alternative)).to.equal(true);
      }),
      { numRuns: propertyRuns(2) },
    );
  });
});
