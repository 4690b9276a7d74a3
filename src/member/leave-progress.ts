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

/** Of the time there is: what is given away evenly disturbs the pushes least, and may yet turn out to take longer. */
const GIVING_SHARE = 3 / 4;

/** Later than this nothing would linger long enough. */
const latestMs = ({ deadlineMs, lingerMs }: Pick<LeaveProgress, 'deadlineMs' | 'lingerMs'>): number =>
  deadlineMs * (1 - SPARE_SHARE) - lingerMs;

/** Of the deadline: where no time to linger is left anyway. */
const GIVING_SHARE_MIN = 1 / 4;

/** By when a node that leaves should have given everything away. */
export const givenWithinMs = (times: Pick<LeaveProgress, 'deadlineMs' | 'lingerMs'>): number =>
  Math.max(GIVING_SHARE * latestMs(times), GIVING_SHARE_MIN * times.deadlineMs);

export interface GivingProgress {
  readonly elapsedMs: number;
  /** `givenWithinMs`. */
  readonly withinMs: number;
  /** Segments. */
  readonly given: number;
  /** Sealed and not given yet. */
  readonly left: number;
  /** More are still being sealed. */
  readonly isSealing: boolean;
}

/** Of the time: what is to be sealed is in no figure yet, and should be by then. */
const SEALING_SHARE = 1 / 4;

/** Is a node that leaves behind the even pace at which everything would be given away in time? */
export const isBehind = ({ elapsedMs, withinMs, given, left, isSealing }: GivingProgress): boolean => {
  const spent = elapsedMs / withinMs;
  return isSealing ? spent > SEALING_SHARE : given / Math.max(1, given + left) < spent;
};

/**
 * Must a node that leaves store what it still has, so that nothing is left on its disk by the deadline? Not in the first half. Then only if
 * handing over, at the pace it had so far, would not leave time to linger: to store a segment costs more than to send it, and makes a small chunk.
 */
export const isStoringDue = ({ elapsedMs, deadlineMs, lingerMs, given, left }: LeaveProgress): boolean => {
  if (elapsedMs < deadlineMs / 2) return false;
  if (left === 0) return false;
  return given === 0 || elapsedMs + (left * elapsedMs) / given > latestMs({ deadlineMs, lingerMs });
};
