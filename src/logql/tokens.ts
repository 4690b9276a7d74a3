/** The words and signs of LogQL. A token's type is the name Loki's syntax errors give it. */

/** Reserved in any case: none of them can be a label name. */
const KEYWORDS = [
  'by',
  'without',
  'bool',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'offset',
  'or',
  'and',
  'unless',
  'json',
  'logfmt',
  'regexp',
  'pattern',
  'unpack',
  'line_format',
  'label_format',
  'unwrap',
  'decolorize',
  'drop',
  'keep',
  'variants',
  'of',
] as const;
export type Keyword = (typeof KEYWORDS)[number];

/** Words that are functions only in front of `(`, `by (` or `without (`, identifiers otherwise. */
const FUNCTIONS = {
  count_over_time: 'COUNT_OVER_TIME',
  rate: 'RATE',
  rate_counter: 'RATE_COUNTER',
  bytes_over_time: 'BYTES_OVER_TIME',
  bytes_rate: 'BYTES_RATE',
  avg_over_time: 'AVG_OVER_TIME',
  sum_over_time: 'SUM_OVER_TIME',
  min_over_time: 'MIN_OVER_TIME',
  max_over_time: 'MAX_OVER_TIME',
  stdvar_over_time: 'STDVAR_OVER_TIME',
  stddev_over_time: 'STDDEV_OVER_TIME',
  quantile_over_time: 'QUANTILE_OVER_TIME',
  first_over_time: 'FIRST_OVER_TIME',
  last_over_time: 'LAST_OVER_TIME',
  absent_over_time: 'ABSENT_OVER_TIME',
  sum: 'SUM',
  avg: 'AVG',
  min: 'MIN',
  max: 'MAX',
  count: 'COUNT',
  stddev: 'STDDEV',
  stdvar: 'STDVAR',
  topk: 'TOPK',
  bottomk: 'BOTTOMK',
  approx_topk: 'APPROX_TOPK',
  sort: 'SORT',
  sort_desc: 'SORT_DESC',
  vector: 'VECTOR',
  label_replace: 'LABEL_REPLACE',
  bytes: 'BYTES_CONV',
  duration: 'DURATION_CONV',
  duration_seconds: 'DURATION_SECONDS_CONV',
  ip: 'ip',
} as const;
export type FunctionToken = (typeof FUNCTIONS)[keyof typeof FUNCTIONS];

const OPERATORS = [
  ',',
  '.',
  '{',
  '}',
  '(',
  ')',
  ']',
  '=',
  '!=',
  '=~',
  '!~',
  '|=',
  '|~',
  '|>',
  '!>',
  '|',
  '==',
  '>',
  '>=',
  '<',
  '<=',
  '+',
  '-',
  '*',
  '/',
  '%',
  '^',
] as const;
export type Operator = (typeof OPERATORS)[number];

export type Token =
  | Keyword
  | FunctionToken
  | Operator
  | 'IDENTIFIER'
  | 'STRING'
  | 'NUMBER'
  | 'DURATION'
  | 'BYTES'
  | 'RANGE'
  | 'FUNCTION_FLAG'
  | '$end';

export const keywordTokens: ReadonlyMap<string, Keyword> = new Map(KEYWORDS.map((word) => [word, word]));
export const functionTokens: ReadonlyMap<string, FunctionToken> = new Map(Object.entries(FUNCTIONS));
export const operatorTokens: ReadonlyMap<string, Operator> = new Map(OPERATORS.map((sign) => [sign, sign]));

/** The text of an operator with two characters, as opposed to one: Loki reports line 0 for these. */
export const isTwoCharacterOperator = (text: string): boolean => text.length === 2 && operatorTokens.has(text);
