interface Waiting<Item> {
  readonly whose: string;
  readonly item: Item;
}

/** Who waits, in a line for each tenant. Lines are served in turn, one of each at a time; within a line first come first served. */
export class FairQueue<Item> {
  /** The line whose turn is next first. None is empty. */
  readonly #lines = new Map<string, Set<Item>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  sizeOf(whose: string): number {
    return this.#lines.get(whose)?.size ?? 0;
  }

  /** The item must not be in the queue already. */
  add(whose: string, item: Item): void {
    const line = this.#lines.get(whose) ?? new Set();
    this.#lines.set(whose, line.add(item));
    this.#size += 1;
  }

  /** False if it does not wait (any more). */
  remove(whose: string, item: Item): boolean {
    const line = this.#lines.get(whose);
    if (!line?.delete(item)) return false;
    if (line.size === 0) this.#lines.delete(whose);
    this.#size -= 1;
    return true;
  }

  /** What `take` would give. */
  peek(isReady?: (whose: string) => boolean): Item | undefined {
    return this.#next(isReady)?.item;
  }

  /** The next item; the others of its line wait until all other lines had their turn. @param isReady lines of which it is false are passed over */
  take(isReady?: (whose: string) => boolean): Item | undefined {
    const next = this.#next(isReady);
    if (!next) return undefined;
    this.remove(next.whose, next.item);
    const line = this.#lines.get(next.whose);
    this.#lines.delete(next.whose);
    if (line) this.#lines.set(next.whose, line);
    return next.item;
  }

  /**
   * Makes room for one more of `whose` in a queue that is full: takes out who came last to the longest line. undefined, and nothing changes, if no line
   * is longer than that one would become.
   */
  displace(whose: string): Item | undefined {
    let longest: { readonly whose: string; readonly line: Set<Item> } | undefined;
    for (const [other, line] of this.#lines) {
      if (line.size > (longest?.line.size ?? this.sizeOf(whose) + 1)) longest = { whose: other, line };
    }
    const last = longest && [...longest.line].at(-1);
    if (longest && last !== undefined) this.remove(longest.whose, last);
    return last;
  }

  #next(isReady: (whose: string) => boolean = () => true): Waiting<Item> | undefined {
    for (const [whose, line] of this.#lines) {
      if (!isReady(whose)) continue;
      for (const item of line) return { whose, item };
    }
    return undefined;
  }
}
