/**
 * LogQL as a tree of plain data (it crosses worker threads). The parser makes it, print.ts turns it back into text,
 * `parse(print(q))` is `q`. Grammar and rules: Loki 3.x.
 */
import type { LabelMatcher } from '../protocol/matcher.ts';

export type Expr = LogExpr | MetricExpr;

/** `{…} stage*` */
export interface LogExpr {
  readonly kind: 'log';
  readonly matchers: readonly LabelMatcher[];
  readonly stages: readonly Stage[];
}

export type Stage =
  | LineFilterStage
  | { readonly kind: 'json'; readonly extracts: readonly Extract[] }
  | {
      readonly kind: 'logfmt';
      readonly strict: boolean;
      readonly keepEmpty: boolean;
      readonly extracts: readonly Extract[];
    }
  | { readonly kind: 'regexp'; readonly pattern: string }
  | { readonly kind: 'pattern'; readonly pattern: string }
  | { readonly kind: 'unpack' }
  | { readonly kind: 'labelFilter'; readonly filter: LabelFilter }
  | { readonly kind: 'lineFormat'; readonly template: string }
  | { readonly kind: 'labelFormat'; readonly formats: readonly LabelFormat[] }
  | { readonly kind: 'decolorize' }
  | { readonly kind: 'drop'; readonly targets: readonly DropTarget[] }
  | { readonly kind: 'keep'; readonly targets: readonly DropTarget[] };

/** `|= "a" or "b"`: all alternatives share the operator. With != !~ !> none of them may match. */
export interface LineFilterStage {
  readonly kind: 'lineFilter';
  readonly op: '|=' | '!=' | '|~' | '!~' | '|>' | '!>';
  readonly alternatives: readonly LineFilterValue[];
}

export interface LineFilterValue {
  /** ip("…") instead of a string */
  readonly ip: boolean;
  readonly value: string;
}

/** `name` alone is `name="name"` in Loki's terms: path is then equal to name and `bare` is true. */
export interface Extract {
  readonly name: string;
  readonly path: string;
  readonly bare: boolean;
}

export type LabelFormat =
  | { readonly kind: 'rename'; readonly target: string; readonly source: string }
  | { readonly kind: 'template'; readonly target: string; readonly template: string };

/** A bare name, or a matcher on the current value. */
export interface DropTarget {
  readonly name: string;
  readonly matcher: LabelMatcher | undefined;
}

export type CompareOp = '=' | '==' | '!=' | '>' | '>=' | '<' | '<=';

/** `,` and juxtaposition are `and` nodes with the grouping the parser resolved; `written` lets the printer keep the words. */
export type LabelFilter =
  | { readonly kind: 'string'; readonly matcher: LabelMatcher }
  | { readonly kind: 'number'; readonly name: string; readonly op: CompareOp; readonly value: number }
  /** value in ns */
  | {
      readonly kind: 'duration';
      readonly name: string;
      readonly op: CompareOp;
      readonly value: number;
      readonly text: string;
    }
  /** value in bytes */
  | {
      readonly kind: 'bytes';
      readonly name: string;
      readonly op: CompareOp;
      readonly value: number;
      readonly text: string;
    }
  | { readonly kind: 'ip'; readonly name: string; readonly op: '=' | '!='; readonly value: string }
  | { readonly kind: 'and'; readonly left: LabelFilter; readonly right: LabelFilter }
  | { readonly kind: 'or'; readonly left: LabelFilter; readonly right: LabelFilter };

export type MetricExpr =
  | RangeAggregation
  | VectorAggregation
  | BinaryExpr
  | LiteralExpr
  | VectorExpr
  | LabelReplaceExpr;

export const RANGE_OPS = [
  'count_over_time',
  'rate',
  'rate_counter',
  'bytes_over_time',
  'bytes_rate',
  'avg_over_time',
  'sum_over_time',
  'min_over_time',
  'max_over_time',
  'stdvar_over_time',
  'stddev_over_time',
  'quantile_over_time',
  'first_over_time',
  'last_over_time',
  'absent_over_time',
] as const;
export type RangeOp = (typeof RANGE_OPS)[number];

export const VECTOR_OPS = [
  'sum',
  'avg',
  'min',
  'max',
  'count',
  'stddev',
  'stdvar',
  'topk',
  'bottomk',
  'approx_topk',
  'sort',
  'sort_desc',
] as const;
export type VectorOp = (typeof VECTOR_OPS)[number];

export interface Grouping {
  readonly without: boolean;
  readonly names: readonly string[];
}

export interface Unwrap {
  readonly name: string;
  readonly conversion: 'none' | 'bytes' | 'duration' | 'duration_seconds';
  /** Label filters after the unwrap. */
  readonly filters: readonly LabelFilter[];
}

/** `S P [R] offset O`. Durations in ns (safe integers up to 104 days; beyond that exact to 1 µs is not needed: units are ms). */
export interface LogRange {
  readonly log: LogExpr;
  readonly rangeNs: bigint;
  readonly offsetNs: bigint;
  readonly unwrap: Unwrap | undefined;
}

export interface RangeAggregation {
  readonly kind: 'rangeAggregation';
  readonly op: RangeOp;
  /** quantile_over_time's q */
  readonly parameter: number | undefined;
  readonly range: LogRange;
  readonly grouping: Grouping | undefined;
}

export interface VectorAggregation {
  readonly kind: 'vectorAggregation';
  readonly op: VectorOp;
  /** topk's k */
  readonly parameter: number | undefined;
  readonly inner: MetricExpr;
  readonly grouping: Grouping | undefined;
}

export type BinaryOp =
  | 'or'
  | 'and'
  | 'unless'
  | '=='
  | '!='
  | '>'
  | '>='
  | '<'
  | '<='
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '^';

export interface BinaryExpr {
  readonly kind: 'binary';
  readonly op: BinaryOp;
  readonly left: MetricExpr;
  readonly right: MetricExpr;
  readonly returnBool: boolean;
  readonly matching: VectorMatching | undefined;
}

export interface VectorMatching {
  readonly on: boolean;
  readonly names: readonly string[];
  readonly group: 'none' | 'left' | 'right';
  readonly include: readonly string[];
}

export interface LiteralExpr {
  readonly kind: 'literal';
  readonly value: number;
}

export interface VectorExpr {
  readonly kind: 'vector';
  readonly value: number;
}

export interface LabelReplaceExpr {
  readonly kind: 'labelReplace';
  readonly inner: MetricExpr;
  readonly target: string;
  readonly replacement: string;
  readonly source: string;
  readonly pattern: string;
}
