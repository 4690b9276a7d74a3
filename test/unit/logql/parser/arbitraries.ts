/** Random LogQL trees as the parser would make them: what it brings to one form (`=` with numbers, negative filters) comes in that form. */
import fc from 'fast-check';
import type {
  DropTarget,
  Expr,
  Grouping,
  LabelFilter,
  LogExpr,
  LogRange,
  MetricExpr,
  RangeAggregation,
  RangeOp,
  Stage,
  Unwrap,
  VectorMatching,
} from '../../../../src/logql/ast.ts';
import { formatGoDuration } from '../../../../src/logql/durations.ts';
import { foldLiterals } from '../../../../src/logql/fold.ts';
import type { LabelMatcher } from '../../../../src/protocol/matcher.ts';

/** Function names are among them on purpose. */
const name = fc.oneof(
  fc.constantFrom('app', 'level', 'x', '_y9', 'é', 'sum', 'rate', 'ip', 'bytes', 'duration', 'vector', '__error__'),
  fc.stringMatching(/^[a-z_][a-z0-9_]{0,6}$/).map((text) => `q${text}`),
);

const string = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', '"', '\\', '`', '\n', "'", '\udcff', '#', '|= "x"', '\u0000', '\u200b', '😀', '/* */'),
);

const regex = fc.constantFrom('a', 'a|b', '.*', '.+', '[a-z]+', '(?i)x', '\\d+', '^a$', '');

const matcher: fc.Arbitrary<LabelMatcher> = fc.oneof(
  fc.record({ name, op: fc.constantFrom('=' as const, '!=' as const), value: string }),
  fc.record({ name, op: fc.constantFrom('=~' as const, '!~' as const), value: regex }),
);

/** The last one makes every selector selective. */
const matchers = fc
  .array(matcher, { maxLength: 3 })
  .map((some): readonly LabelMatcher[] => [...some, { name: 'app', op: '=', value: 'web' }]);

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const number = fc.oneof(fc.integer(), finite, fc.constantFrom(0, -0, 1e21, 1e-7, 0.1, 123456789.5));
const positive = fc.oneof(fc.nat(), finite.map(Math.abs));
const compareOp = fc.constantFrom(
  '==' as const,
  '!=' as const,
  '>' as const,
  '>=' as const,
  '<' as const,
  '<=' as const,
);

const durationFilter = fc
  .record({ name, op: compareOp, ns: fc.bigInt({ min: -(1n << 62n), max: 1n << 62n }) })
  .map(
    ({ ns, ...rest }): LabelFilter => ({ kind: 'duration', ...rest, value: Number(ns), text: formatGoDuration(ns) }),
  );

const bytesFilter = fc
  .record({ name, op: compareOp, count: fc.integer({ min: 1, max: 5000 }) })
  .map(({ count, ...rest }): LabelFilter => ({ kind: 'bytes', ...rest, value: count * 1024, text: `${count}KiB` }));

const { filter: labelFilter } = fc.letrec<{ filter: LabelFilter; leaf: LabelFilter }>((tie) => ({
  leaf: fc.oneof(
    matcher.map((m): LabelFilter => ({ kind: 'string', matcher: m })),
    fc.record({ kind: fc.constant('number' as const), name, op: compareOp, value: number }),
    durationFilter,
    bytesFilter,
    fc.record({
      kind: fc.constant('ip' as const),
      name,
      op: fc.constantFrom('=' as const, '!=' as const),
      value: string,
    }),
  ),
  filter: fc.oneof(
    { maxDepth: 3 },
    tie('leaf'),
    fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), left: tie('filter'), right: tie('filter') }),
  ),
}));

const filterValue = fc.record({ ip: fc.boolean(), value: string });
const lineFilter: fc.Arbitrary<Stage> = fc.oneof(
  fc.record({
    kind: fc.constant('lineFilter' as const),
    op: fc.constantFrom('|=' as const, '|~' as const, '|>' as const),
    alternatives: fc.array(filterValue, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('lineFilter' as const),
    op: fc.constantFrom('!=' as const, '!~' as const, '!>' as const),
    alternatives: fc.tuple(filterValue),
  }),
);

const extracts = fc.array(
  fc.record({ name, path: string }).map(({ name: target, path }) => ({ name: target, path, bare: target === path })),
  { maxLength: 2 },
);

const dropTargets = fc.array(
  fc.oneof(
    name.map((target): DropTarget => ({ name: target, matcher: undefined })),
    matcher.map((m): DropTarget => ({ name: m.name, matcher: m })),
  ),
  { minLength: 1, maxLength: 3 },
);

const labelFormat = fc.oneof(
  fc.record({ kind: fc.constant('rename' as const), target: name, source: name }),
  fc.record({ kind: fc.constant('template' as const), target: name, template: string }),
);

const stage: fc.Arbitrary<Stage> = fc.oneof(
  lineFilter,
  fc.record({ kind: fc.constant('json' as const), extracts }),
  fc.record({ kind: fc.constant('logfmt' as const), strict: fc.boolean(), keepEmpty: fc.boolean(), extracts }),
  fc.constantFrom<Stage>(
    { kind: 'regexp', pattern: '(?P<a>.)"' },
    { kind: 'pattern', pattern: '<a> `<_>`' },
    { kind: 'unpack' },
    { kind: 'decolorize' },
  ),
  labelFilter.map((filter): Stage => ({ kind: 'labelFilter', filter })),
  string.map((template): Stage => ({ kind: 'lineFormat', template })),
  fc.array(labelFormat, { minLength: 1, maxLength: 2 }).map((formats): Stage => ({ kind: 'labelFormat', formats })),
  fc.record({ kind: fc.constantFrom('drop' as const, 'keep' as const), targets: dropTargets }),
);

/** `| drop a != "b"` is a drop with a matcher: a filter cannot be written behind a bare name. */
const isAmbiguous = (stages: readonly Stage[]): boolean =>
  stages.some((current, index) => {
    const next = stages[index + 1];
    if (current.kind !== 'drop' && current.kind !== 'keep') return false;
    return current.targets.at(-1)?.matcher === undefined && next?.kind === 'lineFilter' && /^!/.test(next.op);
  });

const log: fc.Arbitrary<LogExpr> = fc.record({
  kind: fc.constant('log' as const),
  matchers,
  stages: fc.array(stage, { maxLength: 4 }).filter((stages) => !isAmbiguous(stages)),
});

const unwrap: fc.Arbitrary<Unwrap> = fc.record({
  name,
  conversion: fc.constantFrom('none' as const, 'bytes' as const, 'duration' as const, 'duration_seconds' as const),
  filters: fc.array(labelFilter, { maxLength: 2 }),
});

const offsetNs = fc.oneof(fc.constant(0n), fc.bigInt({ min: -(1n << 55n), max: 1n << 55n }));
const rangeNs = fc
  .oneof(fc.constantFrom(0n, 300_000n), fc.bigInt({ min: 0n, max: 9_000_000_000_000n }))
  .map((ms) => ms * 1_000_000n);
const range = (unwrapped: fc.Arbitrary<Unwrap | undefined>): fc.Arbitrary<LogRange> =>
  fc.record({ log, rangeNs, offsetNs, unwrap: unwrapped });

const grouping: fc.Arbitrary<Grouping> = fc.record({ without: fc.boolean(), names: fc.array(name, { maxLength: 3 }) });
const none = fc.constant(undefined);

const aggregation = (
  ops: readonly RangeOp[],
  parameter: fc.Arbitrary<number | undefined>,
  logRange: fc.Arbitrary<LogRange>,
  by: fc.Arbitrary<Grouping | undefined>,
): fc.Arbitrary<RangeAggregation> =>
  fc.record({
    kind: fc.constant('rangeAggregation' as const),
    op: fc.constantFrom(...ops),
    parameter,
    range: logRange,
    grouping: by,
  });

const rangeAggregation = fc.oneof(
  aggregation(['count_over_time', 'bytes_rate', 'bytes_over_time'], none, range(none), none),
  aggregation(['rate', 'absent_over_time'], none, range(fc.option(unwrap, { nil: undefined })), none),
  aggregation(['sum_over_time', 'rate_counter'], none, range(unwrap), none),
  aggregation(
    ['avg_over_time', 'max_over_time', 'first_over_time'],
    none,
    range(unwrap),
    fc.option(grouping, { nil: undefined }),
  ),
  aggregation(['quantile_over_time'], positive, range(unwrap), fc.option(grouping, { nil: undefined })),
);

const matching: fc.Arbitrary<VectorMatching> = fc.oneof(
  fc.record({
    on: fc.boolean(),
    names: fc.array(name, { maxLength: 2 }),
    group: fc.constant('none' as const),
    include: fc.constant([]),
  }),
  fc.record({
    on: fc.boolean(),
    names: fc.array(name, { maxLength: 2 }),
    group: fc.constantFrom('left' as const, 'right' as const),
    include: fc.array(name, { maxLength: 2 }),
  }),
);

const ARITHMETIC = ['+', '-', '*', '/', '%', '^', '==', '!=', '>', '>=', '<', '<='] as const;
const SETS = ['and', 'or', 'unless'] as const;

/** The parser folds two literals and refuses sets of them. */
const binary = (metric: fc.Arbitrary<MetricExpr>): fc.Arbitrary<MetricExpr> =>
  fc
    .record({
      arithmetic: fc.constantFrom(...ARITHMETIC),
      set: fc.constantFrom(...SETS),
      isSet: fc.boolean(),
      left: metric,
      right: metric,
      returnBool: fc.boolean(),
      matching: fc.option(matching, { nil: undefined }),
    })
    .map(({ arithmetic, set, isSet, ...operands }): MetricExpr => {
      const { left, right } = operands;
      if (left.kind === 'literal' && right.kind === 'literal') {
        return { kind: 'literal', value: foldLiterals(arithmetic, left.value, right.value) };
      }
      const hasLiteral = left.kind === 'literal' || right.kind === 'literal';
      return { kind: 'binary', op: isSet && !hasLiteral ? set : arithmetic, ...operands };
    });

const { metric } = fc.letrec<{ metric: MetricExpr; leaf: MetricExpr }>((tie) => ({
  leaf: fc.oneof(
    rangeAggregation,
    fc.record({ kind: fc.constant('literal' as const), value: fc.oneof(number, fc.double()) }),
    fc.record({ kind: fc.constant('vector' as const), value: positive }),
  ),
  metric: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    binary(tie('metric')),
    fc.record({
      kind: fc.constant('vectorAggregation' as const),
      op: fc.constantFrom('sum' as const, 'avg' as const, 'count' as const, 'stdvar' as const),
      parameter: none,
      inner: tie('metric'),
      grouping: fc.option(grouping, { nil: undefined }),
    }),
    fc.record({
      kind: fc.constant('vectorAggregation' as const),
      op: fc.constantFrom('topk' as const, 'bottomk' as const),
      parameter: fc.integer({ min: 1 }),
      inner: tie('metric'),
      grouping: fc.option(grouping, { nil: undefined }),
    }),
    fc.record({
      kind: fc.constant('labelReplace' as const),
      inner: tie('metric'),
      target: string,
      replacement: string,
      source: string,
      pattern: regex,
    }),
  ),
}));

export const anyExpr: fc.Arbitrary<Expr> = fc.oneof(log, metric);
