/** Durations and sizes as LogQL reads and writes them. Durations are nanoseconds. */
import { quoteGo } from '../protocol/go-quote.ts';

const MICROSECOND = 1_000n;
const MILLISECOND = 1_000_000n;
const SECOND = 1_000_000_000n;
const MINUTE = 60n * SECOND;
const HOUR = 60n * MINUTE;
const DAY = 24n * HOUR;
const INT64_MAX = (1n << 63n) - 1n;

/** Prometheus' units, biggest first: a duration names each at most once, in this order. */
const PROMETHEUS_UNITS: readonly (readonly [name: string, ns: bigint])[] = [
  ['y', 365n * DAY],
  ['w', 7n * DAY],
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
  ['ms', MILLISECOND],
];

export type ParsedDuration = { readonly ns: bigint } | { readonly error: string };

/** `1h30m`: whole numbers, no smaller unit than ms. The error is Prometheus' text. */
export const parsePrometheusDuration = (text: string): ParsedDuration => {
  if (text === '0') return { ns: 0n };
  if (text === '') return { error: 'empty duration string' };
  let total = 0n;
  let lastUnit = -1;
  let at = 0;
  while (at < text.length) {
    const digits = /^[0-9]+/.exec(text.slice(at))?.[0];
    const unit = digits && /^[^0-9]+/.exec(text.slice(at + digits.length))?.[0];
    if (!digits || !unit || BigInt(digits) >= 1n << 64n) return notADuration(text);
    const index = PROMETHEUS_UNITS.findIndex(([name]) => name === unit);
    const ns = PROMETHEUS_UNITS[index]?.[1];
    if (ns === undefined) return { error: `unknown unit ${quoteGo(unit)} in duration ${quoteGo(text)}` };
    if (index <= lastUnit) return notADuration(text);
    lastUnit = index;
    total += BigInt(digits) * ns;
    if (total > INT64_MAX) return { error: 'duration out of range' };
    at += digits.length + unit.length;
  }
  return { ns: total };
};

const notADuration = (text: string): ParsedDuration => ({ error: `not a valid duration string: ${quoteGo(text)}` });

const GO_UNITS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', MICROSECOND],
  ['µs', MICROSECOND],
  ['μs', MICROSECOND],
  ['ms', MILLISECOND],
  ['s', SECOND],
  ['m', MINUTE],
  ['h', HOUR],
]);

/** Go's time.ParseDuration: `1.5h`, `30m1h`, `-5s`. Undefined if it is none. */
export const parseGoDuration = (text: string): bigint | undefined => {
  const isNegative = text.startsWith('-');
  const unsigned = isNegative || text.startsWith('+') ? text.slice(1) : text;
  if (unsigned === '0') return 0n;
  if (unsigned === '') return undefined;
  let total = 0n;
  for (let at = 0; at < unsigned.length; ) {
    const part = /^([0-9]*)(?:\.([0-9]*))?([^0-9.]+)/.exec(unsigned.slice(at));
    const unit = GO_UNITS.get(part?.[3] ?? '');
    const [all = '', whole = '', fraction = ''] = part ?? [];
    if (unit === undefined || whole + fraction === '') return undefined;
    total += BigInt(whole || '0') * unit + fractionOf(fraction, unit);
    if (total > INT64_MAX) return undefined;
    at += all.length;
  }
  return isNegative ? -total : total;
};

const fractionOf = (digits: string, unit: bigint): bigint =>
  digits === '' ? 0n : BigInt(Math.trunc(Number(digits) * (Number(unit) / 10 ** digits.length)));

/** A DURATION token: Prometheus' notation is tried first, so `1d12h` works where Go alone would refuse it. */
export const parseDuration = (text: string): bigint | undefined => {
  const parsed = parsePrometheusDuration(text);
  return 'ns' in parsed ? parsed.ns : parseGoDuration(text);
};

/** `1h30m`, as Prometheus prints a range: years and weeks only when nothing is left over. */
export const formatPrometheusDuration = (ns: bigint): string => {
  let rest = ns / MILLISECOND;
  if (rest === 0n) return '0s';
  let text = '';
  for (const [name, unitNs] of PROMETHEUS_UNITS) {
    const unit = unitNs / MILLISECOND;
    const isExactOnly = name === 'y' || name === 'w';
    if (rest < unit || (isExactOnly && rest % unit !== 0n)) continue;
    text += `${rest / unit}${name}`;
    rest %= unit;
  }
  return text;
};

/** `1h30m0s`, `1.5s`, `500µs`: Go's Duration.String. */
export const formatGoDuration = (ns: bigint): string => {
  if (ns === 0n) return '0s';
  const sign = ns < 0n ? '-' : '';
  const size = ns < 0n ? -ns : ns;
  if (size < MICROSECOND) return `${sign}${size}ns`;
  if (size < MILLISECOND) return `${sign}${decimal(size, MICROSECOND)}µs`;
  if (size < SECOND) return `${sign}${decimal(size, MILLISECOND)}ms`;
  const hours = size >= HOUR ? `${size / HOUR}h` : '';
  const minutes = size >= MINUTE ? `${(size % HOUR) / MINUTE}m` : '';
  return `${sign}${hours}${minutes}${decimal(size % MINUTE, SECOND)}s`;
};

const decimal = (ns: bigint, unit: bigint): string => {
  const fraction = (ns % unit)
    .toString()
    .padStart(unit.toString().length - 1, '0')
    .replace(/0+$/, '');
  return fraction === '' ? `${ns / unit}` : `${ns / unit}.${fraction}`;
};

const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'k', 'm', 'g', 't', 'p', 'e'].flatMap((prefix, power) =>
    prefix === ''
      ? [['b', 1] as const]
      : [
          [prefix, 1000 ** power] as const,
          [`${prefix}b`, 1000 ** power] as const,
          [`${prefix}i`, 1024 ** power] as const,
          [`${prefix}ib`, 1024 ** power] as const,
        ],
  ),
);

/** `5KiB`, `1.5MB`, `10k` in bytes, cut to an integer. Undefined if it is none. */
export const parseByteSize = (text: string): number | undefined => {
  const parts = /^([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]+)$/.exec(text);
  const unit = SIZE_UNITS.get((parts?.[2] ?? '').toLowerCase());
  return parts === null || unit === undefined ? undefined : Math.trunc(Number(parts[1]) * unit);
};
