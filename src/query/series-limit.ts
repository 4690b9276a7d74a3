import { RefusedError } from '../protocol/refusal.ts';

/** What Loki warns of where it cuts an answer. */
export const cutSeriesText = (seriesMax: number): string =>
  `maximum number of series (${seriesMax}) reached for a single query; returning partial results`;

/** @throws RefusedError INVALID_QUERY with Loki's text; `seriesMax` 0: no limit */
export const checkSeriesCount = (count: number, seriesMax: number): void => {
  if (seriesMax <= 0 || count <= seriesMax) return;
  throw new RefusedError({
    code: 'INVALID_QUERY',
    text:
      `maximum number of series (${seriesMax}) reached for a single query; consider reducing query cardinality by adding more ` +
      'specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()',
  });
};
