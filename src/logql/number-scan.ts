/** Where a number ends, after Go's text/scanner: it takes prefixes and separators that ParseFloat refuses later. */

export interface ScannedNumber {
  readonly end: number;
  readonly error: string | undefined;
}

interface Digits {
  readonly end: number;
  readonly hasDigit: boolean;
  /** The first digit too big for the base. */
  readonly invalid: string | undefined;
}

type Prefix = '' | '0' | 'x' | 'o' | 'b';

const BASE: Readonly<Record<Prefix, number>> = { '': 10, '0': 8, x: 16, o: 8, b: 2 };

/** 0b without digits is reported as a decimal one. */
const NAME: Readonly<Record<Prefix, string>> = {
  '': 'decimal literal',
  '0': 'octal literal',
  x: 'hexadecimal literal',
  o: 'octal literal',
  b: 'decimal literal',
};

/** `text[start]` is a digit, or a dot in front of one. */
export const scanNumber = (text: string, start: number): ScannedNumber => {
  const prefix = prefixAt(text, start);
  const errors: string[] = [];
  let isFloat = false;
  let digits = scanDigits(text, prefix === '' || prefix === '0' ? start : start + 2, BASE[prefix]);
  const { invalid } = digits;
  let hasDigit = digits.hasDigit || prefix === '0';
  if (text[digits.end] === '.') {
    isFloat = true;
    if (prefix === 'o' || prefix === 'b') errors.push(`invalid radix point in ${NAME[prefix]}`);
    digits = scanDigits(text, digits.end + 1, BASE[prefix]);
    hasDigit ||= digits.hasDigit;
  }
  if (!hasDigit) errors.push(`${NAME[prefix]} has no digits`);
  let { end } = digits;
  const mark = text.charAt(end);
  if (/[eEpP]/.test(mark)) {
    isFloat = true;
    errors.push(...exponentErrors(prefix, mark));
    const sign = /[+-]/.test(text.charAt(end + 1)) ? 1 : 0;
    const exponent = scanDigits(text, end + 1 + sign, 10);
    if (!exponent.hasDigit) errors.push('exponent has no digits');
    end = exponent.end;
  } else if (prefix === 'x' && isFloat) errors.push("hexadecimal mantissa requires a 'p' exponent");
  if (!isFloat && invalid !== undefined) errors.push(`invalid digit '${invalid}' in ${NAME[prefix]}`);
  if (hasMisplacedSeparator(text.slice(start, end))) errors.push("'_' must separate successive digits");
  return { end, error: errors[0] };
};

const prefixAt = (text: string, start: number): Prefix => {
  if (text[start] !== '0') return '';
  const letter = text.charAt(start + 1).toLowerCase();
  return letter === 'x' || letter === 'o' || letter === 'b' ? letter : '0';
};

/** Decimal digits are taken in every base, to be reported. */
const scanDigits = (text: string, start: number, base: number): Digits => {
  let end = start;
  let hasDigit = false;
  let invalid: string | undefined;
  for (; end < text.length; end++) {
    const character = text.charAt(end);
    if (character === '_') continue;
    const isDecimal = character >= '0' && character <= '9';
    if (!isDecimal && !(base === 16 && /[a-fA-F]/.test(character))) break;
    hasDigit = true;
    if (isDecimal && Number(character) >= base) invalid ??= character;
  }
  return { end, hasDigit, invalid };
};

const exponentErrors = (prefix: Prefix, mark: string): string[] => {
  if (/[eE]/.test(mark)) return prefix === '' || prefix === '0' ? [] : [`'${mark}' exponent requires decimal mantissa`];
  return prefix === 'x' ? [] : [`'${mark}' exponent requires hexadecimal mantissa`];
};

/** A separator stands between two digits, or between the base prefix and a digit. */
const hasMisplacedSeparator = (number: string): boolean => {
  if (!number.includes('_')) return false;
  const digits = number.replace(/^0[xXoObB]/, '0');
  const digit = /^0[xX]/.test(number) ? '[0-9a-fA-F]' : '[0-9]';
  return new RegExp(`(?<!${digit})_|_(?!${digit})`).test(digits);
};
