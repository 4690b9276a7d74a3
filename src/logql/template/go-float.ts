/** Floats as strconv.FormatFloat prints them. */

interface Digits {
  readonly sign: string;
  readonly digits: string;
  /** Decimal exponent of the first digit. */
  readonly exponent: number;
}

const PRECISION_MAX = 100;

const special = (value: number): string | undefined => {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return undefined;
  return value > 0 ? '+Inf' : '-Inf';
};

const digitsOf = (value: number, precision: number): Digits => {
  const isNegative = value < 0 || Object.is(value, -0);
  const text =
    precision < 0 ? Math.abs(value).toExponential() : Math.abs(value).toExponential(Math.min(precision, PRECISION_MAX));
  const [mantissa = '0', exponent = '0'] = text.split('e');
  return { sign: isNegative ? '-' : '', digits: mantissa.replace('.', ''), exponent: Number(exponent) };
};

const exponentText = (exponent: number, letter: string): string => {
  const digits = String(Math.abs(exponent)).padStart(2, '0');
  return `${letter}${exponent < 0 ? '-' : '+'}${digits}`;
};

/** `%e`: precision digits after the point, −1 for as few as needed. */
export const formatExponent = (value: number, precision: number, letter = 'e'): string => {
  const odd = special(value);
  if (odd !== undefined) return odd;
  const { sign, digits, exponent } = digitsOf(value, precision);
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
  return sign + digits[0]! + fraction + exponentText(exponent, letter);
};

/** `%f` */
export const formatFixed = (value: number, precision: number): string => {
  const odd = special(value);
  if (odd !== undefined) return odd;
  if (precision >= 0 && Math.abs(value) < 1e21) {
    const text = value.toFixed(Math.min(precision, PRECISION_MAX));
    return Object.is(value, -0) ? `-${text}` : text;
  }
  const { sign, digits, exponent } = digitsOf(value, -1);
  const whole = exponent >= 0 ? digits.slice(0, exponent + 1).padEnd(exponent + 1, '0') : '0';
  const fraction = exponent >= 0 ? digits.slice(exponent + 1) : '0'.repeat(-exponent - 1) + digits;
  const shown = precision < 0 ? fraction : fraction.padEnd(precision, '0');
  return sign + whole + (shown === '' ? '' : `.${shown}`);
};

/** Shortest form: exponents from here on are written as such. */
const SHORTEST_LIMIT = 6;

/** `%g`, and `%v` with precision −1: the exponent form below 1e-4 and from 1e6 (or the precision) on. */
export const formatGeneral = (value: number, precision = -1, letter = 'e'): string => {
  const odd = special(value);
  if (odd !== undefined) return odd;
  const wanted = precision === 0 ? 1 : precision;
  const { digits, exponent } = digitsOf(value, wanted < 0 ? -1 : wanted - 1);
  const significant = Math.max(digits.replace(/0+$/, '').length, 1);
  const limit = wanted < 0 ? SHORTEST_LIMIT : wanted;
  if (exponent < -4 || exponent >= limit) return formatExponent(value, significant - 1, letter);
  return formatFixed(value, Math.max(significant - exponent - 1, 0));
};
