/** Dates and durations. Times are shown in UTC, the server's zone. */
import { type Parsed, parseGoBytes, parseGoDuration } from '../stages/go-number.ts';
import { fromByteText, toByteText } from './byte-text.ts';
import { type CivilTime, NS_PER_SECOND, nsFromCivil, UTC } from './civil.ts';
import { formatLayout, parseLayout } from './go-layout.ts';
import { GoTime } from './go-time.ts';
import type { TemplateFunction } from './template-function.ts';
import { type GoValue, intOf, TemplateError } from './values.ts';
import { wallClockNs } from './wall-clock.ts';
import { zoneOf } from './zones.ts';

/** What Go gives for a date it cannot read. */
const zeroTime = (): GoTime =>
  new GoTime(nsFromCivil({ year: 1, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanosecond: 0 }, 0));

const numberOf = (parsed: Parsed): number => {
  if ('error' in parsed) throw new TemplateError(toByteText(parsed.error));
  return parsed.value;
};

const readDate = (layout: string, zoneName: string, text: string): GoTime => {
  const read = parseLayout(fromByteText(layout), fromByteText(text));
  if (read === undefined) return zeroTime();
  if (read.offsetSeconds === 0) return new GoTime(nsFromCivil(read.civil, 0));
  if (read.offsetSeconds !== undefined) {
    return new GoTime(nsFromCivil(read.civil, read.offsetSeconds), { name: '', offsetSeconds: read.offsetSeconds });
  }
  return inZone(read.civil, fromByteText(zoneName));
};

/** Civil time in a named zone; UTC if the zone is unknown. */
const inZone = (civil: CivilTime, zoneName: string): GoTime => {
  const guess = nsFromCivil(civil, 0);
  const first = zoneOf(zoneName, guess) ?? UTC;
  const second = zoneOf(zoneName, guess - BigInt(first.offsetSeconds) * NS_PER_SECOND) ?? UTC;
  return new GoTime(nsFromCivil(civil, second.offsetSeconds), second);
};

const secondsTime = (seconds: bigint): GoTime => new GoTime(seconds * NS_PER_SECOND);

/** sprig's `date` takes a time or seconds since 1970. */
const timeOf = (value: GoValue): GoTime => {
  if (value instanceof GoTime) return value;
  const seconds = intOf(value);
  return seconds === undefined ? new GoTime(wallClockNs()) : secondsTime(seconds);
};

const UNIT_BY_DIGITS: Readonly<Record<number, bigint>> = {
  5: 86_400n * NS_PER_SECOND,
  10: NS_PER_SECOND,
  13: 1_000_000n,
  16: 1_000n,
  19: 1n,
};

/** The number of digits says the unit: days, seconds, milli-, micro- or nanoseconds. */
const unixToTime = (bytes: string): GoTime => {
  const text = fromByteText(bytes);
  const unit = UNIT_BY_DIGITS[bytes.length];
  if (!/^[+-]?[0-9]+$/.test(text)) {
    const cause = `strconv.ParseInt: parsing "${text}": invalid syntax`;
    throw new TemplateError(toByteText(`unable to parse time '${text}': ${cause}`));
  }
  if (unit === undefined) throw new TemplateError(toByteText(`unable to parse time '${text}': %!w(<nil>)`));
  return new GoTime(BigInt(text) * unit);
};

const epoch = (nsPerUnit: bigint): TemplateFunction => ({
  parameters: ['time'],
  call: ({ ns }: GoTime) => String((ns - (((ns % nsPerUnit) + nsPerUnit) % nsPerUnit)) / nsPerUnit),
});

const seconds: TemplateFunction = {
  parameters: ['string'],
  call: (text: string) => numberOf(parseGoDuration(fromByteText(text))) / 1e9,
};

export const TIME_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  bytes: { parameters: ['string'], call: (text: string) => numberOf(parseGoBytes(fromByteText(text))) },
  duration: seconds,
  duration_seconds: seconds,
  now: { parameters: [], call: () => new GoTime(wallClockNs()) },
  date: {
    parameters: ['string', 'any'],
    call: (layout: string, time: GoValue) => toByteText(formatLayout(timeOf(time), fromByteText(layout))),
  },
  toDate: { parameters: ['string', 'string'], call: (layout: string, text: string) => readDate(layout, 'UTC', text) },
  toDateInZone: { parameters: ['string', 'string', 'string'], call: readDate },
  unixEpoch: epoch(NS_PER_SECOND),
  unixEpochMillis: epoch(1_000_000n),
  unixEpochNanos: epoch(1n),
  unixToTime: { parameters: ['string'], call: unixToTime },
};
