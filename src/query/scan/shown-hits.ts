import type { BlockColumns } from './block-columns.ts';
import type { HiddenOfStream } from './hidden-entries.ts';
import type { LineHits } from './literal-hits.ts';

/** Hits of a block without those that are hidden. */
export class ShownHits implements LineHits {
  readonly isEvery = false;
  readonly #hits: LineHits;
  readonly #columns: BlockColumns;
  readonly #hidden: HiddenOfStream;
  /** The last answer: each entry is asked about once. */
  #line = -1;

  constructor(hits: LineHits, columns: BlockColumns, hidden: HiddenOfStream) {
    this.#hits = hits;
    this.#columns = columns;
    this.#hidden = hidden;
  }

  next(from: number): number {
    if (this.#line >= from) return this.#line;
    let line = this.#hits.next(from);
    while (line < this.#columns.count && this.#hidden.isHidden(this.#columns, line)) line = this.#hits.next(line + 1);
    this.#line = line;
    return line;
  }
}
