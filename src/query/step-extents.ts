import type { StepGrid } from './step-windows.ts';

const NS_PER_MS = 1_000_000n;

/** Steps of a grid that lie in one interval [number × length, (number + 1) × length). */
export interface StepExtent {
  readonly interval: bigint;
  /** Place of the first in the grid. */
  readonly first: number;
  readonly count: number;
}

/** Chosen: a query of the longest range by hours has fewer; looked at in some ms. */
const EXTENTS_MAX = 1_000;

/** The asked length of intervals, or as many times that, a power of two, that a grid has not too many of them. @param intervalMs above 0 */
export const intervalOf = ({ stepNs, count }: StepGrid, intervalMs: number): bigint => {
  const spanNs = stepNs * BigInt(count);
  let intervalNs = BigInt(Math.ceil(intervalMs)) * NS_PER_MS;
  while (spanNs / intervalNs >= EXTENTS_MAX) intervalNs *= 2n;
  return intervalNs;
};

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

/** Extents in a row, by their places: [start, end). */
export interface Piece {
  readonly start: number;
  end: number;
}

/** Chosen: pieces are scanned one after another, and each waits for the store. */
const PIECES_MAX = 4;

/** What to scan so that nothing is missing. Where it is in many pieces, those nearest to each other go together, with what is between them. */
export const missingPieces = (isMissing: readonly boolean[]): readonly Piece[] => {
  const pieces: Piece[] = [];
  for (const [at, isOne] of isMissing.entries()) {
    const last = pieces.at(-1);
    if (isOne && last?.end === at) last.end += 1;
    else if (isOne) pieces.push({ start: at, end: at + 1 });
  }
  const widthBefore = (index: number): number => pieces[index]!.start - pieces[index - 1]!.end;
  const [, ...later] = pieces.keys();
  const apart = new Set(later.sort((a, b) => widthBefore(b) - widthBefore(a)).slice(0, PIECES_MAX - 1));
  const joined: Piece[] = [];
  for (const [index, { start, end }] of pieces.entries()) {
    const last = joined.at(-1);
    if (last && !apart.has(index)) last.end = end;
    else joined.push({ start, end });
  }
  return joined;
};
