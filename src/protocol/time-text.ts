/** Times as Go prints and reads them, in UTC, over the proleptic Gregorian calendar. */

const SECONDS_PER_DAY = 86_400;
const NS_PER_SECOND = 1_000_000_000n;
/** Days from 0000-03-01, where the years of the calculation begin, to 1970-01-01. */
const EPOCH_DAYS = 719_468;
const DAYS_PER_ERA = 146_097;

/** Whole seconds since the epoch, rounded down. */
export const secondsOf = (timeNs: bigint): number => {
  const quotient = timeNs / NS_PER_SECOND;
  return Number(timeNs % NS_PER_SECOND < 0n ? quotient - 1n : quotient);
};

/** `2024-03-10T00:59:59Z`: RFC 3339, the fraction cut off. */
export const rfc3339Text = (seconds: number): string => {
  const { date, time } = partsOf(seconds);
  return `${date}T${time}Z`;
};

/** `2024-03-10T00:59:59.376171784Z`: RFC 3339, as Go's RFC3339Nano. */
export const rfc3339NanoText = (timeNs: bigint): string => {
  const { date, time } = partsOf(secondsOf(timeNs));
  return `${date}T${time}${fractionText(timeNs)}Z`;
};

/** `2024-03-10 00:59:59.376171784 +0000 UTC`: Go's time.Time in a message. */
export const goTimeText = (timeNs: bigint): string => {
  const { date, time } = partsOf(secondsOf(timeNs));
  return `${date} ${time}${fractionText(timeNs)} +0000 UTC`;
};

/** Of the second: no more digits than it has. */
const fractionText = (timeNs: bigint): string => {
  const nanos = Number(timeNs - BigInt(secondsOf(timeNs)) * NS_PER_SECOND);
  return nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
};

export interface SecondsAndNanos {
  readonly seconds: number;
  readonly nanos: number;
}

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** `2024-03-10T01:00:02.5+01:00`; digits past the nanosecond are cut off. undefined if it is no such time. */
export const parseRfc3339 = (text: string): SecondsAndNanos | undefined => {
  const match = RFC3339.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [zoneHour, zoneMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  const isDate = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
  if (!isDate || hour > 23 || minute > 59 || second > 59 || zoneHour > 24 || zoneMinute > 60) return undefined;
  const zone = (match[8] === '-' ? -60 : 60) * (zoneHour * 60 + zoneMinute);
  const seconds = daysFromDate(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - zone;
  return { seconds, nanos: Number((match[7] ?? '').slice(0, 9).padEnd(9, '0')) };
};

const daysIn = (year: number, month: number): number => {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
};

/** Days since 1970-01-01. Years begin in March, so that the leap day is the last. */
const daysFromDate = (year: number, month: number, day: number): number => {
  const marchYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(marchYear / 400);
  const yearOfEra = marchYear - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - EPOCH_DAYS;
};

const partsOf = (seconds: number): { date: string; time: string } => {
  const days = Math.floor(seconds / SECONDS_PER_DAY);
  const rest = seconds - days * SECONDS_PER_DAY;
  const era = Math.floor((days + EPOCH_DAYS) / DAYS_PER_ERA);
  const dayOfEra = days + EPOCH_DAYS - era * DAYS_PER_ERA;
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return {
    date: `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`,
    time: `${padded(Math.floor(rest / 3600), 2)}:${padded(Math.floor(rest / 60) % 60, 2)}:${padded(rest % 60, 2)}`,
  };
};

const padded = (value: number, width: number): string => String(value).padStart(width, '0');
