/** Keys of lines by their raw bytes, so that a key seen before costs a short hash and one comparison. */

export interface KeyEntry<T> {
  readonly hash: number;
  readonly raw: Uint8Array;
  readonly value: T;
  readonly next: KeyEntry<T> | undefined;
}

const START_SLOTS = 64;
const KEYS_PER_TABLE_MAX = 4096;
/** Keys made to collide are not remembered, so that finding one stays cheap. */
const CHAIN_MAX = 16;

const equalBytes = (raw: Uint8Array, bytes: Uint8Array, start: number): boolean => {
  for (let index = 0; index < raw.length; index++) if (raw[index] !== bytes[start + index]) return false;
  return true;
};

/**
 * Hash of a key from its length and five of its bytes: hashing every byte costs more than the rest of reading a key, and keys that differ
 * elsewhere only share a slot.
 */
export const hashOf = (bytes: Uint8Array, start: number, end: number): number => {
  const length = end - start;
  if (length === 0) return 0;
  const last = end - 1;
  const outer = bytes[start]! | (bytes[last]! << 8) | (bytes[start + (length >> 1)]! << 16);
  const inner = bytes[start + (length >> 2)]! | (bytes[last - ((length - 1) >> 2)]! << 8);
  return (Math.imul(outer, 0x9e3779b1) ^ Math.imul(inner + (length << 16), 0x85ebca6b)) | 0;
};

const slotOf = (hash: number, slots: number): number => (hash ^ (hash >>> 15)) & (slots - 1);

export class KeyTable<T> {
  #slots: (KeyEntry<T> | undefined)[] = new Array(START_SLOTS).fill(undefined);
  #size = 0;

  find(bytes: Uint8Array, start: number, end: number, hash: number): T | undefined {
    const length = end - start;
    let entry = this.#slots[slotOf(hash, this.#slots.length)];
    while (entry !== undefined) {
      if (entry.hash === hash && entry.raw.length === length && equalBytes(entry.raw, bytes, start)) return entry.value;
      entry = entry.next;
    }
    return undefined;
  }

  /** Remembers a key (it keeps `raw`) that find() did not know. Past a few thousand keys the table starts again. */
  add(raw: Uint8Array, hash: number, value: T): void {
    if (this.#size >= KEYS_PER_TABLE_MAX) {
      this.#slots = new Array(START_SLOTS).fill(undefined);
      this.#size = 0;
    } else if (this.#size >= this.#slots.length) {
      this.#widen();
    }
    if (this.#chainLength(hash) >= CHAIN_MAX) return;
    this.#insert(hash, raw, value);
    this.#size++;
  }

  #chainLength(hash: number): number {
    let length = 0;
    let entry = this.#slots[slotOf(hash, this.#slots.length)];
    for (; entry !== undefined; entry = entry.next) length++;
    return length;
  }

  #insert(hash: number, raw: Uint8Array, value: T): void {
    const slot = slotOf(hash, this.#slots.length);
    this.#slots[slot] = { hash, raw, value, next: this.#slots[slot] };
  }

  #widen(): void {
    const old = this.#slots;
    this.#slots = new Array(old.length * 4).fill(undefined);
    for (const first of old) {
      for (let entry = first; entry !== undefined; entry = entry.next) this.#insert(entry.hash, entry.raw, entry.value);
    }
  }
}
