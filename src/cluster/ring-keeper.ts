import type { Clock } from '../protocol/clock.ts';
import { Ring, virtualNodesOf } from './ring.ts';
import { ringDigest } from './stream-key.ts';
import { tokensOf } from './tokens.ts';
import type { View } from './view.ts';

/** Of the event loop, at a time (chosen): a step more at most. */
const SLICE_MS = 4;

/**
 * The ring of the newest view, or for a moment of one before it: new tokens take some 20 ms a node to hash, which is done in slices of the event
 * loop. Whoever routes by a ring that is behind routes to a node that forwards or gives away.
 */
export class RingKeeper {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  #ring: Ring;
  #digest: number;
  #isBehind = false;
  #isFollowing = false;
  #steps: Generator<undefined, void, undefined> | undefined;
  #isSliceDue = false;
  #waiting: (() => void)[] = [];

  /** @param onLate called when a ring came after `follow` had returned */
  constructor(clock: Clock, view: Pick<View, 'members'>, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
    this.#ring = new Ring(view);
    this.#digest = ringDigest(this.#ring.members);
  }

  get ring(): Ring {
    return this.#ring;
  }

  get digest(): number {
    return this.#digest;
  }

  /** Resolves when the ring is that of the newest view. */
  upToDate(): Promise<void> {
    if (!this.#isBehind) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Where little is to be done the ring is there when it returns. */
  follow(view: Pick<View, 'members'>): void {
    this.#isBehind = true;
    // What an earlier view began is given up, but the tokens it has come to are kept.
    this.#steps = this.#work(view);
    this.#isFollowing = true;
    this.#slice();
    this.#isFollowing = false;
  }

  *#work(view: Pick<View, 'members'>): Generator<undefined, void, undefined> {
    this.#take(yield* this.#ring.next(view));
    // They will take their place in a moment.
    for (const member of view.members) {
      if (member.state === 'JOINING') yield* tokensOf(member.nodeId, virtualNodesOf(member));
    }
  }

  #take(ring: Ring): void {
    this.#isBehind = false;
    const isNew = ring !== this.#ring;
    this.#ring = ring;
    if (isNew) this.#digest = ringDigest(ring.members);
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (isNew && !this.#isFollowing) this.#onLate();
  }

  #slice(): void {
    const endMs = this.#clock.monotonicMs() + SLICE_MS;
    while (this.#steps) {
      if (this.#steps.next().done) this.#steps = undefined;
      else if (this.#clock.monotonicMs() >= endMs) {
        this.#sliceLater();
        return;
      }
    }
  }

  #sliceLater(): void {
    if (this.#isSliceDue) return;
    this.#isSliceDue = true;
    this.#clock.after(0, () => {
      this.#isSliceDue = false;
      this.#slice();
    });
  }
}
