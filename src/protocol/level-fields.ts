import { isWordAt } from './levels.ts';

interface Field {
  readonly bytes: Uint8Array;
  readonly lower: Uint8Array;
}

/** The names under which a level is looked for (`log_level_fields`), as text in labels and as bytes in lines. */
export class LevelFields {
  readonly #order: ReadonlyMap<string, number>;
  /** Length → fields; most keys of a line end here. */
  readonly #byLength: (readonly Field[] | undefined)[] = [];

  constructor(names: readonly string[]) {
    this.#order = new Map(names.map((name, index) => [name, index]));
    for (const name of names) {
      const bytes = Buffer.from(name);
      const field = { bytes, lower: Buffer.from(name.toLowerCase()) };
      this.#byLength[bytes.length] = [...(this.#byLength[bytes.length] ?? []), field];
    }
  }

  /** The value of the field that is named first in the list, among flat pairs; those without a value do not count. */
  valueIn(pairs: readonly string[]): string | undefined {
    let best = Number.POSITIVE_INFINITY;
    let value: string | undefined;
    for (let index = 0; index < pairs.length; index += 2) {
      const order = this.#order.get(pairs[index]!);
      if (order === undefined || order >= best || pairs[index + 1] === '') continue;
      best = order;
      value = pairs[index + 1];
    }
    return value;
  }

  /** Is bytes [start, end) one of them, letter for letter? */
  isField(bytes: Uint8Array, start: number, end: number): boolean {
    const fields = this.#byLength[end - start];
    if (fields === undefined) return false;
    for (const field of fields) if (areBytesAt(bytes, start, field.bytes)) return true;
    return false;
  }

  /** … in any case? */
  isFieldInAnyCase(bytes: Uint8Array, start: number, end: number): boolean {
    const fields = this.#byLength[end - start];
    if (fields === undefined) return false;
    for (const field of fields) if (isWordAt(bytes, start, field.lower)) return true;
    return false;
  }
}

const areBytesAt = (bytes: Uint8Array, at: number, wanted: Uint8Array): boolean => {
  for (let index = 0; index < wanted.length; index += 1) if (bytes[at + index] !== wanted[index]) return false;
  return true;
};
