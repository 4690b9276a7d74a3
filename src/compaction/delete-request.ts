/** A tenant's wish to have entries deleted, as Loki's delete API has it. */
import { parseLogExpr } from '../logql/parser.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { DeletedEntries } from '../query/scan/hidden-entries.ts';

/** Times in ms since 1970; both ends of the range are included. */
export interface DeleteRequest {
  readonly tenant: string;
  /** 8 hex digits. */
  readonly requestId: string;
  /** LogQL: a selector, which may be `{}`, and stages. */
  readonly query: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly createdMs: number;
}

/** What became of it. */
export interface TrackedRequest extends DeleteRequest {
  /** Tables that hold none of its entries any more. */
  readonly doneTables: ReadonlySet<string>;
  /** Everything that was stored of it is gone. */
  readonly isProcessed: boolean;
}

const NS_PER_MS = 1_000_000n;

/** @throws RefusedError INVALID_QUERY */
export const deletedEntriesOf = ({ query, startMs, endMs }: DeleteRequest): DeletedEntries => {
  const { matchers, stages } = parseLogExpr(query, { mayBeUnselective: true });
  return { matchers, stages, startNs: BigInt(startMs) * NS_PER_MS, endNs: BigInt(endMs) * NS_PER_MS };
};

/** True if it may be about entries of these times. */
export const touches = (request: DeleteRequest, { startNs, endNs }: TimeRangeNs): boolean =>
  BigInt(request.startMs) * NS_PER_MS <= endNs && BigInt(request.endMs) * NS_PER_MS >= startNs;
