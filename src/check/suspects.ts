import type { ChunkRef } from '../storage/index-reader.ts';

/** Chosen: about 50 MB. Further ones are told at once, and neither written into the index nor deleted by this run. */
const ORPHANS_MAX = 200_000;
/** Chosen: about 25 MB. */
const CORRUPT_MAX = 100_000;

/** What the walk over the objects leaves to be decided by the walk over the rows. */
export class Suspects {
  /** Objects without a row where it should be, by key: some other row or a commit may name them. */
  readonly #orphans = new Map<string, ChunkRef>();
  readonly #corrupt = new Set<string>();
  /** Of the orphans those that rows outside of the schema name, with the table of one. */
  readonly #outside = new Map<string, string>();
  readonly #orphansMax: number;
  #isOverfull = false;

  constructor(orphansMax = ORPHANS_MAX) {
    this.#orphansMax = orphansMax;
  }

  /** False if there are too many to remember. */
  addOrphan(ref: ChunkRef): boolean {
    if (this.#orphans.size >= this.#orphansMax) {
      this.#isOverfull = true;
      return false;
    }
    this.#orphans.set(ref.key, ref);
    return true;
  }

  /** A row or a commit names it. @returns it, if it was taken for an orphan */
  takeOrphan(key: string): ChunkRef | undefined {
    const orphan = this.#orphans.get(key);
    this.#orphans.delete(key);
    return orphan;
  }

  /** A row that the schema does not reach names it: nobody reads it by that, and it must not go. */
  noteOutside(key: string, table: string): void {
    if (this.#orphans.has(key)) this.#outside.set(key, table);
  }

  /** The table in which a row that the schema does not reach names the orphan. */
  outsideOf(key: string): string | undefined {
    return this.#outside.get(key);
  }

  /** There were more orphans than it remembers: nobody knows how many. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  get orphanCount(): number {
    return this.#orphans.size;
  }

  get orphans(): Iterable<ChunkRef> {
    return this.#orphans.values();
  }

  addCorrupt(key: string): void {
    if (this.#corrupt.size < CORRUPT_MAX) this.#corrupt.add(key);
  }

  isCorrupt(key: string): boolean {
    return this.#corrupt.has(key);
  }
}
