/** Time zones by their IANA names, from the runtime's own data. */
import type { Zone } from './civil.ts';

const FORMATS_MAX = 50;
const formats = new Map<string, Intl.DateTimeFormat | undefined>();
const OFFSET = /^GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/;
const NS_PER_MS = 1_000_000n;

const formatOf = (name: string): Intl.DateTimeFormat | undefined => {
  if (formats.has(name)) return formats.get(name);
  if (formats.size >= FORMATS_MAX) formats.clear();
  let format: Intl.DateTimeFormat | undefined;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  } catch {
    format = undefined;
  }
  formats.set(name, format);
  return format;
};

/** The zone's offset at an instant; undefined for a name nobody knows. */
export const zoneOf = (name: string, ns: bigint): Zone | undefined => {
  const parts = formatOf(name === '' || name === 'Local' ? 'UTC' : name)?.formatToParts(Number(ns / NS_PER_MS));
  const text = parts?.find(({ type }) => type === 'timeZoneName')?.value;
  const match = text === undefined ? null : OFFSET.exec(text);
  if (match === null) return undefined;
  const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] = match;
  const offset = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return {
    name: offset === 0 ? 'UTC' : `${sign}${hours}${minutes === '00' ? '' : minutes}`,
    offsetSeconds: sign === '-' ? -offset : offset,
  };
};
