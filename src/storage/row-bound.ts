import { RefusedError } from '../protocol/refusal.ts';
import type { IndexLookup } from './index-store.ts';

/** Lookups of one label whose rows may not be longer than a tenant may read (`cardinality_limit`), as Loki bounds each query of its index. */
export class RowBound {
  readonly #entriesMax: number;
  readonly #label: string;
  readonly #isDecisive: boolean;
  readonly #counts = new Map<IndexLookup, number>();
  #longest = 0;

  /**
   * @param entriesMax cells of one lookup; 0 = any number
   * @param label for the text; '' where the rows name series, not values
   * @param isDecisive nothing else narrows what is asked for: a row is not read to its end once it is too long
   */
  constructor(entriesMax: number, label: string, isDecisive: boolean) {
    this.#entriesMax = entriesMax;
    this.#label = label;
    this.#isDecisive = isDecisive;
  }

  get isExceeded(): boolean {
    return this.#entriesMax > 0 && this.#longest > this.#entriesMax;
  }

  /** So many more cells of the lookup were shown. @returns whether to leave the rest of it */
  count(lookup: IndexLookup, cells: number): boolean {
    if (this.#entriesMax === 0) return false;
    const count = (this.#counts.get(lookup) ?? 0) + cells;
    this.#counts.set(lookup, count);
    this.#longest = Math.max(this.#longest, count);
    return this.#isDecisive && this.isExceeded;
  }

  /** @throws RefusedError INVALID_QUERY if a row was too long */
  check(): void {
    if (!this.isExceeded) return;
    const text = `cardinality limit exceeded for logs{${this.#label}}; ${this.#longest} entries, more than limit of ${this.#entriesMax}`;
    throw new RefusedError({ code: 'INVALID_QUERY', text });
  }
}
