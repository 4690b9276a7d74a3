/** Calendar arithmetic on days since 1970, and the names Go prints. */

export interface Zone {
  readonly name: string;
  readonly offsetSeconds: number;
}

export const UTC: Zone = { name: 'UTC', offsetSeconds: 0 };

export interface CivilTime {
  readonly year: number;
  /** 1 to 12 */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly nanosecond: number;
}

export const DAY_SECONDS = 86_400;
export const NS_PER_SECOND = 1_000_000_000n;

/** Days since 1970 of a date in the Gregorian calendar (Hinnant's days_from_civil). */
export const daysFromCivil = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
};

export const civilFromDays = (
  days: number,
): { readonly year: number; readonly month: number; readonly day: number } => {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
};

/** Nanoseconds since 1970 of a civil time in a zone of fixed offset. */
export const nsFromCivil = (civil: CivilTime, offsetSeconds: number): bigint => {
  const days = daysFromCivil(civil.year, civil.month, civil.day);
  const seconds = days * DAY_SECONDS + civil.hour * 3600 + civil.minute * 60 + civil.second - offsetSeconds;
  return BigInt(seconds) * NS_PER_SECOND + BigInt(civil.nanosecond);
};

export const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;
export const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

/** A time as layouts see it. */
export interface ShownTime {
  readonly civil: CivilTime;
  readonly zone: Zone;
  /** 0 for Sunday */
  readonly weekday: number;
  /** 1 for January 1st */
  readonly yearDay: number;
}
