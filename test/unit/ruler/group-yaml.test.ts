import { expect } from 'chai';
import fc from 'fast-check';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { printGroup, printNamespaces, readGroup, readGroups } from '../../../src/ruler/group-yaml.ts';
import type { RuleGroup } from '../../../src/ruler/rule-group.ts';
import { propertyRuns } from '../../support/property-runs.ts';

const GROUP = `
name: web
interval: 1m30s
query_offset: 10s
limit: 5
labels:
  team: a
rules:
  - alert: Errors
    expr: |
      sum(rate({app="web"} |= "error" [5m])) > 10
    for: 10m
    keep_firing_for: 1h
    labels: {severity: 1, on: yes}
    annotations:
      summary: "{{ $value }}: too many"
  - record: app:lines:rate
    expr: sum(rate({app="web"}[1m]))
    unknown: [1, 2]
`;

describe('a group of rules as YAML', () => {
  it('is read, every scalar as the text it is', () => {
    expect(readGroup(GROUP)).to.deep.equal({
      name: 'web',
      intervalMs: 90_000,
      queryOffsetMs: 10_000,
      limit: 5,
      labels: { team: 'a' },
      rules: [
        {
          alert: 'Errors',
          record: '',
          expr: 'sum(rate({app="web"} |= "error" [5m])) > 10\n',
          forMs: 600_000,
          keepFiringForMs: 3_600_000,
          labels: { severity: '1', on: 'yes' },
          annotations: { summary: '{{ $value }}: too many' },
        },
        {
          alert: '',
          record: 'app:lines:rate',
          expr: 'sum(rate({app="web"}[1m]))',
          forMs: 0,
          keepFiringForMs: 0,
          labels: {},
          annotations: {},
        },
      ],
    });
  });

  it('is printed so that it is read as the same', () => {
    const piece = fc.constantFrom(
      ...'\n\r \t#:-"\'\\%|>&*!?,[]{}~a',
      '  ',
      '\n  ',
      '---',
      '...',
      'null',
      '\u0085',
      '\u2028',
      '\uFEFF',
      '\0',
    );
    const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: piece, maxLength: 8 }));
    const texts = fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }), text, { maxKeys: 3 });
    const ms = fc.integer({ min: 0, max: 400 * 86_400_000 });
    const rule = fc.record({
      alert: text,
      record: text,
      expr: text,
      forMs: ms,
      keepFiringForMs: ms,
      labels: texts,
      annotations: texts,
    });
    const group = fc.record({
      name: text,
      intervalMs: ms,
      queryOffsetMs: ms,
      limit: fc.nat(1000),
      labels: texts,
      rules: fc.array(rule, { maxLength: 3 }),
    });
    const check = (one: RuleGroup): void => {
      expect(plain(readGroup(printGroup(one)))).to.deep.equal(plain(one));
    };
    fc.assert(fc.property(group, check), { numRuns: propertyRuns(200) });
  });

  it('keeps lines as lines where it can', () => {
    const annotations = { lines: 'a\n  b\n', indented: '  a\nb', late: '\n  a' };
    const text = printGroup(readGroup(JSON.stringify({ name: 'g', rules: [{ alert: 'A', expr: '1', annotations }] })));
    expect(text).to.contain('lines: |\n').and.to.contain('indented: "  a\\nb"').and.to.contain('late: "\\n  a"');
    expect(readGroup(text).rules[0]?.annotations).to.deep.equal(annotations);
  });

  it('names like those of objects are names', () => {
    const { labels } = readGroup('name: g\nlabels: {__proto__: a, constructor: b}');
    expect(Object.entries(labels)).to.deep.equal([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });

  for (const [what, text] of [
    ['a text', 'just words'],
    ['a list', '- a'],
    ['half of something', 'rules: [{'],
    ['the same key twice', 'name: a\nname: b'],
    ['two documents', 'name: a\n---\nname: b'],
    ['rules that are no list', 'rules: {a: b}'],
    ['a rule that is no map', 'rules: [a]'],
    ['a label that is a list', 'rules: [{labels: {a: [b]}}]'],
    ['a duration that is none', 'rules: [{for: 5 minutes}]'],
    ['a limit that is no number', 'limit: many'],
    [
      'aliases that grow',
      `a: &a [x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(20)}]\nc: [${'*b,'.repeat(20)}]\nrules: [*c]`,
    ],
  ] as const) {
    it(`is refused as ${what}`, () => {
      const error = catchRefusal(() => readGroup(text));
      expect(error).to.be.instanceOf(RefusedError);
      expect(error?.refusal).to.deep.equal({
        code: 'BAD_REQUEST',
        text: 'unable to decoded rule group',
      });
    });
  }

  it('is refused where it has more rules than a group may, before they are read', () => {
    const error = catchRefusal(() => readGroup(`rules: [${'[], '.repeat(2001)}]`));
    expect(error?.refusal).to.deep.equal({ code: 'BAD_REQUEST', text: 'a group may have 2000 rules, not 2001' });
  });

  it('is read in time that grows with its size, not with the square of it', () => {
    const { user } = process.cpuUsage();
    const names = Array.from({ length: 24_000 }, (_, index) => `k${index}`);
    const { labels } = readGroup(`labels:\n${names.map((name) => `  ${name}: x\n`).join('')}`);
    expect(Object.keys(labels)).to.have.length(24_000);
    expect(catchRefusal(() => readGroup('"a" '.repeat(25_000)))).to.be.instanceOf(RefusedError);
    // 1 s, and 20 s where each key is compared with all before it.
    expect((process.cpuUsage().user - user) / 1e6).to.be.lessThan(8);
  }).timeout(60_000);

  it('is empty where nothing is said', () => {
    const empty = { name: '', intervalMs: 0, queryOffsetMs: 0, limit: 0, labels: {}, rules: [] };
    for (const text of ['', 'name:', 'rules:', 'labels:\nname: ""']) {
      expect(readGroup(text), text).to.deep.equal(empty);
    }
  });

  it('is one of many in a file, and in an answer', () => {
    const groups = readGroups('groups:\n  - name: a\n  - name: b\n');
    expect(groups.map(({ name }) => name)).to.deep.equal(['a', 'b']);
    expect(printNamespaces(new Map([['ns', groups]]))).to.equal(
      'ns:\n    - name: a\n      rules: []\n    - name: b\n      rules: []\n',
    );
    expect(readGroups('groups:')).to.deep.equal([]);
  });
});

const catchRefusal = (read: () => unknown): RefusedError | undefined => {
  try {
    read();
    return undefined;
  } catch (error) {
    return error as RefusedError;
  }
};

/** Without the difference between a map and none. */
const plain = (group: RuleGroup): object => JSON.parse(JSON.stringify(group)) as object;
