import type { LogExpr } from '../logql/ast.ts';
import { validateStages } from '../logql/compile-pipeline.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { ChunkCache } from './chunk-cache.ts';
import { CursorHeap } from './cursor-heap.ts';
import { EmptyTimes } from './empty-times.ts';
import { fetchChunk } from './fetch-chunk.ts';
import { fingerprintOf, type Gathered } from './gather-streams.ts';
import { gatherTenants, type TenantSources } from './gather-tenants.ts';
import { LinesAtHand } from './lines-at-hand.ts';
import { BatchLines, LogAnswer } from './log-answer.ts';
import { LogReads } from './log-reads.ts';
import type { QueryContext } from './query-context.ts';
import type { QueryEvent } from './query-messages.ts';
import { ReadAhead } from './read-ahead.ts';
import { compileScan } from './scan/compiled-scan.ts';
import type { LogResult, ScanPlan } from './scan/scan-messages.ts';
import { nextScanId } from './scan-id.ts';
import { firstBoundOf, type SlicePlanOptions } from './slice-plan.ts';
import { sortInTurns } from './sort-in-turns.ts';
import { type CursorSource, StreamCursor } from './stream-cursor.ts';
import { SERIES_PER_LOOK, Turns } from './turns.ts';

/** Chunks kept between two reads of them. */
const CACHE_BYTES_MAX = 256 << 20;
/** One event holds at most about this much: what a reader that is slow makes us keep. An HTTP answer (5,000 entries) fits into one. */
const EVENT_ENTRIES_MAX = 10_000;
const EVENT_BYTES_MAX = 32 << 20;

/**
 * Entries of a log query as events, in global order of time and in bounded memory: each stream is read only as far as its entries are next
 * in line, so a limit stops it early.
 */
export async function* logEvents(context: QueryContext, expr: LogExpr): AsyncGenerator<QueryEvent> {
  const { startNs, endNs, limit } = context.request;
  if (startNs >= endNs || limit <= 0) return;
  validateStages(expr.stages);
  const range = { startNs, endNs: endNs - 1n };
  const empty = EmptyTimes.of(context, expr, range);
  const sources = await gatherTenants(context, expr.matchers, empty?.gathered ?? range, range);
  const turns = new Turns(context.deps.clock);
  const left = empty ? await empty.left(sources, turns) : range;
  if (!left) return;
  yield* entriesIn(context, expr, sources, left, turns);
  if (context.entriesReturned === 0) await empty?.keep(sources, turns);
}

async function* entriesIn(
  context: QueryContext,
  expr: LogExpr,
  sources: readonly TenantSources[],
  range: TimeRangeNs,
  turns: Turns,
): AsyncGenerator<QueryEvent> {
  const plans = sources.map((source) => planOf(context, expr, source, range));
  const [first] = plans;
  if (!first) return;
  // The stages and the range of all tenants are the same.
  const { pipeline, mayPass } = compileScan(first);
  const cache = new ChunkCache(CACHE_BYTES_MAX, (ref) => fetchChunk(context, ref, { range: first, mayPass }));
  const atHand = new LinesAtHand();
  const reads = plans.map((plan) => new LogReads(context, plan, cache, { atHand, mayPass }));
  const heap = await openCursors(context, reads, sources, turns);
  const answer = new LogAnswer();
  const selection = new Selection(context, pipeline.changesLine);
  const reading = new ReadAhead(context, heap, reads[0]!);
  for (let looked = 0; heap.top && !selection.isFull; looked += 1) {
    const { top } = heap;
    if (!top.isReady) {
      await reading.readOn(top);
      top.adopt();
    } else {
      selection.offer(top, answer);
      top.advance();
    }
    // Before anything is awaited: whoever reads ahead looks at it.
    heap.settleTop();
    if (looked % 64 === 0) await turns.breathe();
    if (answer.count >= EVENT_ENTRIES_MAX || answer.lineBytes >= EVENT_BYTES_MAX) {
      yield { type: 'entries', streams: answer.take() };
      context.check();
    }
  }
  // While the last of it is being taken. However else it ends, the context lets nothing more begin.
  reading.stop();
  if (answer.count > 0) yield { type: 'entries', streams: answer.take() };
}

const planOf = (
  { request: { direction, categorizeLabels } }: QueryContext,
  { stages }: LogExpr,
  { tenant, isNamed, matchers, hidden }: TenantSources,
  range: TimeRangeNs,
): ScanPlan => ({
  scanId: nextScanId(),
  tenant,
  namesTenant: isNamed,
  matchers,
  stages,
  hints: { extract: 'all', preserveError: false },
  ...range,
  scan: { kind: 'log', direction, categorizeLabels },
  hidden,
});

/** @param reads one for each of the sources */
const openCursors = async (
  context: QueryContext,
  reads: readonly LogReads[],
  sources: readonly TenantSources[],
  turns: Turns,
): Promise<CursorHeap> => {
  const isForward = context.request.direction === 'forward';
  const heap = new CursorHeap(isForward);
  let index = 0;
  for (const [tenant, own] of reads.entries()) {
    const { startNs, endNs } = own.plan;
    const options = { startNs, endNs, chunksPerSlice: 1, direction: context.request.direction };
    for (const source of await inFixedOrder(sources[tenant]!.gathered, options, turns)) {
      heap.push(new StreamCursor(own, source, index));
      index += 1;
      if (index % SERIES_PER_LOOK === 0) await turns.breathe();
    }
  }
  return heap;
};

/**
 * The streams that have anything in the range, by fingerprint, as values of metric queries are: entries of one time come in the order of their streams, which must
 * not change when a stream is flushed, or with the node that is asked. Sorted once: to compare fingerprints whenever times are equal takes longer.
 */
const inFixedOrder = async (
  gathered: Gathered,
  options: SlicePlanOptions,
  turns: Turns,
): Promise<readonly CursorSource[]> => {
  const found: FoundSource[] = [];
  let looked = 0;
  for (const stream of gathered.streams()) {
    const boundNs = firstBoundOf(stream, options);
    const fingerprint = fingerprintOf(stream);
    if (boundNs !== undefined) {
      found.push({ stream, options, boundNs, fingerprint, rounded: Number(fingerprint) });
    }
    looked += 1;
    if (looked % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return await sortInTurns(found, byFingerprint, turns);
};

interface FoundSource extends CursorSource {
  readonly fingerprint: bigint;
  /** The fingerprint as a double, which nearly always tells two apart, and faster. */
  readonly rounded: number;
}

const byFingerprint = (a: FoundSource, b: FoundSource): number =>
  a.rounded - b.rounded || (a.fingerprint < b.fingerprint ? -1 : 1);

/** Which of the entries in line are part of the answer: up to the limit, at the asked interval, equal ones of a stream once. */
class Selection {
  readonly #context: QueryContext;
  readonly #isForward: boolean;
  readonly #intervalNs: bigint;
  readonly #collapses: boolean;
  readonly #lines = new WeakMap<LogResult, BatchLines>();
  #lastKeptNs: bigint | undefined;
  #tieTimeNs = 0n;
  readonly #ties = new Set<string>();
  #kept = 0;

  constructor(context: QueryContext, collapses: boolean) {
    this.#context = context;
    this.#isForward = context.request.direction === 'forward';
    this.#intervalNs = context.request.intervalNs;
    this.#collapses = collapses;
  }

  get isFull(): boolean {
    return this.#kept >= this.#context.request.limit;
  }

  /** The entry the cursor stands at. */
  offer(cursor: StreamCursor, answer: LogAnswer): void {
    const batch = cursor.batch!;
    if (this.#isTooClose(cursor.timeNs)) return;
    const line = this.#linesOf(batch).at(cursor.place);
    if (this.#collapses && this.#isRepeated(cursor, line)) return;
    this.#lastKeptNs = cursor.timeNs;
    this.#kept += 1;
    this.#context.entriesReturned += 1;
    answer.add(batch, cursor.place, line);
  }

  #isTooClose(timeNs: bigint): boolean {
    if (this.#intervalNs <= 0n || this.#lastKeptNs === undefined) return false;
    const distance = this.#isForward ? timeNs - this.#lastKeptNs : this.#lastKeptNs - timeNs;
    return distance < this.#intervalNs;
  }

  /** Where stages rewrite lines, entries of one stream, time and new line are one entry. */
  #isRepeated(cursor: StreamCursor, line: string): boolean {
    if (cursor.timeNs !== this.#tieTimeNs) {
      this.#ties.clear();
      this.#tieTimeNs = cursor.timeNs;
    }
    const key = `${cursor.index}:${line}`;
    if (this.#ties.has(key)) return true;
    this.#ties.add(key);
    return false;
  }

  #linesOf(batch: LogResult): BatchLines {
    const known = this.#lines.get(batch);
    if (known) return known;
    const made = new BatchLines(batch);
    this.#lines.set(batch, made);
    return made;
  }
}
