/** Which files go, and which are rewritten. Pure. */
import type { IndexedFile, Place } from './segment-table.ts';

export interface TidyRules {
  /** A younger file is left to die by itself. */
  readonly compactAgeMs: number;
  /** In [0, 1]: one with a larger share of live bytes is left as it is. */
  readonly compactLiveShareMax: number;
  /** Files that could not be read may have records of any segment: ends are kept for them. */
  readonly keepsEnds: boolean;
}

/** Its end of a segment is still needed: without it a restart would take the records in another file for unflushed ones. */
export const isEndNeeded = ({ file, segment, hasEnd }: Place, { keepsEnds }: TidyRules): boolean =>
  hasEnd && segment.isDead && (keepsEnds || segment.places.some((other) => other.file !== file && other.hasData));

/**
 * Nothing in it is needed, or all of it is elsewhere.
 * @param previous the file before it, if that is still there: while it has no footer, only this one says how much of it counts
 */
export const isRemovable = (file: IndexedFile, previous: IndexedFile | undefined, rules: TidyRules): boolean => {
  if (file.pins > 0 || (previous && previous.footerAt === undefined)) return false;
  return file.isCopied || (file.liveSegments === 0 && !file.places.some((place) => isEndNeeded(place, rules)));
};

/** Mostly dead for long. */
export const isCompactable = (file: IndexedFile, nowMs: number, rules: TidyRules): boolean =>
  !file.isCopied &&
  !file.isUnreadable &&
  nowMs - file.createdMs >= rules.compactAgeMs &&
  file.liveBytes < rules.compactLiveShareMax * file.size;
