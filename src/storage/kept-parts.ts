import { type ObjectPart, type ObjectRange, rangeWithin } from './chunk-store.ts';

/** A part of an object that is kept; the whole of one if it begins at 0 and is as large as it. */
export interface KeptPart extends Omit<ObjectPart, 'version'> {
  /** undefined: it was read as a whole, and says what the key says. */
  readonly version: string | undefined;
}

interface Held {
  readonly key: string;
  readonly part: KeptPart;
}

/** Parts of objects, up to so many bytes: those used least lately go first. */
export class KeptParts {
  readonly #bytesMax: number;
  readonly #shareMax: number;
  readonly #ofKey = new Map<string, Set<Held>>();
  /** Those used least lately first. */
  readonly #inOrder = new Set<Held>();
  bytes = 0;

  /** @param shareMax of the bytes, for one part: a larger one is not kept */
  constructor(bytesMax: number, shareMax: number) {
    this.#bytesMax = bytesMax;
    this.#shareMax = shareMax;
  }

  /** One that holds the range and is of a version that will do. */
  find(key: string, range: ObjectRange, willDo: (version: string | undefined) => boolean): KeptPart | undefined {
    for (const held of this.#ofKey.get(key) ?? []) {
      const { part } = held;
      const within = rangeWithin(range, part.size);
      if (!within || !willDo(part.version) || within.start < part.start || within.end > part.start + part.bytes.length)
        continue;
      this.#inOrder.delete(held);
      this.#inOrder.add(held);
      return part;
    }
    return undefined;
  }

  /** The whole, which was checked, takes the place of all parts. */
  keep(key: string, part: KeptPart): void {
    if (part.bytes.length > this.#bytesMax * this.#shareMax) return;
    if (part.version === undefined) this.forget(key);
    const held = { key, part };
    const others = this.#ofKey.get(key);
    if (others) others.add(held);
    else this.#ofKey.set(key, new Set([held]));
    this.#inOrder.add(held);
    this.bytes += part.bytes.length;
    for (const oldest of this.#inOrder) {
      if (this.bytes <= this.#bytesMax) return;
      this.#drop(oldest);
    }
  }

  forget(key: string): void {
    for (const held of this.#ofKey.get(key) ?? []) this.#drop(held);
  }

  clear(): void {
    this.#ofKey.clear();
    this.#inOrder.clear();
    this.bytes = 0;
  }

  #drop(held: Held): void {
    const others = this.#ofKey.get(held.key);
    others?.delete(held);
    if (others?.size === 0) this.#ofKey.delete(held.key);
    this.#inOrder.delete(held);
    this.bytes -= held.part.bytes.length;
  }
}
