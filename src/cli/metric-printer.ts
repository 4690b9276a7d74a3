import asciichart from 'asciichart';
import { formatLabels } from './label-text.ts';
import type { SeriesAnswer, VectorAnswer } from './loki-client.ts';
import { colored, SERIES_COLORS, type Terminal } from './terminal.ts';

const PLOT_HEIGHT = 10;
/** More lines than this cannot be told apart. */
const PLOT_SERIES_MAX = 6;
const AXIS_COLUMNS = 12;

const compact = (value: number): string => {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
};

/** Columns padded to their widest cell; numbers on the right. */
export const tableText = (header: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
};

/** The largest value of each column's share of the points, so that no peak is lost; a gap is 0. */
export const resampled = (series: SeriesAnswer, from: number, to: number, columns: number): readonly number[] => {
  const values = new Array<number>(columns).fill(0);
  const span = Math.max(to - from, Number.MIN_VALUE);
  for (const [seconds, text] of series.values) {
    const value = Number(text);
    if (!Number.isFinite(value)) continue;
    const column = Math.min(columns - 1, Math.floor(((seconds - from) / span) * columns));
    values[column] = Math.max(values[column] ?? 0, value);
  }
  return values;
};

const plotText = (matrix: readonly SeriesAnswer[], terminal: Terminal): string => {
  const shown = matrix.slice(0, PLOT_SERIES_MAX);
  const times = shown.flatMap(({ values }) => values.map(([seconds]) => seconds));
  const from = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const to = times.reduce((most, time) => Math.max(most, time), Number.NEGATIVE_INFINITY);
  const points = new Set(times).size;
  const columns = Math.max(2, Math.min(terminal.columns - AXIS_COLUMNS - 3, points));
  const colors = shown.map((_, index) => (terminal.isColored ? SERIES_COLORS[index] : undefined));
  const plot = asciichart.plot(
    shown.map((series) => resampled(series, from, to, columns)),
    { height: PLOT_HEIGHT, min: 0, colors, format: (value) => compact(value).padStart(AXIS_COLUMNS - 2) },
  );
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return `${plot}\n${' '.repeat(AXIS_COLUMNS)}${time(from)} … ${time(to)}`;
};

/** A range answer: a plot of up to six series, then a table of all. */
export const printMatrix = async (terminal: Terminal, matrix: readonly SeriesAnswer[]): Promise<void> => {
  const filled = matrix.filter(({ values }) => values.length > 0);
  if (filled.length === 0) {
    terminal.note('no samples');
    return;
  }
  const hasLine = filled.slice(0, PLOT_SERIES_MAX).some(({ values }) => values.length > 1);
  if (hasLine) await terminal.line(`${plotText(filled, terminal)}\n`);
  const rows = filled.map(({ metric, values }, index) => {
    const numbers = values.map(([, value]) => Number(value));
    const sum = numbers.reduce((total, value) => total + value, 0);
    const label = formatLabels(metric);
    const color = terminal.isColored && index < PLOT_SERIES_MAX ? SERIES_COLORS[index] : undefined;
    return {
      color,
      cells: [
        label,
        String(values.length),
        compact(numbers.reduce((least, value) => Math.min(least, value))),
        compact(sum / numbers.length),
        compact(numbers.reduce((most, value) => Math.max(most, value))),
        compact(numbers.at(-1) ?? Number.NaN),
      ],
    };
  });
  const lines = tableText(
    ['series', 'points', 'min', 'mean', 'max', 'last'],
    rows.map(({ cells }) => cells),
  ).split('\n');
  for (const [index, line] of lines.entries()) await terminal.line(colored(line, rows[index - 2]?.color));
};

/** An instant answer: one value a series. */
export const printVector = async (terminal: Terminal, vector: readonly VectorAnswer[]): Promise<void> => {
  if (vector.length === 0) {
    terminal.note('no samples');
    return;
  }
  await terminal.line(
    tableText(
      ['series', 'value'],
      vector.map(({ metric, value }) => [formatLabels(metric), value[1]]),
    ),
  );
};
