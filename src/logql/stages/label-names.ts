/** Names of labels as small numbers, so that the state of an entry's labels is a few arrays. */

const EXTRACTED = '_extracted';

export class NameTable {
  readonly names: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly #extractedIds: number[] = [];

  get size(): number {
    return this.names.length;
  }

  id(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.names.length;
    this.names.push(name);
    this.#extractedIds.push(-1);
    this.#ids.set(name, id);
    return id;
  }

  /** Id of `<name>_extracted`: where a parsed label goes when its name is taken by the stream. */
  extractedId(id: number): number {
    const known = this.#extractedIds[id]!;
    if (known >= 0) return known;
    const extracted = this.id(this.names[id]! + EXTRACTED);
    this.#extractedIds[id] = extracted;
    return extracted;
  }

  /** Forgets all names but the first `count`. */
  truncate(count: number): void {
    for (const name of this.names.splice(count)) this.#ids.delete(name);
    this.#extractedIds.length = count;
    for (let id = 0; id < count; id++) if (this.#extractedIds[id]! >= count) this.#extractedIds[id] = -1;
  }
}

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const FOREIGN = /[^A-Za-z0-9_]/gu;

/**
 * A key of a line as a label name: blanks around it cut off, every rune that is no letter, digit or `_` becomes `_`, and a digit at the
 * start of a whole name gets `_` in front. "" if nothing is left.
 */
export const sanitizeLabelName = (key: string, isStartOfName: boolean): string => {
  if (PLAIN_NAME.test(key)) return key;
  const trimmed = key.trim();
  if (trimmed === '') return '';
  const name = trimmed.replace(FOREIGN, '_');
  return isStartOfName && name.charCodeAt(0) <= 0x39 && name.charCodeAt(0) >= 0x30 ? `_${name}` : name;
};
