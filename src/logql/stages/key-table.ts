/** Keys of lines by their raw bytes, so that a key seen before costs a hash that was summed up while scanning, and one comparison. */

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

/** Hash of a key, byte by byte from 0: `hashStep(hash, byte)`. */
export const hashStep = (hash: number, byte: number): number => (Math.imul(hash, 31) + byte) | 0;

export const hashOf = (bytes: Uint8Array, start: number, end: number): number => {
  let hash = 0;
  for (let position = start; position < end; position++) hash = hashStep(hash, bytes[position]!);
  return hash;
};

export class KeyTable<T> {
  #slots: (KeyEntry<T> | undefined)[] = new Array(START_SLOTS).fill(undefined);
  #size = 0;

  find(bytes: Uint8Array, start: number, end: number, hash: number): T | undefined {
    const length = end - start;
    let entry = this.#slots[(hash ^ (hash >>> 7)) & (this.#slots.length - 1)];
    while (entry !== undefined) {
      if (entry.hash === hash && entry.raw.length === length && equalBytes(entry.raw, bytes, start)) return entry.value;
      entry = entry.next;
    }
    return undefined;
  }

  /** Remembers a key that find() did not know. Past a few thousand keys the table starts again. */
  add(bytes: Uint8Array, start: number, end: number, hash: number, value: T): void {
    if (this.#size >= KEYS_PER_TABLE_MAX) {
      this.#slots = new Array(START_SLOTS).fill(undefined);
      this.#size = 0;
    } else if (this.#size >= this.#slots.length) {
      this.#widen();
    }
    if (this.#chainLength(hash) >= CHAIN_MAX) return;
    this.#insert(hash, Uint8Array.prototype.slice.call(bytes, start, end), value);
    this.#size++;
  }

  #chainLength(hash: number): number {
    let length = 0;
    let entry = this.#slots[(hash ^ (hash >>> 7)) & (this.#slots.length - 1)];
    for (; entry !== undefined; entry = entry.next) length++;
    return length;
  }

  #insert(hash: number, raw: Uint8Array, value: T): void {
    const slot = (hash ^ (hash >>> 7)) & (this.#slots.length - 1);
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
