import type { StepGrid } from './step-windows.ts';

/** Steps of a grid that lie in one interval [number × length, (number + 1) × length). */
export interface StepExtent {
  readonly interval: bigint;
  /** Place of the first in the grid. */
  readonly first: number;
  readonly count: number;
}

/** The grid cut where intervals end, whatever times it starts and ends at. @param intervalNs above 0 @param grid with a step above 0 */
export const extentsOf = ({ startNs, stepNs, count }: StepGrid, intervalNs: bigint): readonly StepExtent[] => {
  const extents: StepExtent[] = [];
  for (let first = 0; first < count; ) {
    const interval = (startNs + BigInt(first) * stepNs) / intervalNs;
    const sinceStart = (interval + 1n) * intervalNs - startNs;
    const end = Math.min(count, Number((sinceStart + stepNs - 1n) / stepNs));
    extents.push({ interval, first, count: end - first });
    first = end;
  }
  return extents;
};

/** Some steps of a grid as one. */
export const partOf = ({ startNs, stepNs }: StepGrid, first: number, count: number): StepGrid => ({
  startNs: startNs + BigInt(first) * stepNs,
  stepNs,
  count,
});
