import { PerformanceObserver } from 'node:perf_hooks';
import { isFullCollection } from './collector-headroom.ts';

/** Garbage that is worth a full collection, which costs 30 ms of CPU. */
const BALLAST_BYTES = 64 << 20;

/**
 * Makes V8 collect shared memory in time. V8 counts ArrayBuffers when it decides to collect, but not SharedArrayBuffers: after
 * 450 MB of lines in 5,000 streams 938 MB of buffers were held where 256 MB were in use (390 MB with this). So for the shared bytes that are let go
 * of, as many plain bytes are held until the next full collection. They are counted, which starts that collection in V8's own,
 * incremental way; never touched, they take no memory.
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
