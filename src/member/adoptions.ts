import { type SegmentId, segmentName } from '../chunk/memory-format.ts';
import { processOf, type Target } from '../cluster/handover/by-process.ts';
import type { Ring } from '../cluster/ring.ts';
import { streamKey } from '../cluster/stream-key.ts';
import type { View } from '../cluster/view.ts';
import type { SegmentPart } from '../log/adoption.ts';
import type { Log } from '../log/log.ts';
import { decodeSegmentPart } from '../log/segment-part.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import { canonicalText } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { decodeAdoptRequest, encodeAdoptReply, type OfferedPart, type PartAnswer } from './adopt-message.ts';
import { ownCopy } from './append-message.ts';
import type { Holding, Holdings } from './holdings.ts';

export interface AdoptionsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly holdings: Holdings;
  readonly nodeId: string;
  readonly view: () => View;
  readonly ring: () => Ring;
  /** Why nothing is taken from others now. */
  readonly refusal: () => string | undefined;
  /** The highest custody epoch that the giving side of this node has heard of. */
  readonly epochOf: (name: string) => number;
  /** What this node gave or is giving is its own again, at this epoch. */
  readonly returned: (name: string, epoch: number) => void;
  /** Something came that may belong elsewhere. */
  readonly look: () => void;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** An adoption of which nothing came for so long is given up. */
const ADOPTION_MS = 60_000;

/** The taking side of a hand-over: answers each offered part from what the log has. */
export class Adoptions {
  readonly #deps: AdoptionsDeps;
  /** Those of one segment run one after another. */
  readonly #adopting = new Map<string, Promise<PartAnswer>>();
  /** Those that began and are not complete. */
  readonly #coming = new Map<string, Coming>();
  #taken = 0;

  constructor(deps: AdoptionsDeps) {
    this.#deps = deps;
  }

  /** Segments since the start. */
  get taken(): number {
    return this.#taken;
  }

  /** Something of another node is on its way to this disk, acknowledged or not. */
  get isBusy(): boolean {
    return this.#adopting.size > 0;
  }

  /** ADOPT. @param bodyRead called once nothing refers to the body any more */
  async adopt(body: Uint8Array, from: Target, bodyRead?: () => void): Promise<readonly Uint8Array[]> {
    const { view, refusal } = this.#deps;
    // At once, for all parts: each keeps views of its own.
    const { parts } = decodeAdoptRequest(ownCopy(body));
    bodyRead?.();
    const text = refusal();
    if (text !== undefined) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text });
    const answers = await Promise.all(parts.map((part) => this.#adoptIfIntact(part, processOf(from))));
    // What is durable here but not said to be is offered again.
    if (refusal() !== undefined) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'not any more' });
    return [encodeAdoptReply({ changedAt: view().changedAt, answers })];
  }

  async #adoptIfIntact(offered: OfferedPart, giver: string): Promise<PartAnswer> {
    let part: SegmentPart;
    try {
      part = decodeSegmentPart(offered.part);
    } catch (error) {
      this.#deps.report('a part of a segment of another node is damaged', error);
      return { type: 'refused' };
    }
    return await this.#adoptInTurn(offered, part, giver);
  }

  #adoptInTurn(offered: OfferedPart, part: SegmentPart, giver: string): Promise<PartAnswer> {
    const name = segmentName(part.id);
    const before = this.#adopting.get(name) ?? Promise.resolve();
    const work = before.catch(() => undefined).then(() => this.#adoptPart(name, offered, part, giver));
    this.#adopting.set(name, work);
    const end = (): void => {
      if (this.#adopting.get(name) === work) this.#adopting.delete(name);
    };
    work.then(end, end);
    return work;
  }

  async #adoptPart(
    name: string,
    { epoch: theirs, finalCount }: OfferedPart,
    part: SegmentPart,
    giver: string,
  ): Promise<PartAnswer> {
    const { log, holdings, report } = this.#deps;
    try {
      const known = log.find(part.id);
      // Neither here nor gone: it may come back once the log has let it go.
      if (known?.isReleasing) return { type: 'refused' };
      const own = known && holdings.find(known);
      if (own) return await this.#takeBack(name, own, theirs);
      // In a chunk already: nothing is left to take.
      if (known?.flushed?.isComplete) return { type: 'adopted', epoch: Math.max(theirs, known.highestEpoch) + 1 };
      this.#coming.set(name, { id: part.id, giver, sinceMs: this.#deps.clock.monotonicMs() });
      if (finalCount === 0) {
        await log.adopt(part);
        return { type: 'taken' };
      }
      const epoch = await log.adoptLast(part, finalCount, theirs);
      const segment = log.find(part.id);
      if (epoch === undefined || !segment) return { type: 'refused' };
      holdings.adopted(segment);
      this.#coming.delete(name);
      this.#lookFor(segment);
      this.#taken += 1;
      return { type: 'adopted', epoch };
    } catch (error) {
      if (!(error instanceof RefusedError) || error.refusal.code === 'INTERNAL') {
        report('a segment of another node could not be taken', error);
      }
      return { type: 'refused' };
    }
  }

  /** It is here already, as its custodian or lingering: custody is decided by the higher epoch. */
  async #takeBack(name: string, own: Holding, theirs: number): Promise<PartAnswer> {
    const epoch = Math.max(own.epoch, theirs, own.segment.highestEpoch, this.#deps.epochOf(name)) + 1;
    // First: it must not be let go while CUSTODY is on its way. If the log refuses that, both nodes have it, and the next offer decides.
    this.#deps.returned(name, epoch);
    await this.#deps.log.takeCustody(own.segment, epoch, own.finalCount);
    this.#lookFor(own.segment);
    return { type: 'adopted', epoch };
  }

  /** An offer may have been long on its way: what was taken can belong to somebody else by now. */
  #lookFor({ header }: LogSegment): void {
    if (header === undefined) return;
    const owner = this.#deps.ring().owner(streamKey(header.tenant, canonicalText(header.labels)));
    if (owner?.nodeId !== this.#deps.nodeId) this.#deps.look();
  }

  /** What will not be complete any more gives its space back. An offer that comes all the same begins anew. */
  giveUpLost(): void {
    const { clock, log, view } = this.#deps;
    if (this.#coming.size === 0) return;
    const nowMs = clock.monotonicMs();
    const members = new Set(view().members.map(processOf));
    for (const [name, { id, giver, sinceMs }] of this.#coming) {
      if (this.#adopting.has(name) || (members.has(giver) && nowMs - sinceMs < ADOPTION_MS)) continue;
      this.#coming.delete(name);
      const segment = log.find(id);
      if (segment?.isAdopting) log.giveUpAdoption(segment);
    }
  }
}

interface Coming {
  readonly id: SegmentId;
  /** The process that sends it. */
  readonly giver: string;
  /** The last part came. Monotonic. */
  readonly sinceMs: number;
}
