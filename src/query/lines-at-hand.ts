import type { LogResult } from './scan/scan-messages.ts';

/** Beside its line: time, end of the line, labels. */
const ENTRY_BYTES = 16;

/** Bytes of batches that the cursors of a query read and did not give out yet. */
export class LinesAtHand {
  /** Cursors that have entries in it. */
  readonly #holders = new Map<LogResult, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** A cursor has entries in it from now on. */
  hold(batch: LogResult): void {
    const holders = this.#holders.get(batch) ?? 0;
    if (holders === 0) this.#bytes += sizeOf(batch);
    this.#holders.set(batch, holders + 1);
  }

  /** One of them has given out its own. */
  release(batch: LogResult): void {
    const holders = this.#holders.get(batch) ?? 0;
    if (holders > 1) {
      this.#holders.set(batch, holders - 1);
      return;
    }
    if (this.#holders.delete(batch)) this.#bytes -= sizeOf(batch);
  }
}

const sizeOf = ({ bytes, times }: LogResult): number => bytes.byteLength + ENTRY_BYTES * times.length;
