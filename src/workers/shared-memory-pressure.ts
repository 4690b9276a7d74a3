import { constants, PerformanceObserver } from 'node:perf_hooks';

/** Garbage that is worth a full collection, which costs 30 ms of CPU. */
const BALLAST_BYTES = 64 << 20;

/**
 * Makes V8 collect what was lent to queries in time. V8 counts ArrayBuffers when it decides to collect, but not SharedArrayBuffers. So for
 * the shared bytes that wait for a collection to be used again, as many plain bytes are held until the next full one. They are counted, which
 * starts that collection in V8's own, incremental way; never touched, they take no memory. Each thread needs one: shared memory is freed when
 * the last thread that has seen it has collected what it saw.
 */
export class SharedMemoryPressure {
  readonly #observer: PerformanceObserver;
  #ballast: Buffer[] = [];
  #bytes = 0;

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      if (list.getEntries().some(isFullCollection)) this.#ballast = [];
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** So many shared bytes became garbage. */
  dropped(bytes: number): void {
    this.#bytes += bytes;
    for (; this.#bytes >= BALLAST_BYTES; this.#bytes -= BALLAST_BYTES) {
      this.#ballast.push(Buffer.allocUnsafeSlow(BALLAST_BYTES));
    }
  }

  close(): void {
    this.#observer.disconnect();
    this.#ballast = [];
  }
}

/** The entry's `detail` is missing in the types. */
const isFullCollection = (entry: object): boolean =>
  (entry as { readonly detail?: { readonly kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
