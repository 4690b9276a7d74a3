import type { Membership } from '../cluster/membership/membership.ts';
import type { Clock } from '../protocol/clock.ts';
import type { Handover } from './handover.ts';
import { givenWithinMs, isStoringDue } from './leave-progress.ts';

export interface LeavingDeps {
  readonly clock: Clock;
  readonly membership: Membership;
  readonly handover: Handover;
  /** How long what was given still answers queries. */
  readonly lingerMs: number;
  /** Resolves once the ring is that of the newest view. */
  readonly ringUpToDate: () => Promise<void>;
  /** Nobody is on the ring. */
  readonly isAlone: () => boolean;
  /** Segments that the log has. */
  readonly segmentCount: () => number;
  /** Nothing is on the disk, or on its way there. */
  readonly isEmpty: () => boolean;
  /** Stores what is unflushed. */
  readonly flush: () => Promise<void>;
  readonly info: (fields: object, text: string) => void;
}

const POLL_MS = 50;
/** What signing off has when the hand-over took all the time. */
const REST_MS = 2_000;

/**
 * Gives up its place and hands everything over; what will not be in time is stored (isStoringDue). Leaves the cluster if nothing is left on its disk.
 * Takes no longer than it may, whatever hangs.
 * @returns whether nothing is left: the disk may be deleted then. If not, the cluster knows that the disk is missing
 * @throws MembershipError if the membership store does not answer in time
 */
export const leaveCluster = async (deps: LeavingDeps, deadlineMs: number): Promise<boolean> => {
  const { clock, info, segmentCount } = deps;
  const leaving = { startMs: clock.monotonicMs(), deadlineMs, isLate: false };
  let cancel = (): void => undefined;
  const late = new Promise<false>((resolve) => {
    cancel = clock.after(deadlineMs, () => {
      leaving.isLate = true;
      resolve(false);
    });
  });
  const hasLeft = await Promise.race([leave(deps, leaving), late]).finally(cancel);
  if (!hasLeft) info({ segments: segmentCount() }, 'not everything could be handed over: it stays on the disk');
  return hasLeft;
};

interface Leaving {
  /** Monotonic. */
  readonly startMs: number;
  readonly deadlineMs: number;
  /** The deadline has passed: nobody waits any more. */
  isLate: boolean;
}

const leave = async (deps: LeavingDeps, leaving: Leaving): Promise<boolean> => {
  const { clock, membership, handover, lingerMs, segmentCount, isEmpty } = deps;
  const { startMs, deadlineMs } = leaving;
  const givenBefore = handover.figures.givenSegments;
  const isLateToGive = (): boolean => {
    const { given: lingering, givenSegments } = handover.figures;
    return isStoringDue({
      elapsedMs: clock.monotonicMs() - startMs,
      deadlineMs,
      lingerMs,
      given: givenSegments - givenBefore,
      left: segmentCount() - lingering,
    });
  };
  handover.leaveWithin(givenWithinMs({ deadlineMs, lingerMs }));
  await membership.become('LEAVING', deadlineMs / 2);
  await deps.ringUpToDate();
  let isFlushing = false;
  while (!(handover.isSettled && isEmpty())) {
    if (leaving.isLate) return false;
    if (handover.isWalkDue) void handover.walk();
    // The last one has nobody to give anything to.
    if (!isFlushing && (deps.isAlone() || isLateToGive())) {
      isFlushing = true;
      handover
        .giveUp()
        .then(() => deps.flush())
        .catch(() => undefined)
        .finally(() => {
          isFlushing = false;
        });
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
  if (leaving.isLate) return false;
  handover.stop();
  // What came until the fence may lie in the log.
  const restMs = Math.max(REST_MS, startMs + deadlineMs - clock.monotonicMs());
  return await membership.leave(() => isEmpty(), restMs);
};
