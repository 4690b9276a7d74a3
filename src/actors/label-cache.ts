/** A cache of two generations: what is used survives, what is not is forgotten a generation at a time; no list to keep in order. */
export class LabelCache<Entry> {
  readonly #generationBytesMax: number;
  #young: Map<string, Map<string, Entry>> = new Map();
  #old: Map<string, Map<string, Entry>> = new Map();
  #youngBytes = 0;

  /** `bytesMax` over both generations, by an estimate of what an entry takes. */
  constructor(bytesMax: number) {
    this.#generationBytesMax = bytesMax / 2;
  }

  /** `text`: the label bytes as they were pushed, as a latin1 string: one character a byte, no decoding. */
  get(tenant: string, text: string): Entry | undefined {
    const young = this.#young.get(tenant)?.get(text);
    if (young !== undefined) return young;
    const old = this.#old.get(tenant)?.get(text);
    if (old !== undefined) this.set(tenant, text, old);
    return old;
  }

  set(tenant: string, text: string, entry: Entry): void {
    const bytes = ENTRY_BYTES + BYTES_PER_CHARACTER * text.length;
    if (this.#youngBytes + bytes > this.#generationBytesMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#youngBytes += bytes;
    const entries = this.#young.get(tenant);
    if (entries) entries.set(text, entry);
    else this.#young.set(tenant, new Map([[text, entry]]));
  }
}

/** Map slot, entry, and what two strings have beside their text (heap snapshots). */
const ENTRY_BYTES = 180;
/** The key and the canonical text. */
const BYTES_PER_CHARACTER = 2;
