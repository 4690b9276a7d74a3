/** A tenant's wish to have entries deleted, as Loki's delete API has it. */
import type { LogExpr } from '../logql/ast.ts';
import { validateStages } from '../logql/compile-pipeline.ts';
import { parseLogExpr } from '../logql/parser.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { DeletedEntries } from '../query/scan/hidden-entries.ts';
import { BoundedMap } from '../storage/bounded-map.ts';

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

/** Each query of a tenant reads its requests. */
const QUERIES_REMEMBERED = 10_000;
const remembered = new BoundedMap<string, LogExpr | 'unreadable'>(QUERIES_REMEMBERED);

const readQuery = (query: string): LogExpr | undefined => {
  let expr = remembered.get(query);
  if (expr === undefined) {
    try {
      expr = parseLogExpr(query, { mayBeUnselective: true });
      validateStages(expr.stages);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      expr = 'unreadable';
    }
    remembered.set(query, expr);
  }
  return expr === 'unreadable' ? undefined : expr;
};

/** undefined for one that this version cannot read: it is about nothing, and must not keep others from being answered or compacted. */
export const deletedEntriesOf = ({ query, startMs, endMs }: DeleteRequest): DeletedEntries | undefined => {
  const expr = readQuery(query);
  if (!expr) return undefined;
  const { matchers, stages } = expr;
  return { matchers, stages, startNs: BigInt(startMs) * NS_PER_MS, endNs: BigInt(endMs) * NS_PER_MS };
};

/** True if it may be about entries of these times. */
export const touches = (request: DeleteRequest, { startNs, endNs }: TimeRangeNs): boolean =>
  BigInt(request.startMs) * NS_PER_MS <= endNs && BigInt(request.endMs) * NS_PER_MS >= startNs;
