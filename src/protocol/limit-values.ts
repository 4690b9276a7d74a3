/** The kinds of values that Loki's limits_config has: how each is read from YAML, and printed again. */
import { z } from 'zod';
import { parseRfc3339, rfc3339Text } from './time-text.ts';

export interface LimitKind<T> {
  readonly schema: z.ZodType<T, unknown>;
  readonly print: (value: T) => unknown;
}

const kind = <T>(
  wanted: string,
  read: (input: unknown) => T | undefined,
  print: (value: T) => unknown,
): LimitKind<T> => ({
  schema: z.unknown().transform((input, context) => {
    const value = read(input);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: `got ${JSON.stringify(input)}, want ${wanted}`, input });
    return z.NEVER;
  }),
  print,
});

const same = <T>(value: T): T => value;

const isCount = (input: unknown): input is number => Number.isSafeInteger(input) && (input as number) >= 0;

export const flag = (): LimitKind<boolean> =>
  kind('true or false', (input) => (typeof input === 'boolean' ? input : undefined), same);

export const count = (): LimitKind<number> =>
  kind('a whole number, 0 or more', (input) => (isCount(input) ? input : undefined), same);

export const text = (): LimitKind<string> =>
  kind('text', (input) => (typeof input === 'string' ? input : undefined), same);

export const oneOf = <const Choice extends string>(choices: readonly Choice[]): LimitKind<Choice> =>
  kind(`one of ${choices.join(', ')}`, (input) => choices.find((choice) => choice === input), same);

export const texts = (): LimitKind<readonly string[]> =>
  kind<readonly string[]>(
    'a list of texts',
    (input) => {
      if (input === null || input === '') return [];
      return Array.isArray(input) && input.every((item) => typeof item === 'string') ? (input as string[]) : undefined;
    },
    same,
  );

const isStatus = (input: unknown): input is number => isCount(input) && input >= 200 && input <= 599;

/** Informational ones do not end an answer. */
export const httpStatus = (): LimitKind<number> =>
  kind('an HTTP status, 200 to 599', (input) => (isStatus(input) ? input : undefined), same);

/** `2026-12-01T08:00:00Z`, `2026-12-01T08:00`, `2026-12-01` (UTC where nothing is said), `0` = never: ms since the epoch. */
export const time = (): LimitKind<number> =>
  kind('a time: such as 2026-12-01T08:00:00Z, 2026-12-01, or 0', readTime, (ms) =>
    ms === 0 ? '0' : rfc3339Text(Math.floor(ms / 1000)),
  );

const readTime = (input: unknown): number | undefined => {
  if (input === 0 || input === '0') return 0;
  if (typeof input !== 'string') return undefined;
  const found = TIME_ENDINGS.map((ending) => parseRfc3339(input + ending)).find((read) => read !== undefined);
  return found && found.seconds * 1000 + Math.floor(found.nanos / 1e6);
};

/** What the short forms leave out. */
const TIME_ENDINGS = ['', ':00Z', 'T00:00:00Z'];

/** Checked by `read`, which gives undefined for what is wrong; printed as it is. */
export const checked = <T>(wanted: string, read: (input: unknown) => T | undefined): LimitKind<T> =>
  kind(wanted, read, same);

/** How long streams are kept that a selector matches. */
export interface StreamRetention {
  /** As in LogQL. */
  readonly selector: string;
  readonly priority: number;
  readonly periodMs: number;
}

/** Loki's own. */
const STREAM_RETENTION_MS_MIN = 24 * 3_600_000;

export const streamRetentions = (): LimitKind<readonly StreamRetention[]> =>
  kind<readonly StreamRetention[]>(
    'a list of retentions: each a selector, a priority and a period of 24h or more',
    (input) => {
      if (input === null || input === '') return [];
      const read = Array.isArray(input) ? input.map(readStreamRetention) : [undefined];
      return read.every((one) => one !== undefined) ? read : undefined;
    },
    (retentions) =>
      retentions.map(({ selector, priority, periodMs }) => ({ selector, priority, period: durationText(periodMs) })),
  );

const readStreamRetention = (input: unknown): StreamRetention | undefined => {
  const { selector, priority = 0, period, ...others } = (input ?? {}) as Readonly<Record<string, unknown>>;
  const periodMs = parseDuration(period);
  const isRead = typeof selector === 'string' && Number.isSafeInteger(priority) && Object.keys(others).length === 0;
  if (!isRead || periodMs === undefined || periodMs < STREAM_RETENTION_MS_MIN) return undefined;
  return { selector, priority: priority as number, periodMs };
};

/** Taken as it is: an object or a list that only later versions act on. */
export const anything = (): LimitKind<unknown> => kind('an object or a list', same, same);

/** A query that is refused (`blocked_queries`). */
export interface BlockedQuery {
  readonly pattern: string;
  readonly isRegex: boolean;
  /** Instead of the pattern; 0 = none. */
  readonly hash: number;
  /** `metric`, `filter`, `limited`; none = all. */
  readonly types: readonly string[];
}

const QUERY_TYPES: ReadonlySet<string> = new Set(['metric', 'filter', 'limited']);

export const blockedQueryList = (): LimitKind<readonly BlockedQuery[]> =>
  kind<readonly BlockedQuery[]>(
    'a list of {pattern, regex, hash, types}',
    (input) => {
      if (input === null) return [];
      const read = Array.isArray(input) ? input.map(blockedQueryOf) : [undefined];
      return read.every((one) => one !== undefined) ? read : undefined;
    },
    (queries) => queries.map(({ pattern, isRegex, hash, types }) => ({ pattern, regex: isRegex, hash, types })),
  );

const blockedQueryOf = (input: unknown): BlockedQuery | undefined => {
  if (typeof input !== 'object' || input === null) return undefined;
  const { pattern = '', regex = false, hash = 0, types = [], ...others } = input as Record<string, unknown>;
  const names = typeof types === 'string' ? types.split(',').map((name) => name.trim()) : types;
  const areTypes = Array.isArray(names) && names.every((name) => QUERY_TYPES.has(name));
  const isRead = typeof pattern === 'string' && typeof regex === 'boolean' && isCount(hash) && areTypes;
  return isRead && Object.keys(others).length === 0 ? { pattern, isRegex: regex, hash, types: names } : undefined;
};

/** A number of MiB, maybe with a fraction; kept in bytes. */
export const megabytes = (): LimitKind<number> =>
  kind(
    'a number of MiB, 0 or more',
    (input) => (typeof input === 'number' && input >= 0 && Number.isFinite(input) ? input * 1024 ** 2 : undefined),
    (bytes) => bytes / 1024 ** 2,
  );

export const size = (): LimitKind<number> =>
  kind('a size: a number of bytes, or such as 256KB, 3MB', parseSize, sizeText);

export const duration = (): LimitKind<number> =>
  kind('a duration: such as 10m, 721h, 1w, 30d', parseDuration, durationText);

const SIZE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** `262144`, `256KB`, `1.5MB`, `3MiB`: bytes, powers of 1024. */
export const parseSize = (input: unknown): number | undefined => {
  if (typeof input === 'number') return isCount(input) ? input : undefined;
  const match = typeof input === 'string' ? /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(input.trim()) : null;
  if (!match) return undefined;
  const bytes = Math.round(Number(match[1]) * 1024 ** ' KMGT'.indexOf((match[2] || ' ').toUpperCase()));
  return isCount(bytes) ? bytes : undefined;
};

/** The largest unit that leaves no fraction, as Loki prints sizes: `3MB`, `1536KB`, `500B`. */
export const sizeText = (bytes: number): string => {
  let unit = 0;
  let value = bytes;
  while (value > 0 && value % 1024 === 0 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value}${SIZE_UNITS[unit]}`;
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** Go's and Prometheus' durations: `1h30m`, `1.5h`, `721h`, `1w`, `30d`, `0`. Milliseconds. */
export const parseDuration = (input: unknown): number | undefined => {
  if (input === 0 || input === '0') return 0;
  if (typeof input !== 'string' || !/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d|w|y))+$/.test(input)) return undefined;
  let milliseconds = 0;
  for (const [, digits, unit] of input.matchAll(/(\d+(?:\.\d+)?)([a-zµ]+)/g)) {
    milliseconds += Number(digits) * (DURATION_UNITS_MS[unit ?? ''] ?? Number.NaN);
  }
  return Number.isFinite(milliseconds) ? milliseconds : undefined;
};

/** As Prometheus prints durations: `1w`, `30d1h`, `10m`, `0s`. Years and weeks only when nothing is left over. */
export const durationText = (milliseconds: number): string => {
  if (milliseconds === 0) return '0s';
  let printed = '';
  let rest = milliseconds;
  for (const unit of ['y', 'w', 'd', 'h', 'm', 's', 'ms']) {
    const unitMs = DURATION_UNITS_MS[unit] ?? 1;
    const isExactOnly = unit === 'y' || unit === 'w';
    const times = isExactOnly && rest % unitMs !== 0 ? 0 : Math.floor(rest / unitMs);
    if (times > 0) printed += `${times}${unit}`;
    rest -= times * unitMs;
  }
  return printed === '' ? `${milliseconds}ms` : printed;
};
