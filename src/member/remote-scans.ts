import { isLogged } from '../chunk/memory-format.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member } from '../cluster/view.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { ScanPlan } from '../query/scan/scan-messages.ts';
import { type PlacedResult, type ScanPlace, ScanPlaceError, type ScanWork } from '../query/scan-places.ts';
import type { PlannedSlice } from '../query/slice-plan.ts';
import { CallKind } from './call-kinds.ts';
import { isRemote } from './remote-segment.ts';
import { decodePlacedResult, encodeTask } from './scan-message.ts';

/** A task takes milliseconds there; a store that is slow takes longer. */
const SCAN_MS = 30_000;

/** Another member's workers. */
export class RemoteScans implements ScanPlace {
  readonly workers: number;
  readonly #peers: Peers;
  readonly #member: Member;

  constructor(peers: Peers, member: Member, workers: number) {
    this.#peers = peers;
    this.#member = member;
    this.workers = workers;
  }

  holds({ memory }: PlannedSlice): boolean {
    const { nodeId } = this.#member;
    return memory.some(({ segments }) => segments.some((one) => isRemote(one) && one.at.nodeId === nodeId));
  }

  async run(plans: readonly ScanPlan[], work: ScanWork, signal: AbortSignal): Promise<PlacedResult> {
    const { nodeId } = this.#member;
    const isElsewhere = work.slices.some(({ memory }) =>
      memory.some(({ segments }) =>
        segments.some((one) => isLogged(one) && !(isRemote(one) && one.at.nodeId === nodeId)),
      ),
    );
    if (isElsewhere) throw new ScanPlaceError(`not all of the task can be read at ${nodeId}`);
    try {
      const options = { deadlineMs: SCAN_MS, class: 'query' as const, signal };
      return decodePlacedResult(
        await this.#peers.request(this.#member, CallKind.SCAN, encodeTask(plans, work), options),
      );
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      // What the query itself is at fault for is the same everywhere.
      const { refusal } = error;
      if (refusal && refusal.code !== 'OVERLOADED' && refusal.code !== 'STORAGE_UNAVAILABLE') {
        throw new RefusedError(refusal, { cause: error });
      }
      throw new ScanPlaceError(`${nodeId} could not run a scan: ${error.message}`, { cause: error });
    }
  }
}
