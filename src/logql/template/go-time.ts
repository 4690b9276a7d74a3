/** time.Time: an instant with the zone it is shown in. */
import {
  type CivilTime,
  civilFromDays,
  DAY_SECONDS,
  daysFromCivil,
  MONTHS,
  NS_PER_SECOND,
  type ShownTime,
  UTC,
  WEEKDAYS,
  type Zone,
} from './civil.ts';
import { formatLayout } from './go-layout.ts';
import { NamedInt } from './values.ts';

const floorDivide = (value: bigint, by: bigint): bigint => (value - (((value % by) + by) % by)) / by;

export class GoTime implements ShownTime {
  /** Nanoseconds since 1970. */
  readonly ns: bigint;
  readonly zone: Zone;

  constructor(ns: bigint, zone: Zone = UTC) {
    this.ns = ns;
    this.zone = zone;
  }

  get unixSeconds(): bigint {
    return floorDivide(this.ns, NS_PER_SECOND);
  }

  get civil(): CivilTime {
    const local = Number(this.unixSeconds) + this.zone.offsetSeconds;
    const days = Math.floor(local / DAY_SECONDS);
    const inDay = local - days * DAY_SECONDS;
    return {
      ...civilFromDays(days),
      hour: Math.floor(inDay / 3600),
      minute: Math.floor(inDay / 60) % 60,
      second: inDay % 60,
      nanosecond: Number(this.ns - this.unixSeconds * NS_PER_SECOND),
    };
  }

  /** 0 for Sunday */
  get weekday(): number {
    const days = Math.floor((Number(this.unixSeconds) + this.zone.offsetSeconds) / DAY_SECONDS);
    return (((days + 4) % 7) + 7) % 7;
  }

  get yearDay(): number {
    const { year, month, day } = this.civil;
    return daysFromCivil(year, month, day) - daysFromCivil(year, 1, 1) + 1;
  }

  get month(): NamedInt {
    const { month } = this.civil;
    return new NamedInt(BigInt(month), 'time.Month', MONTHS[month - 1]!);
  }

  get dayOfWeek(): NamedInt {
    return new NamedInt(BigInt(this.weekday), 'time.Weekday', WEEKDAYS[this.weekday]!);
  }

  toString(): string {
    return formatLayout(this, '2006-01-02 15:04:05.999999999 -0700 MST');
  }
}
