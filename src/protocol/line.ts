const CAPACITY_MIN = 16;

/** Who waits, first come first served: a ring that grows and is used again, so that who leaves it leaves nothing behind (see InFlight). */
export class Line<Item extends object> {
  #items: (Item | undefined)[] = new Array<Item | undefined>(CAPACITY_MIN).fill(undefined);
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#items[(this.#first + this.#size) & (this.#items.length - 1)] = item;
    this.#size += 1;
  }

  /** Who came first. */
  peek(): Item | undefined {
    return this.#items[this.#first];
  }

  shift(): Item | undefined {
    const item = this.#items[this.#first];
    if (item === undefined) return undefined;
    this.#items[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#items.length - 1);
    this.#size -= 1;
    return item;
  }

  clear(): void {
    this.#items.fill(undefined);
    this.#size = 0;
  }

  #grow(): void {
    const { length } = this.#items;
    const larger = new Array<Item | undefined>(2 * length).fill(undefined);
    for (let index = 0; index < length; index += 1) larger[index] = this.#items[(this.#first + index) & (length - 1)];
    this.#items = larger;
    this.#first = 0;
  }
}
