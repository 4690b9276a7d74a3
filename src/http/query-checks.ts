/** Limits that are decided from the query's text and range alone, before anything is read (the API's section 3.2). */
import type { Expr, LogExpr, LogRange } from '../logql/ast.ts';
import { formatGoDuration, formatPrometheusDuration } from '../logql/durations.ts';
import { parseLogExpr } from '../logql/parser.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { checkBlocked } from './blocked-queries.ts';
import type { EdgeLimits } from './edge-options.ts';
import type { TimeBounds } from './parameters.ts';

const NS_PER_MS = 1_000_000n;

const nsOf = (ms: number): bigint => BigInt(ms) * NS_PER_MS;

const refuse = (text: string): never => {
  throw new RefusedError({ code: 'INVALID_QUERY', text });
};

interface Selection {
  readonly logs: readonly LogExpr[];
  readonly ranges: readonly LogRange[];
}

/** The selectors and ranges a query reads. */
const selectionOf = (expr: Expr): Selection => {
  const logs: LogExpr[] = [];
  const ranges: LogRange[] = [];
  const waiting: Expr[] = [expr];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    switch (next.kind) {
      case 'log':
        logs.push(next);
        break;
      case 'rangeAggregation':
        ranges.push(next.range);
        logs.push(next.range.log);
        break;
      case 'vectorAggregation':
      case 'labelReplace':
        waiting.push(next.inner);
        break;
      case 'binary':
        waiting.push(next.left, next.right);
        break;
      case 'literal':
      case 'vector':
        break;
    }
  }
  return { logs, ranges };
};

const checkMatchers = ({ logs }: Selection, limits: EdgeLimits): void => {
  for (const { matchers } of logs) {
    if (limits.maxStreamsMatchersPerQuery > 0 && matchers.length > limits.maxStreamsMatchersPerQuery) {
      refuse(
        `max streams matchers per query exceeded, matchers-count > limit (${matchers.length} > ${limits.maxStreamsMatchersPerQuery})`,
      );
    }
  }
};

const checkRequiredLabels = ({ logs }: Selection, limits: EdgeLimits): void => {
  for (const { matchers } of logs) {
    const present = matchers.map(({ name }) => name);
    const missing = limits.requiredLabels.filter((name) => !present.includes(name));
    if (missing.length > 0) {
      refuse(
        `stream selector is missing required matchers [${missing.join(', ')}], labels present in the query were [${present.join(', ')}]`,
      );
    }
    if (present.length < limits.minimumLabelsNumber) {
      refuse(
        `stream selector has less label matchers than required: (present: [${present.join(', ')}], number_present: ${present.length}, required_number_label_matchers: ${limits.minimumLabelsNumber})`,
      );
    }
  }
};

/** A metric query reads range + offset more than it shows; the 1 ns is Loki's way to make its start inclusive. */
const lengthOf = ({ ranges }: Selection, { startNs, endNs, isAllThatIsRead }: CheckedQuery): bigint => {
  let length = endNs - startNs;
  if (isAllThatIsRead) return length;
  for (const { rangeNs, offsetNs } of ranges) {
    const read = endNs - startNs + rangeNs + offsetNs + 1n;
    if (read > length) length = read;
  }
  return length;
};

const checkQueryLength = (lengthNs: bigint, limits: EdgeLimits): void => {
  const limitNs = nsOf(limits.maxQueryLengthMs);
  if (limitNs <= 0n || lengthNs <= limitNs) return;
  const limit = formatPrometheusDuration(limitNs);
  refuse(`the query time range exceeds the limit (query length: ${formatGoDuration(lengthNs)}, limit: ${limit})`);
};

const checkRanges = ({ ranges }: Selection, limits: EdgeLimits): void => {
  const limit = nsOf(limits.maxQueryRangeMs);
  for (const { rangeNs } of ranges) {
    if (limit <= 0n || rangeNs <= limit) continue;
    refuse(
      `[interval] value exceeds limit: [${formatPrometheusDuration(rangeNs)}] > [${formatPrometheusDuration(limit)}]`,
    );
  }
};

export interface CheckedQuery extends TimeBounds {
  /** Entries; Infinity: as many as there are. */
  readonly limit: number;
  readonly isInstant: boolean;
  /** The bounds have the ranges and offsets of the query in them. */
  readonly isAllThatIsRead?: boolean;
}

/** @throws RefusedError INVALID_QUERY with Loki's text */
export const checkQueryLimits = (expr: Expr, query: CheckedQuery, limits: EdgeLimits): void => {
  const selection = selectionOf(expr);
  const entriesMax = limits.maxEntriesLimitPerQuery;
  if (expr.kind === 'log' && entriesMax > 0 && query.limit > entriesMax) {
    refuse(
      `max entries limit per query exceeded, limit > max_entries_limit_per_query (${Number.isFinite(query.limit) ? query.limit : 'none'} > ${entriesMax})`,
    );
  }
  if (!query.isInstant) {
    checkRequiredLabels(selection, limits);
    checkQueryLength(lengthOf(selection, query), limits);
  }
  checkMatchers(selection, limits);
  checkRanges(selection, limits);
};

/** max_query_lookback: the start moves up silently; undefined when nothing of the range is left. */
export const withinLookback = <Bounds extends TimeBounds>(
  bounds: Bounds,
  limits: EdgeLimits,
  nowNs: bigint,
): Bounds | undefined => {
  if (limits.maxQueryLookbackMs <= 0) return bounds;
  const oldestNs = nowNs - nsOf(limits.maxQueryLookbackMs);
  if (bounds.endNs < oldestNs) return undefined;
  return bounds.startNs < oldestNs ? { ...bounds, startNs: oldestNs } : bounds;
};

/**
 * What of a query's range may be read, whichever way the query came; undefined: nothing, for all of it is older than max_query_lookback.
 * @param text as it was sent, which `blocked_queries` are compared with
 * @throws RefusedError INVALID_QUERY with Loki's text
 */
export const readableQuery = <Query extends CheckedQuery>(
  text: string,
  expr: Expr,
  query: Query,
  limits: EdgeLimits,
  nowNs: bigint,
): Query | undefined => {
  const within = withinLookback(query, limits, nowNs);
  checkQueryLimits(expr, within ?? query, limits);
  checkBlocked(text, expr, limits.blockedQueries);
  return within;
};

export interface CheckedTail {
  readonly query: string;
  readonly startNs: bigint;
  /** Entries from before now. */
  readonly limit: number;
}

/** From where on a tail may show entries, by the limits of a log query from there until now. @throws RefusedError INVALID_QUERY with Loki's text */
export const readableTail = ({ query, startNs, limit }: CheckedTail, limits: EdgeLimits, nowNs: bigint): bigint => {
  const asked = { startNs, endNs: nowNs, limit, isInstant: false };
  return readableQuery(query, parseLogExpr(query), asked, limits, nowNs)?.startNs ?? nowNs;
};

/** As readableQuery, of a request that is about all there is in a range. @throws RefusedError INVALID_QUERY for a range that is too long */
export const readableRange = (bounds: TimeBounds, limits: EdgeLimits, nowNs: bigint): TimeBounds | undefined => {
  const range = withinLookback(bounds, limits, nowNs);
  if (range) checkQueryLength(range.endNs - range.startNs, limits);
  return range;
};
