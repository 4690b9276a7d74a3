/** A piece of shared memory: `size` bytes from `offset` on. `offset` is a multiple of 8. */
export interface MemoryRegion {
  readonly buffer: SharedArrayBuffer;
  readonly offset: number;
  readonly size: number;
}

interface Slab {
  readonly buffer: SharedArrayBuffer;
  /** For each block of the least size: 0 = inside a block or taken, else 1 + the order of the free block that begins here. */
  readonly freeOrders: Uint8Array;
  /** Links of the free lists, by block; −1 = none. */
  readonly next: Int32Array;
  readonly previous: Int32Array;
  /** First free block of each order. */
  readonly first: Int32Array;
  takenBytes: number;
}

const ORDER_SIZE_MIN = 1 << 10;

/**
 * A buddy allocator over slabs of shared memory: blocks are powers of two, free halves join again. For memory that comes and goes by the
 * hundred megabytes a second in sizes of a few KiB to 1 MiB: malloc scatters it (measured: 250 MB of heap for 140 MB in use), V8 neither
 * counts it nor frees it in time, and fresh pages cost more than filling them. Regions keep their content; nobody zeroes them.
 */
export class SlabMemory {
  readonly #slabSize: number;
  readonly #spareSlabsMax: number;
  readonly #orderMax: number;
  readonly #slabs: Slab[] = [];
  readonly #slabOf = new Map<SharedArrayBuffer, Slab>();

  /** `slabSize`: a power of two. Slabs with nothing in them are kept up to `spareSlabsMax`, others left to the collector. */
  constructor(slabSize: number, spareSlabsMax: number) {
    this.#slabSize = slabSize;
    this.#spareSlabsMax = spareSlabsMax;
    this.#orderMax = Math.log2(slabSize / ORDER_SIZE_MIN);
  }

  /** Of all slabs, taken or not. */
  get slabBytes(): number {
    return this.#slabs.length * this.#slabSize;
  }

  get takenBytes(): number {
    return this.#slabs.reduce((sum, { takenBytes }) => sum + takenBytes, 0);
  }

  /** At least so many bytes; what is larger than a slab gets a buffer of its own. @throws RangeError when there is no memory */
  take(size: number): MemoryRegion {
    if (size > this.#slabSize) return { buffer: new SharedArrayBuffer(size), offset: 0, size };
    const order = Math.max(0, Math.ceil(Math.log2(size / ORDER_SIZE_MIN)));
    for (const slab of this.#slabs) {
      if (this.#slabSize - slab.takenBytes < ORDER_SIZE_MIN << order) continue;
      const block = this.#takeFrom(slab, order);
      if (block >= 0) return regionOf(slab, block, order);
    }
    const slab = this.#newSlab();
    return regionOf(slab, this.#takeFrom(slab, order), order);
  }

  /** Once for a region, when nobody reads it any more. */
  give({ buffer, offset, size }: MemoryRegion): void {
    const slab = this.#slabOf.get(buffer);
    if (!slab) return;
    slab.takenBytes -= size;
    this.#join(slab, offset / ORDER_SIZE_MIN, Math.log2(size / ORDER_SIZE_MIN));
    if (slab.takenBytes === 0) this.#dropSpare(slab);
  }

  #newSlab(): Slab {
    const blocks = 1 << this.#orderMax;
    const slab: Slab = {
      buffer: new SharedArrayBuffer(this.#slabSize),
      freeOrders: new Uint8Array(blocks),
      next: new Int32Array(blocks).fill(-1),
      previous: new Int32Array(blocks).fill(-1),
      first: new Int32Array(this.#orderMax + 1).fill(-1),
      takenBytes: 0,
    };
    link(slab, 0, this.#orderMax);
    this.#slabs.push(slab);
    this.#slabOf.set(slab.buffer, slab);
    return slab;
  }

  /** −1 if there is none. */
  #takeFrom(slab: Slab, order: number): number {
    let from = order;
    while (from <= this.#orderMax && slab.first[from]! < 0) from += 1;
    if (from > this.#orderMax) return -1;
    const block = slab.first[from]!;
    unlink(slab, block, from);
    // The upper halves stay free.
    while (from > order) {
      from -= 1;
      link(slab, block + (1 << from), from);
    }
    slab.takenBytes += ORDER_SIZE_MIN << order;
    return block;
  }

  #join(slab: Slab, freed: number, order: number): void {
    let block = freed;
    let joined = order;
    while (joined < this.#orderMax) {
      const buddy = block ^ (1 << joined);
      if (slab.freeOrders[buddy] !== joined + 1) break;
      unlink(slab, buddy, joined);
      block = Math.min(block, buddy);
      joined += 1;
    }
    link(slab, block, joined);
  }

  #dropSpare(slab: Slab): void {
    if (this.#slabs.filter(({ takenBytes }) => takenBytes === 0).length <= this.#spareSlabsMax) return;
    this.#slabs.splice(this.#slabs.indexOf(slab), 1);
    this.#slabOf.delete(slab.buffer);
  }
}

const regionOf = ({ buffer }: Slab, block: number, order: number): MemoryRegion => ({
  buffer,
  offset: block * ORDER_SIZE_MIN,
  size: ORDER_SIZE_MIN << order,
});

const link = (slab: Slab, block: number, order: number): void => {
  const next = slab.first[order]!;
  slab.freeOrders[block] = order + 1;
  slab.next[block] = next;
  slab.previous[block] = -1;
  if (next >= 0) slab.previous[next] = block;
  slab.first[order] = block;
};

const unlink = (slab: Slab, block: number, order: number): void => {
  const next = slab.next[block]!;
  const previous = slab.previous[block]!;
  slab.freeOrders[block] = 0;
  if (previous >= 0) slab.next[previous] = next;
  else slab.first[order] = next;
  if (next >= 0) slab.previous[next] = previous;
};
