/** Guess until a block was cut: log text under gzip is rather smaller. */
const FIRST_GUESS = 1 / 6;

/** Chosen: some hundred blocks, so that it follows what is pushed. */
const REMEMBERED_BYTES = 64 << 20;

/** How much of their plain size a node's blocks take lately: what lies in the log is judged by it before it is read. */
export class CompressionGauge {
  #plainBytes = 0;
  #compressedBytes = 0;

  get ratio(): number {
    return this.#plainBytes === 0 ? FIRST_GUESS : this.#compressedBytes / this.#plainBytes;
  }

  add(plainBytes: number, compressedBytes: number): void {
    this.#plainBytes += plainBytes;
    this.#compressedBytes += compressedBytes;
    if (this.#plainBytes < REMEMBERED_BYTES) return;
    this.#plainBytes /= 2;
    this.#compressedBytes /= 2;
  }
}
