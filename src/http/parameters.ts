/** Request parameters in Loki's grammar, with Loki's error texts (the API's section 3.1). Everything here throws RefusedError BAD_REQUEST. */
import { parsePrometheusDuration } from '../logql/durations.ts';
import { quoteGo as quoted } from '../protocol/go-quote.ts';
import { parseSize } from '../protocol/limit-values.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { parseRfc3339 } from '../protocol/time-text.ts';

const NS_PER_SECOND = 1_000_000_000n;
const INT64_MAX = 2n ** 63n - 1n;
const HOUR_NS = 3600n * NS_PER_SECOND;
const DECIMAL_FLOAT = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;

export const badRequest = (text: string): RefusedError => new RefusedError({ code: 'BAD_REQUEST', text });

const rfc3339Ns = (text: string): bigint | undefined => {
  const time = parseRfc3339(text);
  return time && BigInt(time.seconds) * NS_PER_SECOND + BigInt(time.nanos);
};

/** Go's `strconv.ParseInt(text, 10, 64)`; the error is its text. */
const parseInt64 = (text: string, caller: string): { readonly value?: bigint; readonly error: string } => {
  if (!/^[+-]?[0-9]+$/.test(text)) return { error: `strconv.${caller}: parsing ${quoted(text)}: invalid syntax` };
  const value = text.length > 40 ? INT64_MAX + 1n : BigInt(text.replace(/^\+/, ''));
  if (value > INT64_MAX || value < -INT64_MAX - 1n) {
    return { error: `strconv.${caller}: parsing ${quoted(text)}: value out of range` };
  }
  return { value, error: '' };
};

/** Float seconds with a point (rounded to ms), whole seconds of up to 10 characters, longer nanoseconds, RFC 3339. */
export const parseTimestamp = (text: string): bigint => {
  if (text.includes('.') && DECIMAL_FLOAT.test(text)) {
    const seconds = Number(text);
    const whole = Math.trunc(seconds);
    if (Math.abs(whole) < 9e9) {
      const fraction = Math.round((seconds - whole) * 1000) / 1000;
      return BigInt(whole) * NS_PER_SECOND + BigInt(Math.trunc(fraction * 1e9));
    }
  }
  const { value, error } = parseInt64(text, 'ParseInt');
  if (value !== undefined) return text.length <= 10 ? value * NS_PER_SECOND : value;
  const time = rfc3339Ns(text);
  if (time === undefined) throw badRequest(error);
  return time;
};

const namedTimestamp = (form: URLSearchParams, name: string, absent: bigint): bigint => {
  const text = form.get(name) ?? '';
  if (text === '') return absent;
  try {
    return parseTimestamp(text);
  } catch (error) {
    throw badRequest(`could not parse '${name}' parameter: ${(error as Error).message}`);
  }
};

export interface TimeBounds {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** start, end and since with their defaults: end = now, start = min(end, now) − since, since = 1h. */
export const parseBounds = (form: URLSearchParams, nowNs: bigint): TimeBounds => {
  let sinceNs = HOUR_NS;
  const since = form.get('since') ?? '';
  if (since !== '') {
    const parsed = parsePrometheusDuration(since);
    if ('error' in parsed) throw badRequest(`could not parse 'since' parameter: ${parsed.error}`);
    sinceNs = parsed.ns;
  }
  const endNs = namedTimestamp(form, 'end', nowNs);
  const startNs = namedTimestamp(form, 'start', (endNs < nowNs ? endNs : nowNs) - sinceNs);
  return { startNs, endNs };
};

/** The same, in their order. @throws RefusedError BAD_REQUEST */
export const checkedBounds = (form: URLSearchParams, nowNs: bigint): TimeBounds => {
  const bounds = parseBounds(form, nowNs);
  if (bounds.endNs < bounds.startNs) throw badRequest('end timestamp must not be before or equal to start time');
  return bounds;
};

/** Float seconds or a Prometheus duration, in ns. NaN is 0, as in Go's conversion. */
const parseSecondsOrDuration = (text: string): bigint => {
  const refused = badRequest(`cannot parse ${quoted(text)} to a valid duration`);
  if (DECIMAL_FLOAT.test(text) || /^[+-]?(inf|infinity|nan)$/i.test(text)) {
    const ns = Number(text.replace(/^([+-]?)inf.*$/i, '$1Infinity')) * 1e9;
    if (Math.abs(ns) > 2 ** 63) throw badRequest(`${refused.message}. It overflows int64`);
    return Number.isNaN(ns) ? 0n : BigInt(Math.trunc(ns));
  }
  const parsed = parsePrometheusDuration(text);
  if ('error' in parsed) throw refused;
  return parsed.ns;
};

/** A count, 100 when absent. */
export const parseLimit = (form: URLSearchParams, absent = 100, name = 'limit'): number => {
  const text = form.get(name) ?? '';
  if (text === '') return absent;
  const { value, error } = parseInt64(text, 'Atoi');
  if (value === undefined) throw badRequest(error);
  if (value <= 0n) throw badRequest('limit must be a positive value');
  return Number(value > 0xff_ff_ff_ffn ? 0xff_ff_ff_ffn : value);
};

/** The `limit` of volumes: 0 is 100 there. */
export const parseVolumeLimit = (form: URLSearchParams): number =>
  Number(form.get('limit') || 1) === 0 ? VOLUME_LIMIT : parseLimit(form, VOLUME_LIMIT);

/** Loki's `tsdb_max_bytes_per_shard`. */
const SHARD_BYTES = 600 << 20;

/** `targetBytesPerShard` of `index/shards`: bytes, with a unit or without. */
export const parseShardBytes = (form: URLSearchParams): number => {
  const text = form.get('targetBytesPerShard') ?? '';
  if (text === '') return SHARD_BYTES;
  const bytes = parseSize(text);
  if (bytes === undefined) throw badRequest(`cannot parse ${quoted(text)} to a valid size`);
  if (bytes <= 0) throw badRequest('targetBytesPerShard must be a positive value');
  return bytes;
};

/** Volumes that are shown where nothing is asked for. */
export const VOLUME_LIMIT = 100;

/** A selector of every stream, where that is allowed. */
export const EVERY_STREAM = /^\s*\{\s*\}\s*$/;

export const parseDirection = (form: URLSearchParams): 'forward' | 'backward' => {
  const text = form.get('direction') ?? '';
  const direction = text === '' ? 'backward' : text.toLowerCase();
  if (direction !== 'forward' && direction !== 'backward') throw badRequest(`invalid direction '${text}'`);
  return direction;
};

/** Whole seconds of tail's `delay_for`. */
export const parseDelaySeconds = (form: URLSearchParams): number => {
  const text = form.get('delay_for') ?? '';
  if (text === '') return 0;
  const { value, error } = parseInt64(text, 'Atoi');
  if (value === undefined) throw badRequest(error);
  if (value > 5n) throw badRequest("delay_for can't be greater than 5");
  return Math.max(0, Number(value));
};

export interface RangeParameters extends TimeBounds {
  readonly query: string;
  readonly limit: number;
  readonly direction: 'forward' | 'backward';
  readonly stepNs: bigint;
  readonly intervalNs: bigint;
}

/** `step`, a 250th of the range but a second at least when absent. @throws RefusedError BAD_REQUEST */
export const parseStep = (form: URLSearchParams, bounds: TimeBounds): bigint => {
  const stepNs = parseAnyStep(form, bounds);
  if (stepNs > 0n) return stepNs;
  throw badRequest('zero or negative query resolution step widths are not accepted. Try a positive integer');
};

/** No more points than Loki gives. @throws RefusedError BAD_REQUEST */
export const checkResolution = ({ startNs, endNs }: TimeBounds, stepNs: bigint): void => {
  if ((endNs - startNs) / stepNs <= 11_000n) return;
  throw badRequest(
    'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
  );
};

const parseAnyStep = (form: URLSearchParams, { startNs, endNs }: TimeBounds): bigint => {
  const text = form.get('step') ?? '';
  if (text !== '') return parseSecondsOrDuration(text);
  const seconds = (endNs - startNs) / NS_PER_SECOND / 250n;
  return (seconds > 1n ? seconds : 1n) * NS_PER_SECOND;
};

/** The parameters of query_range, checked in Loki's order. */
export const parseRangeParameters = (form: URLSearchParams, nowNs: bigint): RangeParameters => {
  const bounds = checkedBounds(form, nowNs);
  const limit = parseLimit(form);
  const direction = parseDirection(form);
  const stepNs = parseStep(form, bounds);
  checkResolution(bounds, stepNs);
  const interval = form.get('interval') ?? '';
  const intervalNs = interval === '' ? 0n : parseSecondsOrDuration(interval);
  if (intervalNs < 0n) throw badRequest('interval must be >= 0');
  return { ...bounds, query: form.get('query') ?? '', limit, direction, stepNs, intervalNs };
};

/** `time`, now when absent. Its error has no prefix. */
export const parseInstantTime = (form: URLSearchParams, nowNs: bigint): bigint => {
  const text = form.get('time') ?? '';
  return text === '' ? nowNs : parseTimestamp(text);
};
