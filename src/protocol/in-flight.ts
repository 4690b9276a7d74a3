const CAPACITY_MIN = 16;
const NO_KEY = -1;

/**
 * What is under way, by its number: a Map for whole numbers from 0 on that come and go all the time. A Map that empties gets a new table each time, and V8
 * makes the table of an old one in the old generation: there it lies until the whole heap is collected, and keeps what it held, calls with all that hangs on
 * them, alive as long. This was half of what the heap of a busy node grew by. Here what goes leaves nothing behind.
 *
 * Open addressing, linear probing; a gap is closed by moving those up that may come up (Knuth 6.4, algorithm R). It never shrinks: it is as large as what was
 * ever under way at once.
 */
export class InFlight<Value extends object> {
  #keys: number[] = new Array<number>(CAPACITY_MIN).fill(NO_KEY);
  #values: (Value | undefined)[] = new Array<Value | undefined>(CAPACITY_MIN).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): Value | undefined {
    return this.#values[this.#find(key)];
  }

  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  set(key: number, value: Value): void {
    let at = this.#find(key);
    if (this.#values[at] === undefined) {
      if (2 * (this.#size + 1) > this.#keys.length) {
        this.#grow();
        at = this.#find(key);
      }
      this.#size += 1;
    }
    this.#keys[at] = key;
    this.#values[at] = value;
  }

  delete(key: number): boolean {
    const mask = this.#keys.length - 1;
    let gap = this.#find(key);
    if (this.#values[gap] === undefined) return false;
    for (let at = (gap + 1) & mask; this.#values[at] !== undefined; at = (at + 1) & mask) {
      // It stays where it would be looked for in vain at the gap: where its own place lies behind that.
      if (((at - (this.#keys[at]! & mask)) & mask) < ((at - gap) & mask)) continue;
      this.#keys[gap] = this.#keys[at]!;
      this.#values[gap] = this.#values[at];
      gap = at;
    }
    this.#keys[gap] = NO_KEY;
    this.#values[gap] = undefined;
    this.#size -= 1;
    return true;
  }

  clear(): void {
    this.#keys.fill(NO_KEY);
    this.#values.fill(undefined);
    this.#size = 0;
  }

  /** As they are now, in any order. */
  values(): readonly Value[] {
    return this.#values.filter((value) => value !== undefined);
  }

  /** Where the key is, or would be. */
  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let at = key & mask;
    while (this.#values[at] !== undefined && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Array<number>(2 * keys.length).fill(NO_KEY);
    this.#values = new Array<Value | undefined>(2 * keys.length).fill(undefined);
    for (const [index, key] of keys.entries()) {
      if (values[index] === undefined) continue;
      const at = this.#find(key);
      this.#keys[at] = key;
      this.#values[at] = values[index];
    }
  }
}
