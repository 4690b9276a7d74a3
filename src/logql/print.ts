/** Tree → text on one line, as Loki prints its own trees but without its losses: `parse(print(q))` is `q`. */

import { quoteGo } from '../protocol/go-quote.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type {
  BinaryExpr,
  DropTarget,
  Expr,
  Extract,
  Grouping,
  LabelFilter,
  LabelFormat,
  LineFilterStage,
  LineFilterValue,
  LogExpr,
  LogRange,
  RangeAggregation,
  Stage,
  Unwrap,
  VectorAggregation,
} from './ast.ts';
import { formatGoDuration, formatPrometheusDuration } from './durations.ts';
import { formatFloat, formatPlainFloat } from './literals.ts';

export const printExpr = (expr: Expr): string => {
  switch (expr.kind) {
    case 'log':
      return printLog(expr);
    case 'rangeAggregation':
      return printRangeAggregation(expr);
    case 'vectorAggregation':
      return printVectorAggregation(expr);
    case 'binary':
      return printBinary(expr);
    case 'literal':
      return printLiteral(expr.value);
    case 'vector':
      return `vector(${printVectorValue(expr.value)})`;
    case 'labelReplace': {
      const strings = [expr.target, expr.replacement, expr.source, expr.pattern].map(quoteGo).join(',');
      return `label_replace(${printExpr(expr.inner)},${strings})`;
    }
  }
};

const printLog = ({ matchers, stages }: LogExpr): string =>
  [printSelector(matchers), ...stages.map(printStage)].join(' ');

/** `{app="a", env=~"p|q"}` */
export const printSelector = (matchers: readonly LabelMatcher[]): string =>
  `{${matchers.map(printMatcher).join(', ')}}`;

const printMatcher = ({ name, op, value }: LabelMatcher): string => printName(name) + op + quoteGo(value);

/** A lone `!` passes for a name, but not with an operator right behind it. */
const printName = (name: string): string => (name === '!' ? '! ' : name);

/** One stage with its `|`, as Loki's `stage '…' : …` errors quote it: `| json v="a.b"`, `|= "x" or "y"`. */
export const printStage = (stage: Stage): string => {
  switch (stage.kind) {
    case 'lineFilter':
      return printLineFilter(stage);
    case 'json':
      return `| json${printExtracts(stage.extracts)}`;
    case 'logfmt': {
      const flags = (stage.strict ? ' --strict' : '') + (stage.keepEmpty ? ' --keep-empty' : '');
      return `| logfmt${flags}${printExtracts(stage.extracts)}`;
    }
    case 'regexp':
    case 'pattern':
      return `| ${stage.kind} ${quoteGo(stage.pattern)}`;
    case 'labelFilter':
      return `| ${printLabelFilter(stage.filter)}`;
    case 'lineFormat':
      return `| line_format ${quoteGo(stage.template)}`;
    case 'labelFormat':
      return `| label_format ${stage.formats.map(printLabelFormat).join(',')}`;
    case 'drop':
    case 'keep':
      return `| ${stage.kind} ${stage.targets.map(printDropTarget).join(',')}`;
    case 'unpack':
    case 'decolorize':
      return `| ${stage.kind}`;
  }
};

const printLineFilter = ({ op, alternatives }: LineFilterStage): string =>
  `${op} ${alternatives.map(printLineFilterValue).join(' or ')}`;

const printLineFilterValue = ({ ip, value }: LineFilterValue): string =>
  ip ? `ip(${quoteGo(value)})` : quoteGo(value);

const printExtracts = (extracts: readonly Extract[]): string =>
  extracts.length === 0 ? '' : ` ${extracts.map(printExtract).join(',')}`;

const printExtract = ({ name, path }: Extract): string => `${printName(name)}=${quoteGo(path)}`;

const printLabelFormat = (format: LabelFormat): string =>
  `${printName(format.target)}=${format.kind === 'rename' ? format.source : quoteGo(format.template)}`;

const printDropTarget = ({ name, matcher }: DropTarget): string =>
  matcher === undefined ? printName(name) : printMatcher(matcher);

export const printLabelFilter = (filter: LabelFilter): string => {
  switch (filter.kind) {
    case 'string':
      return printMatcher(filter.matcher);
    case 'number':
      return printName(filter.name) + filter.op + printFilterNumber(filter.value);
    case 'duration':
    case 'bytes':
      return printName(filter.name) + filter.op + filter.text;
    case 'ip':
      return `${printName(filter.name)}${filter.op}ip(${quoteGo(filter.value)})`;
    case 'and':
      return `( ${printLabelFilter(filter.left)} , ${printLabelFilter(filter.right)} )`;
    case 'or':
      return `( ${printLabelFilter(filter.left)} or ${printLabelFilter(filter.right)} )`;
  }
};

/** An infinite number can only come from one that is out of range, which a filter takes for infinite. */
const printFilterNumber = (value: number): string =>
  Number.isFinite(value) ? formatPlainFloat(value) : `${value < 0 ? '-' : ''}1e999`;

const printLogRange = (range: LogRange): string =>
  printLog(range.log) + (range.unwrap === undefined ? '' : printUnwrap(range.unwrap)) + printRange(range);

/** `[5m] offset 1m` */
export const printRange = ({ rangeNs, offsetNs }: LogRange): string => {
  const offset = offsetNs === 0n ? '' : ` offset ${formatGoDuration(offsetNs)}`;
  return `[${formatPrometheusDuration(rangeNs)}]${offset}`;
};

/** With a blank in front. */
export const printUnwrap = ({ name, conversion, filters }: Unwrap): string => {
  const value = conversion === 'none' ? name : `${conversion}(${name})`;
  return [` | unwrap ${value}`, ...filters.map(printLabelFilter)].join(' | ');
};

const printRangeAggregation = ({ op, parameter, range, grouping }: RangeAggregation): string => {
  const first = parameter === undefined ? '' : `${formatPlainFloat(parameter)},`;
  return `${op}(${first}${printLogRange(range)})${grouping === undefined ? '' : printGrouping(grouping)}`;
};

const printVectorAggregation = ({ op, parameter, inner, grouping }: VectorAggregation): string => {
  const first = parameter === undefined ? '' : `${formatPlainFloat(parameter)},`;
  return `${op}${grouping === undefined ? '' : printGrouping(grouping)}(${first}${printExpr(inner)})`;
};

/** With a blank in front. */
export const printGrouping = ({ without, names }: Grouping, separator = ','): string =>
  ` ${without ? 'without' : 'by'} (${names.join(separator)})`;

const printBinary = (expr: BinaryExpr): string => {
  const right = printExpr(expr.right);
  return `(${printExpr(expr.left)} ${printOperator(expr, right)} ${right})`;
};

/** `* on (app) group_left (env)`. `right`: the operand as it will stand behind it. */
export const printOperator = ({ op, returnBool, matching }: BinaryExpr, right: string): string => {
  const words: string[] = [op];
  if (returnBool) words.push('bool');
  if (matching !== undefined) {
    words.push(`${matching.on ? 'on' : 'ignoring'} (${matching.names.join(',')})`);
    if (matching.group !== 'none') words.push(`group_${matching.group}`);
    // without names the parentheses are needed only where the right operand would be taken for them
    const needsNames = matching.include.length > 0 || right.startsWith('(');
    if (matching.group !== 'none' && needsNames) words.push(`(${matching.include.join(',')})`);
  }
  return words.join(' ');
};

/** NaN and the infinities have no literal: they are written as what folds to them. */
const printLiteral = (value: number): string => {
  if (Number.isNaN(value)) return '(0 / 0)';
  if (Number.isFinite(value)) return formatFloat(value);
  return value > 0 ? '(2 ^ 1024)' : '(-2 ^ 1025)';
};

/** Six decimals, as Loki writes it, unless that loses something. */
const printVectorValue = (value: number): string => {
  const fixed = value.toFixed(6);
  return Number(fixed) === value && !fixed.includes('e') ? fixed : formatPlainFloat(value);
};
