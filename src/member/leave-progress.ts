export interface LeaveProgress {
  /** Since the leave began. */
  readonly elapsedMs: number;
  /** From then too: by then the process ends. */
  readonly deadlineMs: number;
  /** How long a segment that was given stays here all the same. */
  readonly lingerMs: number;
  /** Segments given away since the leave began. */
  readonly given: number;
  /** Segments that no other node has yet. */
  readonly left: number;
}

/** Of the deadline: for what goes slower than before, and for storing after all what it leaves over. */
const SPARE_SHARE = 1 / 8;

/**
 * Must a node that leaves store what it still has, so that nothing is left on its disk by the deadline? Not in the first half. Then only if
 * handing over, at the pace it had so far, would not leave time to linger: to store a segment costs more than to send it, and makes a small chunk.
 */
export const isStoringDue = ({ elapsedMs, deadlineMs, lingerMs, given, left }: LeaveProgress): boolean => {
  if (elapsedMs < deadlineMs / 2) return false;
  if (left === 0) return false;
  const latestMs = deadlineMs * (1 - SPARE_SHARE) - lingerMs;
  return given === 0 || elapsedMs + (left * elapsedMs) / given > latestMs;
};
