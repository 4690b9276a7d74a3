/** Go's reference-time layouts: printing and reading. */
import { type CivilTime, MONTHS, type ShownTime, WEEKDAYS } from './civil.ts';

const TOKEN =
  /January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07|__2|_2(?!006)|002|01|02|03|04|05|06|15|PM|pm|[.,](?:0+|9+)(?![0-9])|1|2|3|4|5/g;

const two = (value: number): string => String(value).padStart(2, '0');

const offsetText = (seconds: number, token: string): string => {
  if (token.startsWith('Z') && seconds === 0) return 'Z';
  const absolute = Math.abs(seconds);
  const colon = token.includes(':') ? ':' : '';
  const sign = seconds < 0 ? '-' : '+';
  const hours = two(Math.floor(absolute / 3600));
  const digits = token.replace(/[^0-9]/g, '').length;
  const minutes = digits >= 4 ? colon + two(Math.floor(absolute / 60) % 60) : '';
  const rest = digits >= 6 ? colon + two(absolute % 60) : '';
  return sign + hours + minutes + rest;
};

const fractionText = (nanosecond: number, token: string): string => {
  const digits = String(nanosecond)
    .padStart(9, '0')
    .slice(0, token.length - 1);
  if (token[1] === '0') return token[0]! + digits;
  const shown = digits.replace(/0+$/, '');
  return shown === '' ? '' : token[0]! + shown;
};

const yearText = (year: number): string =>
  year < 0 ? `-${String(-year).padStart(4, '0')}` : String(year).padStart(4, '0');

const hour12 = (hour: number): number => hour % 12 || 12;

const dateText = (time: ShownTime, { year, month, day }: CivilTime, token: string): string | undefined => {
  switch (token) {
    case '2006':
      return yearText(year);
    case '06':
      return two(((year % 100) + 100) % 100);
    case 'January':
      return MONTHS[month - 1]!;
    case 'Jan':
      return MONTHS[month - 1]!.slice(0, 3);
    case '01':
      return two(month);
    case '1':
      return String(month);
    case 'Monday':
      return WEEKDAYS[time.weekday]!;
    case 'Mon':
      return WEEKDAYS[time.weekday]!.slice(0, 3);
    case '02':
      return two(day);
    case '_2':
      return String(day).padStart(2);
    case '2':
      return String(day);
    case '002':
      return String(time.yearDay).padStart(3, '0');
    case '__2':
      return String(time.yearDay).padStart(3);
    default:
      return undefined;
  }
};

const clockText = ({ hour, minute, second, nanosecond }: CivilTime, token: string): string | undefined => {
  switch (token) {
    case '15':
      return two(hour);
    case '03':
      return two(hour12(hour));
    case '3':
      return String(hour12(hour));
    case '04':
      return two(minute);
    case '4':
      return String(minute);
    case '05':
      return two(second);
    case '5':
      return String(second);
    case 'PM':
      return hour < 12 ? 'AM' : 'PM';
    case 'pm':
      return hour < 12 ? 'am' : 'pm';
    default:
      return token[0] === '.' || token[0] === ',' ? fractionText(nanosecond, token) : undefined;
  }
};

/** time.Time.Format */
export const formatLayout = (time: ShownTime, layout: string): string => {
  const { civil, zone } = time;
  return layout.replace(TOKEN, (token) => {
    if (token === 'MST') return zone.name;
    return dateText(time, civil, token) ?? clockText(civil, token) ?? offsetText(zone.offsetSeconds, token);
  });
};

/** What a layout read from a text: the civil time, and the offset in seconds if the text had one. */
export interface ReadTime {
  readonly civil: CivilTime;
  readonly offsetSeconds: number | undefined;
}

const NUMBER_PATTERNS: Readonly<Record<string, string>> = {
  '2006': '[0-9]{4}',
  '06': '[0-9]{2}',
  '01': '[0-9]{2}',
  '1': '[0-9]{1,2}',
  '02': '[0-9]{2}',
  _2: ' ?[0-9]{1,2}',
  '2': '[0-9]{1,2}',
  '002': '[0-9]{3}',
  __2: ' {0,2}[0-9]{1,3}',
  '15': '[0-9]{2}',
  '03': '[0-9]{2}',
  '3': '[0-9]{1,2}',
  '04': '[0-9]{2}',
  '4': '[0-9]{1,2}',
  '05': '[0-9]{2}',
  '5': '[0-9]{1,2}',
};

const shortNames = (names: readonly string[]): string => names.map((name) => name.slice(0, 3)).join('|');

const patternOf = (token: string): string => {
  const number = NUMBER_PATTERNS[token];
  if (number !== undefined) return number;
  switch (token) {
    case 'January':
      return MONTHS.join('|');
    case 'Jan':
      return shortNames(MONTHS);
    case 'Monday':
      return WEEKDAYS.join('|');
    case 'Mon':
      return shortNames(WEEKDAYS);
    case 'PM':
      return 'AM|PM';
    case 'pm':
      return 'am|pm';
    case 'MST':
      return '[A-Z]{3,4}';
    default:
      break;
  }
  if (token.startsWith('Z')) return 'Z|[-+][0-9:]{2,8}';
  if (token.startsWith('-')) return '[-+][0-9:]{2,8}';
  return token[1] === '9' ? '(?:[.,][0-9]+)?' : `[.,][0-9]{${token.length - 1}}`;
};

/** Real layouts have ten; many more could make reading slow. */
const TOKENS_MAX = 16;

const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Fields of the text by token, undefined if it does not have the layout's form. */
const readFields = (layout: string, text: string): ReadonlyMap<string, string> | undefined => {
  const tokens: string[] = [];
  let pattern = '';
  let position = 0;
  for (const match of layout.matchAll(TOKEN)) {
    tokens.push(match[0]);
    pattern += `${escapeRegex(layout.slice(position, match.index))}(${patternOf(match[0])})`;
    position = match.index + match[0].length;
    // Go reads a fraction after the seconds even if the layout has none.
    if ((match[0] === '05' || match[0] === '5') && !/^[.,][09]/.test(layout.slice(position))) {
      tokens.push('.9');
      pattern += '((?:[.,][0-9]+)?)';
    }
  }
  if (tokens.length > TOKENS_MAX) return undefined;
  const found = new RegExp(`^${pattern}${escapeRegex(layout.slice(position))}$`).exec(text);
  if (found === null) return undefined;
  return new Map(tokens.map((token, index) => [token[0] === '.' || token[0] === ',' ? '.' : token, found[index + 1]!]));
};

const monthOf = (fields: ReadonlyMap<string, string>): number => {
  const name = fields.get('January') ?? fields.get('Jan');
  if (name !== undefined) return MONTHS.findIndex((month) => month.startsWith(name.slice(0, 3))) + 1;
  return Number(fields.get('01') ?? fields.get('1') ?? 1);
};

const yearOf = (fields: ReadonlyMap<string, string>): number => {
  const short = fields.get('06');
  if (short === undefined) return Number(fields.get('2006') ?? 0);
  return Number(short) + (Number(short) >= 69 ? 1900 : 2000);
};

const hourOf = (fields: ReadonlyMap<string, string>): number => {
  const hour = Number(fields.get('15') ?? fields.get('03') ?? fields.get('3') ?? 0);
  const half = (fields.get('PM') ?? fields.get('pm'))?.toLowerCase();
  if (half === undefined) return hour;
  return (hour % 12) + (half === 'pm' ? 12 : 0);
};

const offsetOf = (fields: ReadonlyMap<string, string>): number | undefined => {
  const text = [...fields].find(([token]) => token.startsWith('Z') || token.startsWith('-'))?.[1];
  if (text === undefined) return undefined;
  if (text === 'Z') return 0;
  const digits = text.slice(1).replaceAll(':', '').padEnd(6, '0');
  const seconds = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4)) * 60 + Number(digits.slice(4, 6));
  return text.startsWith('-') ? -seconds : seconds;
};

const daysIn = (year: number, month: number): number => {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
};

const isPossible = ({ year, month, day, hour, minute, second }: CivilTime): boolean =>
  month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && hour < 24 && minute < 60 && second < 60;

/** time.Parse; undefined where Go reports an error. */
export const parseLayout = (layout: string, text: string): ReadTime | undefined => {
  const fields = readFields(layout, text);
  if (fields === undefined) return undefined;
  const civil: CivilTime = {
    year: yearOf(fields),
    month: monthOf(fields),
    day: Number(fields.get('02') ?? fields.get('_2') ?? fields.get('2') ?? 1),
    hour: hourOf(fields),
    minute: Number(fields.get('04') ?? fields.get('4') ?? 0),
    second: Number(fields.get('05') ?? fields.get('5') ?? 0),
    nanosecond: Number((fields.get('.') ?? '').slice(1).padEnd(9, '0').slice(0, 9)),
  };
  return isPossible(civil) ? { civil, offsetSeconds: offsetOf(fields) } : undefined;
};
