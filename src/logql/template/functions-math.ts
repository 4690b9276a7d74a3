/** Sprig's arithmetic: integers after `int`, and the decimal functions with an f. */
import { parseGoFloat } from '../stages/go-number.ts';
import { fromByteText } from './byte-text.ts';
import { parseIntLiteral } from './constants.ts';
import type { TemplateFunction } from './template-function.ts';
import { type GoValue, intOf, TemplateError, TypedInt } from './values.ts';

const INT_MAX = 2 ** 63;

const truncated = (value: number): bigint =>
  Number.isFinite(value) && Math.abs(value) < INT_MAX ? BigInt(Math.trunc(value)) : 0n;

/** The number in a string; 0 for text that is none. */
const floatOfText = (bytes: string): number => {
  const parsed = parseGoFloat(fromByteText(bytes));
  return 'value' in parsed ? parsed.value : 0;
};

/** A value as int64: 0 on failure; "0x1F" is 31, "010" is 8, "3.7" is 3. */
export const toInt = (value: GoValue): bigint => {
  if (typeof value === 'string') {
    const text = fromByteText(value);
    return parseIntLiteral(text) ?? truncated(floatOfText(value));
  }
  if (typeof value === 'number') return truncated(value);
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return intOf(value) ?? 0n;
};

export const toFloat = (value: GoValue): number => {
  if (typeof value === 'string') return floatOfText(value);
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  return Number(intOf(value) ?? 0n);
};

const int64 = (value: bigint): TypedInt => new TypedInt(value, 'int64');

type Step = (left: bigint, right: bigint) => bigint;

/** All arguments, of which the first starts the fold. */
const folded = (combine: Step): TemplateFunction => ({
  parameters: ['any'],
  rest: 'any',
  call: (first: GoValue, ...others: readonly GoValue[]) => int64(others.map(toInt).reduce(combine, toInt(first))),
});

const binary = (combine: Step): TemplateFunction => ({
  parameters: ['any', 'any'],
  call: (left: GoValue, right: GoValue) => int64(combine(toInt(left), toInt(right))),
});

const nonZero = (divisor: bigint): bigint => {
  if (divisor === 0n) throw new TemplateError('runtime error: integer divide by zero');
  return divisor;
};

/** A decimal as digits and a scale, so that 0.1 + 0.2 is 0.3. */
interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

const DIVISION_DIGITS = 16;
const SCALE_MAX = 400;

const decimalOf = (value: number): Decimal | undefined => {
  if (!Number.isFinite(value)) return undefined;
  const [mantissa = '0', exponent = '0'] = value.toExponential().split('e');
  const fraction = mantissa.split('.')[1]?.length ?? 0;
  const scale = fraction - Number(exponent);
  const digits = BigInt(mantissa.replace('.', ''));
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
};

const numberOf = ({ digits, scale }: Decimal): number => Number(`${digits}e${-scale}`);

const scaled = ({ digits, scale }: Decimal, wanted: number): bigint => digits * 10n ** BigInt(wanted - scale);

const addDecimals = (left: Decimal, right: Decimal, sign: 1n | -1n): Decimal => {
  const scale = Math.max(left.scale, right.scale);
  return { digits: scaled(left, scale) + sign * scaled(right, scale), scale };
};

const divideDecimals = (left: Decimal, right: Decimal): Decimal => {
  if (right.digits === 0n) throw new TemplateError('decimal division by 0');
  const scale = DIVISION_DIGITS + right.scale;
  const numerator = left.digits * 10n ** BigInt(scale) * 2n;
  const doubled = numerator / right.digits;
  const rounding = doubled >= 0n ? 1n : -1n;
  return { digits: (doubled + rounding) / 2n, scale: scale + left.scale - right.scale };
};

type DecimalStep = (left: Decimal, right: Decimal) => Decimal;

const foldDecimals = (values: readonly GoValue[], start: Decimal, step: DecimalStep): number => {
  let total = start;
  for (const value of values) {
    const next = decimalOf(toFloat(value));
    if (next === undefined || next.scale > SCALE_MAX || total.scale > SCALE_MAX) {
      throw new TemplateError(`Cannot create a Decimal from ${toFloat(value)}`);
    }
    total = step(total, next);
  }
  return numberOf(total);
};

const ZERO: Decimal = { digits: 0n, scale: 0 };

const decimals = (step: DecimalStep): TemplateFunction => ({
  parameters: ['any'],
  rest: 'any',
  call: (first: GoValue, ...others: readonly GoValue[]) =>
    foldDecimals(others, decimalOf(toFloat(first)) ?? ZERO, step),
});

const extreme = (choose: (...values: readonly number[]) => number): TemplateFunction => ({
  parameters: ['any'],
  rest: 'any',
  call: (...values: readonly GoValue[]) => choose(...values.map(toFloat)),
});

/** Half away from zero at the given decimal; the product's digits decide, as in sprig. */
const round = (value: number, places: number): number => {
  const factor = 10 ** places;
  const digit = factor * value;
  const fraction = digit - Math.trunc(digit);
  if (!Number.isFinite(digit)) return value;
  const up = value < 0 ? -fraction : fraction;
  const whole = up >= 0.5 ? (value < 0 ? Math.floor(digit) : Math.ceil(digit)) : Math.trunc(digit);
  return whole / factor;
};

const rounding = (change: (value: number) => number): TemplateFunction => ({
  parameters: ['any'],
  call: (value: GoValue) => change(toFloat(value)),
});

export const MATH_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  int: { parameters: ['any'], call: (value: GoValue) => toInt(value) },
  float64: { parameters: ['any'], call: (value: GoValue) => toFloat(value) },
  add: {
    parameters: [],
    rest: 'any',
    call: (...values: readonly GoValue[]) => int64(values.map(toInt).reduce((sum, value) => sum + value, 0n)),
  },
  sub: binary((left, right) => left - right),
  mul: folded((left, right) => left * right),
  div: binary((left, right) => left / nonZero(right)),
  mod: binary((left, right) => left % nonZero(right)),
  max: folded((left, right) => (right > left ? right : left)),
  min: folded((left, right) => (right < left ? right : left)),
  addf: {
    parameters: [],
    rest: 'any',
    call: (...values: readonly GoValue[]) => foldDecimals(values, ZERO, (left, right) => addDecimals(left, right, 1n)),
  },
  subf: decimals((left, right) => addDecimals(left, right, -1n)),
  mulf: decimals((left, right) => ({ digits: left.digits * right.digits, scale: left.scale + right.scale })),
  divf: decimals(divideDecimals),
  maxf: extreme(Math.max),
  minf: extreme(Math.min),
  ceil: rounding(Math.ceil),
  floor: rounding(Math.floor),
  round: {
    parameters: ['any', 'int'],
    rest: 'float64',
    call: (value: GoValue, places: bigint) => round(toFloat(value), Number(places)),
  },
};
