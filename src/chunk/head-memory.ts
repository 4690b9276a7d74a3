/** Smaller buffers are not worth keeping: malloc is good at them. */
const KEPT_SIZE_MIN = 16 << 10;

/** Buffers of one size that wait for use. */
interface Shelf {
  readonly buffers: SharedArrayBuffer[];
  /** When one was last asked for: counts up. */
  askedAt: number;
}

/**
 * The memory of heads, used again when nobody can read it any more. V8 does not count SharedArrayBuffers when it decides to collect, so
 * garbage of them piles up, and fresh pages are the largest part of an append. A buffer that a query has seen is never used again:
 * it is left to the collector, and `onGarbage` hears of it. Over the bound, sizes that nobody asks for go first.
 */
export class HeadMemory {
  readonly #keptBytesMax: number;
  readonly #onGarbage: (bytes: number) => void;
  readonly #shelves = new Map<number, Shelf>();
  #keptBytes = 0;
  #asked = 0;

  constructor(keptBytesMax: number, onGarbage: (bytes: number) => void = () => undefined) {
    this.#keptBytesMax = keptBytesMax;
    this.#onGarbage = onGarbage;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** At least so many bytes, with anything in them. */
  take(size: number): SharedArrayBuffer {
    if (size < KEPT_SIZE_MIN) return new SharedArrayBuffer(size);
    const wanted = sizeClass(size);
    const shelf = this.#shelfOf(wanted);
    this.#asked += 1;
    shelf.askedAt = this.#asked;
    const kept = shelf.buffers.pop();
    if (!kept) return new SharedArrayBuffer(wanted);
    this.#keptBytes -= wanted;
    return kept;
  }

  /** Nobody reads this buffer any more. */
  give(memory: SharedArrayBuffer): void {
    const size = memory.byteLength;
    if (size < KEPT_SIZE_MIN) {
      this.drop(memory);
      return;
    }
    this.#shelfOf(size).buffers.push(memory);
    this.#keptBytes += size;
    while (this.#keptBytes > this.#keptBytesMax) this.#clearOne();
  }

  /** The writer is done with it, but a reader may still be at it. */
  drop(memory: SharedArrayBuffer): void {
    this.#onGarbage(memory.byteLength);
  }

  #shelfOf(size: number): Shelf {
    const known = this.#shelves.get(size);
    if (known) return known;
    const shelf = { buffers: [], askedAt: 0 };
    this.#shelves.set(size, shelf);
    return shelf;
  }

  #clearOne(): void {
    let stale: Shelf | undefined;
    for (const shelf of this.#shelves.values()) {
      if (shelf.buffers.length > 0 && (!stale || shelf.askedAt < stale.askedAt)) stale = shelf;
    }
    const memory = stale?.buffers.pop();
    if (!memory) return;
    this.#keptBytes -= memory.byteLength;
    this.drop(memory);
  }
}

/** Four sizes to each power of two, so that buffers fit again and little room is wasted. */
const sizeClass = (size: number): number => {
  const quarter = 2 ** (Math.ceil(Math.log2(size)) - 3);
  return Math.ceil(size / quarter) * quarter;
};

/** For heads outside a node: nothing is used again. */
export const UNSHARED_HEAD_MEMORY = new HeadMemory(0);
