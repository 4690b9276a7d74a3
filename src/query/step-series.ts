import { RefusedError } from '../protocol/refusal.ts';

/** One series at the evaluation times of a query; steps without a point are not `present`. */
export interface StepSeries {
  /** Sorted flat pairs. */
  readonly labels: readonly string[];
  readonly values: Float64Array;
  /** 1 where there is a point. */
  readonly present: Uint8Array;
}

/** What a metric expression evaluates to: one number for all steps, or series. */
export type Evaluated =
  | { readonly kind: 'scalar'; readonly value: number }
  | { readonly kind: 'series'; readonly series: readonly StepSeries[] };

/** Series × steps that one evaluation may hold; 9 bytes each. Above it the query is refused rather than the process ended. */
export const CELLS_MAX = 32 << 20;

export const tooManyCells = (): RefusedError =>
  new RefusedError({
    code: 'INVALID_QUERY',
    text: 'the query makes too many series and steps; consider aggregating, a longer step or a shorter time range',
  });

export const newSeries = (labels: readonly string[], stepCount: number): StepSeries => ({
  labels,
  values: new Float64Array(stepCount),
  present: new Uint8Array(stepCount),
});

/** Whether there is a point in [from, from + count). A loop: views of few steps take longer to make than to look through. */
export const hasPoint = ({ present }: StepSeries, from: number, count: number): boolean => {
  for (let step = from; step < from + count; step += 1) if (present[step] === 1) return true;
  return false;
};

/** A series with the same value at every step: what a literal or `vector(n)` stands for. */
export const constantSeries = (value: number, stepCount: number): StepSeries => ({
  labels: [],
  values: new Float64Array(stepCount).fill(value),
  present: new Uint8Array(stepCount).fill(1),
});

export const valueOfLabel = (labels: readonly string[], name: string): string => {
  for (let index = 0; index < labels.length; index += 2) if (labels[index] === name) return labels[index + 1]!;
  return '';
};

/** Equal for equal label sets only, whatever is in them. */
export const keyOfLabels = (labels: readonly string[]): string => JSON.stringify(labels);

export const labelsOfKey = (key: string): readonly string[] => JSON.parse(key) as string[];
