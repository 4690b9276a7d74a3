/** What soak-node.ts tells of itself. Bytes, and counts since its start. */
export interface NodeReport {
  /** By the reason of the flush. */
  readonly flushed: Readonly<Record<string, number>>;
  readonly flushesPending: number;
  readonly flushFailures: number;
  readonly unflushedBytes: number;
  readonly headBytes: number;
  readonly appendBytesInFlight: number;
  readonly recoveredSegments: number;
  readonly removedFiles: number;
  readonly compactedFiles: number;
  readonly logBytes: number;
  readonly memory: NodeJS.MemoryUsage;
}
