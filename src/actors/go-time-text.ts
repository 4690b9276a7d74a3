/** Times as Go prints them, since Loki's refusals show them so. UTC, proleptic Gregorian calendar. */

const NS_PER_SECOND = 1_000_000_000n;
const SECONDS_PER_DAY = 86_400n;

const two = (value: bigint | number): string => value.toString().padStart(2, '0');

/** Year, month, day of a count of days since 1970 (civil-from-days: years that start in March, eras of 400). */
const civilDate = (days: number): string => {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${year.toString().padStart(4, '0')}-${two(month)}-${two(day)}`;
};

const dateAndClock = (timeNs: bigint): { date: string; clock: string; nanoseconds: bigint } => {
  const nanoseconds = ((timeNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  const seconds = (timeNs - nanoseconds) / NS_PER_SECOND;
  const ofDay = ((seconds % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;
  const date = civilDate(Number((seconds - ofDay) / SECONDS_PER_DAY));
  return { date, clock: `${two(ofDay / 3600n)}:${two((ofDay / 60n) % 60n)}:${two(ofDay % 60n)}`, nanoseconds };
};

/** `2024-03-10T00:59:59Z`: RFC 3339, the fraction cut off. */
export const rfc3339Seconds = (timeNs: bigint): string => {
  const { date, clock } = dateAndClock(timeNs);
  return `${date}T${clock}Z`;
};

/** `2024-03-10 00:59:59.5 +0000 UTC`: what Go's `Time.String` gives. */
export const goTimeString = (timeNs: bigint): string => {
  const { date, clock, nanoseconds } = dateAndClock(timeNs);
  const fraction = nanoseconds === 0n ? '' : `.${nanoseconds.toString().padStart(9, '0').replace(/0+$/, '')}`;
  return `${date} ${clock}${fraction} +0000 UTC`;
};
