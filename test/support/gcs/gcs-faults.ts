export type GcsOperation = 'upload' | 'download' | 'metadata' | 'list' | 'delete' | 'permissions' | 'bucket';

/** What goes wrong with a request; the first that fits a request is used, once for each of its `times`. */
export interface GcsFault {
  /** 1 unless it is said. */
  readonly times?: number;
  /** Any, unless it is said. */
  readonly operation?: GcsOperation;
  /** Answered so, without an effect. */
  readonly status?: number;
  /** In the body of such an answer, in place of what the service says with that status. */
  readonly reason?: string;
  /** The connection ends: before the request has an effect, or after it, without an answer. */
  readonly drop?: 'before' | 'after';
  /** Waits so long before anything else. */
  readonly delayMs?: number;
  /** Never answers. */
  readonly hangs?: boolean;
  /** Of a download: one byte is wrong; the same, and the header tells no hash, as of an emulator; half is sent and the connection ends; half is sent and then no more; a byte now and then; all of it, whatever range was asked for. */
  readonly body?: 'damaged' | 'damaged-untold' | 'cut' | 'stalled' | 'trickled' | 'whole';
}

export class GcsFaults {
  #faults: { readonly fault: GcsFault; left: number }[] = [];

  add(fault: GcsFault): void {
    this.#faults.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** Takes the fault of this request. */
  take(operation: GcsOperation): GcsFault {
    const found = this.#faults.find(({ fault }) => (fault.operation ?? operation) === operation);
    if (!found) return {};
    found.left -= 1;
    this.#faults = this.#faults.filter(({ left }) => left > 0);
    return found.fault;
  }
}
