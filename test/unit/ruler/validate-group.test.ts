import { expect } from 'chai';
import { readGroup, readGroups } from '../../../src/ruler/group-yaml.ts';
import { fileProblems, groupProblems } from '../../../src/ruler/validate-group.ts';

const problemsOf = (rules: string): readonly string[] => groupProblems(readGroup(`{name: g, rules: [${rules}]}`));

describe('what is wrong with a group', () => {
  it('is nothing where nothing is', () => {
    const alert = '{alert: "Any name, é", expr: "vector(1) > 0", for: 1m, labels: {a_1: "{{ $labels.x | title }}"}}';
    const record = '{record: "a:b_c", expr: "count_over_time({a=\\"b\\"}[1m])", labels: {l: ""}}';
    const logs = '{alert: Logs, expr: "{a=\\"b\\"}"}';
    expect(problemsOf([alert, record, logs].join())).to.deep.equal([]);
  });

  const cases: readonly (readonly [rules: string, ...problems: string[]])[] = [
    ['{expr: "vector(1)"}', "one of 'record' or 'alert' must be set"],
    ['{alert: a, record: b, expr: "vector(1)"}', "only one of 'record' and 'alert' must be set"],
    ['{alert: a}', "field 'expr' must be set in rule"],
    [
      '{alert: a, expr: "{"}',
      "could not parse expression for alert 'a' in group 'g': parse error at line 1, col 2: syntax error: unexpected $end, " +
        'expecting IDENTIFIER or }',
    ],
    [
      '{record: r, expr: "sum("}',
      "could not parse expression for record 'r' in group 'g': parse error at line 1, col 5: syntax error: unexpected $end",
    ],
    ['{record: r, expr: "vector(1)", for: 1m}', "invalid field 'for' in recording rule"],
    ['{record: r, expr: "vector(1)", keep_firing_for: 1m}', "invalid field 'keep_firing_for' in recording rule"],
    ['{record: r, expr: "vector(1)", annotations: {a: b}}', "invalid field 'annotations' in recording rule"],
    ['{record: "a-b", expr: "vector(1)"}', 'invalid recording rule name: a-b'],
    ['{alert: a, expr: "vector(1)", labels: {"1a": b}}', 'invalid label name: 1a'],
    ['{alert: a, expr: "vector(1)", labels: {__name__: b}}', 'invalid label name: __name__'],
    ['{alert: a, expr: "vector(1)", annotations: {"a b": c}}', 'invalid annotation name: a b'],
    [
      '{alert: a, expr: "vector(1)", labels: {l: "{{ nothing }}"}}',
      'label "l": template: __alert_a:1: function "nothing" not defined',
    ],
    [
      '{alert: a, expr: "vector(1)", annotations: {l: "{{ $value"}}',
      'annotation "l": template: __alert_a:1: unclosed action',
    ],
    [
      '{alert: a, expr: "vector(1)", annotations: {l: "{{ query \\"up\\" }}"}}',
      'annotation "l": template: __alert_a:1: function "query" not defined',
    ],
    [
      '{alert: a}, {alert: b, expr: "vector(1)"}, {expr: x}',
      "field 'expr' must be set in rule",
      "one of 'record' or 'alert' must be set",
    ],
  ];
  for (const [rules, ...problems] of cases) {
    it(`is said: ${problems.join(', ')}`, () => expect(problemsOf(rules)).to.deep.equal(problems));
  }

  it('is a name that is missing, or there twice in a file', () => {
    expect(groupProblems(readGroup('rules: []'))).to.deep.equal(['group 0: Groupname must not be empty']);
    expect(fileProblems(readGroups('groups: [{name: a}, {name: b}, {name: a}, {}]'))).to.deep.equal([
      'groupname: "a" is repeated in the same file',
      'group 3: Groupname must not be empty',
    ]);
  });
});
