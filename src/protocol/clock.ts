/** The only doors to time: product code takes a Clock, tests move a manual one. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  nowMs(): number;
  /** Monotonic milliseconds, for durations and deadlines. */
  monotonicMs(): number;
  /** Runs `callback` after `delayMs`; returns the cancel. */
  after(delayMs: number, callback: () => void): () => void;
}
