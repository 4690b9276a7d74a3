import type { CallClass } from './peers.ts';

export interface LinkOptions {
  /** Bytes of each class that the other side may have sent without our credit for more. */
  readonly windowBytes: Readonly<Record<CallClass, number>>;
  /** Answers of one stream that may wait for its reader. */
  readonly streamWindowBytes: number;
  /** Larger bodies travel in parts, so that urgent frames pass between them. */
  readonly partBytesMax: number;
  readonly messageBytesMax: number;
  /** A link on which nothing was heard for so long is broken. We ping four times in it. */
  readonly silenceMsMax: number;
  /** A link that nobody used for so long is closed. */
  readonly idleMsMax: number;
  readonly connectTimeoutMs: number;
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** We keep trying to reach a peer for so long after it was last asked for. */
  readonly wantedMs: number;
}

/** A timer cannot wait longer. */
export const DEADLINE_MS_MAX = 2 ** 31 - 1;

const MEGABYTE = 1 << 20;

/** Chosen; windows after the budgets in the design of the cluster (section 11). */
export const DEFAULT_LINK_OPTIONS: LinkOptions = {
  windowBytes: { control: MEGABYTE, append: 32 * MEGABYTE, query: 8 * MEGABYTE, transfer: 8 * MEGABYTE },
  streamWindowBytes: MEGABYTE,
  partBytesMax: MEGABYTE,
  messageBytesMax: 64 * MEGABYTE,
  silenceMsMax: 2000,
  idleMsMax: 5 * 60_000,
  connectTimeoutMs: 1000,
  backoffMsMin: 100,
  backoffMsMax: 2000,
  wantedMs: 60_000,
};
