/** Nanoseconds since the epoch, both ends included. */
export interface TimeRangeNs {
  readonly startNs: bigint;
  readonly endNs: bigint;
}
