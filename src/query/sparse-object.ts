import type { ObjectSpan } from '../chunk/chunk-outline.ts';
import type { ChunkReader, ObjectPart, ObjectRange } from '../storage/chunk-store.ts';

/** Chosen: a request costs more than so many bytes that nobody asked for. */
const GAP_SIZE_MAX = 32 << 10;

/** An object of which parts are read, in one buffer as large as the object: what is not read costs no memory until somebody touches it. */
export class SparseObject {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #read: (range: ObjectRange) => Promise<ObjectPart | undefined>;
  /** In order, apart from each other. */
  #spans: ObjectSpan[] = [];

  private constructor(size: number, read: (range: ObjectRange) => Promise<ObjectPart | undefined>) {
    this.bytes = new Uint8Array(size);
    this.#read = read;
  }

  /** With its first and its last bytes; undefined if it cannot be read in parts. @throws RefusedError STORAGE_UNAVAILABLE */
  static async open(
    chunks: ChunkReader,
    key: string,
    sizes: { readonly head: number; readonly tail: number },
  ): Promise<SparseObject | undefined> {
    const [tail, head] = await Promise.all([
      chunks.getRange(key, { start: -sizes.tail }),
      chunks.getRange(key, { start: 0, end: sizes.head }),
    ]);
    if (!tail || !head || tail.version !== head.version || tail.size !== head.size) return undefined;
    const object = new SparseObject(tail.size, (range) => chunks.getRange(key, range, tail.version));
    object.#add(tail);
    object.#add(head);
    return object;
  }

  get isWhole(): boolean {
    return this.isRead({ start: 0, end: this.bytes.length });
  }

  isRead({ start, end }: ObjectSpan): boolean {
    return this.#spans.some((span) => span.start <= start && span.end >= end);
  }

  /** Reads what is missing of the spans; false if the object is another one by now. @throws RefusedError STORAGE_UNAVAILABLE */
  async read(spans: readonly ObjectSpan[]): Promise<boolean> {
    const missing = joined(spans.filter((span) => !this.isRead(span)));
    const parts = await Promise.all(missing.map(this.#read));
    for (const [index, part] of parts.entries()) {
      const span = missing[index];
      const isAsked = part && span && part.start === span.start && part.bytes.length === span.end - span.start;
      if (!isAsked || part.size !== this.bytes.length) return false;
      this.#add(part);
    }
    return true;
  }

  #add({ bytes, start }: ObjectPart): void {
    this.bytes.set(bytes, start);
    this.#spans = joined([...this.#spans, { start, end: start + bytes.length }], 0);
  }
}

/** In order; those that touch, or have little between them, as one. */
const joined = (spans: readonly ObjectSpan[], gapMax = GAP_SIZE_MAX): ObjectSpan[] => {
  const result: ObjectSpan[] = [];
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && span.start <= last.end + gapMax) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, span.end) };
    } else result.push(span);
  }
  return result;
};
