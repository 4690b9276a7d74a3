/**
 * Prometheus' remote write 1.0, prometheus.WriteRequest:
 *
 *   WriteRequest  timeseries = 1 …      TimeSeries  labels = 1 …, samples = 2 …
 *   Label         name = 1, value = 2   Sample      value = 1 (double), timestamp = 2 (int64, ms)
 */
import { WireWriter } from '../protocol/logproto.ts';
import { labelKey, type Sample } from './sample.ts';

export interface TimedSample {
  /** Flat pairs, sorted by name. */
  readonly labels: readonly string[];
  /** `stale`: the series has ended. */
  readonly value: number | 'stale';
  readonly timeMs: number;
}

/** The one NaN that says so: Prometheus' StaleNaN. */
const STALE_BITS = 0x7ff0_0000_0000_0002n;

export const encodeWriteRequest = (samples: readonly TimedSample[]): Buffer => {
  const series = new Map<string, TimedSample[]>();
  for (const sample of samples) {
    const key = labelKey(sample.labels);
    const known = series.get(key);
    if (known) known.push(sample);
    else series.set(key, [sample]);
  }
  const writer = new WireWriter();
  for (const ofSeries of series.values()) writer.message(1, () => writeSeries(writer, ofSeries));
  return writer.finish();
};

const writeSeries = (writer: WireWriter, samples: readonly TimedSample[]): void => {
  const labels = samples[0]?.labels ?? [];
  for (let index = 0; index < labels.length; index += 2) {
    writer.message(1, () => {
      writer.bytes(1, labels[index] ?? '');
      writer.bytes(2, labels[index + 1] ?? '');
    });
  }
  for (const { value, timeMs } of samples) {
    writer.message(2, () => {
      if (value === 'stale') writer.fixed64(1, STALE_BITS);
      else writer.double(1, value);
      writer.integer(2, BigInt(timeMs));
    });
  }
};

export const timed = (samples: readonly Sample[], timeMs: number): readonly TimedSample[] =>
  samples.map(({ labels, value }) => ({ labels, value, timeMs }));

/** What ends the series of those that are not among the ones of now. */
export const staleMarkers = (
  before: ReadonlyMap<string, readonly string[]>,
  now: ReadonlyMap<string, readonly string[]>,
  timeMs: number,
): readonly TimedSample[] =>
  [...before].flatMap(([key, labels]) => (now.has(key) ? [] : [{ labels, value: 'stale' as const, timeMs }]));
