import { COLLECTED, type CollectionWatch } from '../protocol/collected.ts';
import type { HeadSnapshot } from './memory-format.ts';
import { type MemoryRegion, SlabMemory } from './slab-memory.ts';

/** Below this a buffer of its own is cheaper than the least block: a stream that gets one short line holds little more than it. */
const SLAB_REGION_MIN = 512;
/** Chosen: the head of a block of the largest usual size fits four times. */
const SLAB_SIZE = 4 << 20;
const SPARE_SLABS_MAX = 4;

/** How often the region is lent, and whether its head is done with it. */
interface Lending {
  readonly region: MemoryRegion;
  count: number;
  isGivenBack: boolean;
}

/** Holds the memory weakly: its node has the snapshot too, and a node that is gone is to be collected with all its snapshots. */
const returnTo =
  (memory: WeakRef<HeadMemory>, lending: Lending): (() => void) =>
  () =>
    memory.deref()?.returned(lending);

/** What a head needs of it. */
export type HeadMemorySource = Pick<HeadMemory, 'take' | 'lend' | 'give'>;

/**
 * The memory of heads, used again when nobody can read it any more. A query's snapshot of a head lies in this memory: what was lent is used
 * again when all its snapshots are collected, here and (they are held here while a worker scans) in the workers. V8 does not count shared
 * memory, so `onGarbage` hears of what waits for that.
 */
export class HeadMemory {
  readonly #slabs = new SlabMemory(SLAB_SIZE, SPARE_SLABS_MAX);
  readonly #onGarbage: (bytes: number) => void;
  readonly #watch: CollectionWatch;
  readonly #lendings = new Map<MemoryRegion, Lending>();
  readonly #self = new WeakRef(this);

  constructor(onGarbage: (bytes: number) => void = () => undefined, watch: CollectionWatch = COLLECTED) {
    this.#onGarbage = onGarbage;
    this.#watch = watch;
  }

  get takenBytes(): number {
    return this.#slabs.takenBytes;
  }

  /** At least so many bytes, with anything in them. @throws RangeError when there is no memory */
  take(size: number): MemoryRegion {
    if (size < SLAB_REGION_MIN) return { buffer: new SharedArrayBuffer(size), offset: 0, size };
    return this.#slabs.take(size);
  }

  /** A reader has this snapshot of the region from now on: the object itself, not a copy. */
  lend(region: MemoryRegion, snapshot: HeadSnapshot): void {
    const lending = this.#lendings.get(region) ?? { region, count: 0, isGivenBack: false };
    this.#lendings.set(region, lending);
    lending.count += 1;
    this.#watch.register(snapshot, returnTo(this.#self, lending));
  }

  /** One snapshot of it is collected. */
  returned(lending: Lending): void {
    lending.count -= 1;
    this.#end(lending);
  }

  /** The writer is done with it. */
  give(region: MemoryRegion): void {
    const lending = this.#lendings.get(region);
    if (!lending) {
      this.#slabs.give(region);
      return;
    }
    lending.isGivenBack = true;
    this.#onGarbage(region.size);
    this.#end(lending);
  }

  #end({ region, count, isGivenBack }: Lending): void {
    if (count > 0) return;
    this.#lendings.delete(region);
    if (isGivenBack) this.#slabs.give(region);
  }
}

/** For heads outside a node. */
export const UNSHARED_HEAD_MEMORY: HeadMemorySource = {
  take: (size) => ({ buffer: new SharedArrayBuffer(size), offset: 0, size }),
  lend: () => undefined,
  give: () => undefined,
};
