import { parseTimestamp } from '../http/parameters.ts';
import { parsePrometheusDuration } from '../logql/durations.ts';
import { UsageError } from './cli-error.ts';

export interface RangeOptions {
  readonly since: string;
  readonly from?: string;
  readonly to?: string;
}

export interface TimeRange {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

export const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

export const parseDurationOption = (text: string, option: string): bigint => {
  const parsed = parsePrometheusDuration(text);
  if ('error' in parsed) throw new UsageError(`--${option}: ${parsed.error}; want for example 15m, 2h, 1d`);
  return parsed.ns;
};

export const parseTimeOption = (text: string, option: string): bigint => {
  if (text === 'now') return nowNs();
  try {
    return parseTimestamp(text);
  } catch (error) {
    throw new UsageError(
      `--${option}: ${JSON.stringify(text)} is no time; want 2026-03-10T12:00:00Z, unix seconds or nanoseconds`,
      { cause: error },
    );
  }
};

/** --from and --to, or the last --since. */
export const timeRangeOf = ({ since, from, to }: RangeOptions): TimeRange => {
  const endNs = to === undefined ? nowNs() : parseTimeOption(to, 'to');
  const startNs = from === undefined ? endNs - parseDurationOption(since, 'since') : parseTimeOption(from, 'from');
  if (startNs > endNs) throw new UsageError('--from is later than --to');
  return { startNs, endNs };
};
