import type { Clock } from '../protocol/clock.ts';
import { refusalOf } from '../protocol/discards.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import type { Limits, TenantLimits } from '../protocol/limits.ts';
import { lineBytesOf } from '../protocol/push-validation.ts';
import type { IngestionRateLimiter } from '../protocol/rate-limiter.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { blockRefusalOf } from '../protocol/stream-refusal.ts';
import type { AppendBudget } from './append-budget.ts';
import type { AppendRouter, ForwardedStream, StreamAppend } from './append-router.ts';
import { appendsOf, type StreamEntries } from './appends.ts';
import { gather, settled } from './ask.ts';
import { Slices, TurnQuota } from './cooperative.ts';
import { KnownStream } from './known-stream.ts';
import { KnownStreams } from './known-streams.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { DecodedPush, PushOutcome } from './node-services.ts';
import { checkPush } from './push-check.ts';
import { discardedBy, joinRefusals } from './push-refusals.ts';
import type { StreamLimits } from './stream-admission.ts';
import type { StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import type { AppendOutcome, StreamMessage } from './stream-state.ts';
import type { TenantStreams } from './tenant-streams.ts';

export interface DistributorDeps {
  readonly clock: Clock;
  readonly directory: StreamDirectory;
  readonly limits: TenantLimits;
  readonly rateLimiter: IngestionRateLimiter;
  readonly budget: AppendBudget;
  readonly guard: MemoryGuard;
  /** Where streams of other nodes go; undefined on a node alone. */
  readonly router: AppendRouter | undefined;
  /** Why the log would not take entries now. What is offered all the same is kept in memory, refused, and offered again. */
  readonly logRefusal: () => Refusal | undefined;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  /** Is the structured metadata of what is pushed now kept in the store? Older schemas have no place for it. */
  readonly keepsMetadata: (nowMs: number) => boolean;
  readonly labelCacheBytes: number;
  /** `max_chunk_age` */
  readonly chunkAgeMs: number;
}

/** Work on one push before others have a turn: one push may open thousands of streams. */
const SLICE_MS = 3;
/** Appends handled in one turn, over all pushes: about 10 µs each (measured at 400 bytes a stream), or 30 for a new stream. */
const APPENDS_PER_TURN_MAX = 192;
/** Streams answer in microseconds; one that has not by then has lost its message. */
const ANSWER_TIMEOUT_MS = 30_000;
const RETRY_AFTER_MS = 1000;
const NS_PER_MS = 1_000_000n;
const NO_LABELS: readonly string[] = [];
const STOPPING = 'Application is stopping';
const FULL = 'too much is waiting to be stored, try again later';

/**
 * The way in: labels are resolved, entries checked, the tenant's rate asked, then each stream gets its entries in one message, or in a few if they are very many. What is
 * refused as a whole is refused before anything is stored.
 */
export class Distributor {
  readonly #deps: DistributorDeps;
  readonly #known: KnownStreams;
  readonly #streamLimits = new WeakMap<Limits, StreamLimits>();
  readonly #appends = new TurnQuota(APPENDS_PER_TURN_MAX);
  #inFlight = 0;
  #isStopped = false;
  #drained: (() => void) | undefined;

  constructor(deps: DistributorDeps) {
    this.#deps = deps;
    this.#known = new KnownStreams(deps.labelCacheBytes);
  }

  /** Never throws for what is refused: the outcome says it. */
  async push(tenant: string, push: DecodedPush): Promise<PushOutcome> {
    this.#inFlight += 1;
    try {
      return await this.#admitted(tenant, push);
    } catch (error) {
      if (error instanceof RefusedError) return nothingStored(error.refusal);
      throw error;
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#drained?.();
    }
  }

  /** Takes no more pushes; resolves when those in flight are done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  async #admitted(tenant: string, push: DecodedPush): Promise<PushOutcome> {
    const { budget } = this.#deps;
    const [first] = push.streams;
    if (!first) {
      return nothingStored({ code: 'EMPTY_PUSH', text: 'error at least one valid stream is required for ingestion' });
    }
    const refusal = this.#refusal();
    if (refusal) return nothingStored(refusal);
    const bytes = push.bytes ?? first.columns.bytes.length;
    await budget.acquire(bytes);
    try {
      return await this.#store(tenant, push);
    } finally {
      budget.release(bytes);
    }
  }

  /** Why no push is taken now. In a cluster what this node's log refuses goes to another. */
  #refusal(): Refusal | undefined {
    const { guard, logRefusal, router } = this.#deps;
    if (this.#isStopped) return overloaded(STOPPING);
    if (guard.isFull) return overloaded(FULL);
    if (router) return router.refusal();
    const refusal = logRefusal();
    return refusal && overloaded(refusal.text);
  }

  /** Why nothing is taken for other nodes. Only who has too much to do says OVERLOADED: with anything else the sender goes to another node. */
  #refusalHere(): Refusal | undefined {
    const { guard, logRefusal, router } = this.#deps;
    if (this.#isStopped) return elsewhere(STOPPING);
    if (guard.isFull) return overloaded(FULL);
    const refusal = logRefusal() ?? router?.refusal();
    return refusal && elsewhere(refusal.text);
  }

  async #store(tenant: string, push: DecodedPush): Promise<PushOutcome> {
    const { limits: tenantLimits, rateLimiter, clock, router } = this.#deps;
    const limits = tenantLimits.limitsFor(tenant);
    const slices = new Slices(clock, SLICE_MS);
    const known = await this.#known.ofPush(tenant, push.streams, limits.discoverServiceName, slices);
    const nowMs = clock.nowMs();
    const withLevels = limits.discoverLogLevels && limits.allowStructuredMetadata && this.#deps.keepsMetadata(nowMs);
    const checked = await checkPush(push.streams, known, { tenant, limits, nowMs, withLevels }, slices);
    const overRate =
      checked.lines > 0
        ? rateLimiter.take(tenant, checked.lines, checked.bytes, limits, router?.memberCount)
        : undefined;
    if (overRate) return { ...nothingStored(overRate), discarded: checked.discards };
    const outcomes = await this.#route(tenant, checked.streams, limits);
    const stored = {
      acceptedLines: outcomes.reduce((lines, outcome) => lines + outcome.acceptedLines, 0),
      acceptedBytes: outcomes.reduce((bytes, outcome) => bytes + outcome.acceptedBytes, 0),
    };
    const refusals = outcomes.flatMap(({ refusal }) => refusal ?? []);
    const invalid = refusalOf(checked.discards) ?? blockRefusalOf(checked.discards, limits);
    const refusal = joinRefusals(refusals, invalid);
    const byStreams = refusals.map((one) => discardedBy(one, !limits.unorderedWrites));
    // A block that is kept quiet refuses nothing, and yet lines were dropped.
    const discarded = [...checked.discards, ...byStreams];
    return { ...stored, refusal, ...(discarded.length > 0 && { discarded }) };
  }

  /**
   * Entries that another node sent here, checked there: they are taken whatever this node believes of the ring. An outcome for each stream,
   * in their order.
   * @param deadlineMs for so long the sender waits; then it goes elsewhere
   * @throws RefusedError nothing was taken
   */
  async appendForwarded(
    tenant: string,
    streams: readonly ForwardedStream[],
    bytes: number,
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    this.#inFlight += 1;
    try {
      const refusal = this.#refusalHere();
      if (refusal) throw new RefusedError(refusal);
      await this.#deps.budget.acquire(bytes, deadlineMs);
      try {
        const known = streams.map(({ labelText, ranges }) => ({
          known: this.#known.of(tenant, labelText, NO_LABELS),
          ranges,
        }));
        return await this.#appendInOrder(tenant, known);
      } finally {
        this.#deps.budget.release(bytes);
      }
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#drained?.();
    }
  }

  /**
   * To actors of this node, whatever the ring says. An outcome for each, in their order; each stream is named once.
   * @throws RefusedError STORAGE_UNAVAILABLE if the log takes nothing
   */
  async appendHere(tenant: string, appends: readonly StreamAppend[]): Promise<readonly AppendOutcome[]> {
    const refusal = this.#deps.logRefusal();
    if (refusal) throw new RefusedError(elsewhere(refusal.text));
    const known = appends.map(({ canonical, ranges }) => ({ known: new KnownStream(canonical, NO_LABELS), ranges }));
    return await this.#appendInOrder(tenant, known);
  }

  async #appendInOrder(
    tenant: string,
    streams: readonly { readonly known: KnownStream; readonly ranges: readonly EntryRange[] }[],
  ): Promise<readonly AppendOutcome[]> {
    const entries = streams.flatMap(({ known, ranges }) => ranges.map((range) => ({ known, range })));
    const answers = await this.#append(tenant, entries, this.#deps.limits.limitsFor(tenant));
    const byStream = new Map<string, AppendOutcome>();
    for (const { known, outcome } of answers) {
      const { canonical } = known;
      const before = byStream.get(canonical);
      byStream.set(canonical, before ? joinOutcomes(before, outcome) : outcome);
    }
    return streams.map(({ known }) => byStream.get(known.canonical) as AppendOutcome);
  }

  async #route(tenant: string, streams: readonly StreamEntries[], limits: Limits): Promise<readonly AppendOutcome[]> {
    const { router } = this.#deps;
    if (!router) return outcomesOf(await this.#append(tenant, streams, limits));
    const { places } = router;
    const isLogging = this.#deps.logRefusal() === undefined;
    const here: StreamEntries[] = [];
    const away: StreamEntries[] = [];
    for (const stream of streams) {
      (isLogging && router.isHere(stream.known.keyOn(router, tenant)) ? here : away).push(stream);
    }
    const outcomes = await settled([
      this.#appendOwn(tenant, here, limits, router).finally(() => router.taken(places)),
      away.length > 0 ? this.#appendAway(tenant, away, router) : Promise.resolve([]),
    ]);
    const refusal = here.length > 0 ? router.refusal() : undefined;
    if (refusal) throw new RefusedError(refusal);
    return outcomes.flat();
  }

  /** To actors of this node; what its log did not take goes to whoever takes it. */
  async #appendOwn(
    tenant: string,
    streams: readonly StreamEntries[],
    limits: Limits,
    router: AppendRouter,
  ): Promise<readonly AppendOutcome[]> {
    const answers = await this.#append(tenant, streams, limits);
    const left = answers.filter(({ outcome }) => outcome.refusal?.code === 'NOT_LOGGED');
    if (left.length === 0) return outcomesOf(answers);
    const names = new Set(left.map(({ known }) => known.canonical));
    const isLeft = ({ known }: { readonly known: KnownStream }): boolean => names.has(known.canonical);
    const taken = answers.filter((answer) => !isLeft(answer));
    return [...outcomesOf(taken), ...(await this.#appendAway(tenant, streams.filter(isLeft), router))];
  }

  /** To whoever takes them, each stream named once. */
  #appendAway(
    tenant: string,
    streams: readonly StreamEntries[],
    router: AppendRouter,
  ): Promise<readonly AppendOutcome[]> {
    const appends = new Map<string, StreamAppend & { readonly ranges: EntryRange[] }>();
    for (const { known, range } of streams) {
      const { canonical } = known;
      const append = appends.get(canonical) ?? { canonical, key: known.keyOn(router, tenant), ranges: [] };
      append.ranges.push(range);
      appends.set(canonical, append);
      known.goneAway();
    }
    return router.append(tenant, [...appends.values()]);
  }

  /** One message per stream, however many times the push names it; several only if it has very many entries. */
  async #append(tenant: string, streams: readonly StreamEntries[], limits: Limits): Promise<readonly AppendAnswer[]> {
    const { clock, tell } = this.#deps;
    const appends = appendsOf(streams);
    const streamLimits = this.#limitsOf(limits);
    return await gather<AppendAnswer>(clock, ANSWER_TIMEOUT_MS, appends.length, async (answer) => {
      for (const { known, ranges, weight, part } of appends) {
        while (!this.#appends.take(weight)) await this.#appends.nextTurn();
        // Found and told in one go: an empty stream may give up its actor whenever others have a turn.
        const cell = this.#cellOf(tenant, known, limits);
        const reply = (outcome: AppendOutcome): void => answer({ known, outcome });
        if (cell) tell(cell, { type: 'append', ranges, limits: streamLimits, nowMs: clock.nowMs(), reply, part });
        else reply(overStreamLimit(tenant, known.canonical, ranges));
      }
    });
  }

  /** undefined if the tenant may not have one more. */
  #cellOf(tenantName: string, known: KnownStream, limits: Limits): StreamCell | undefined {
    if (known.cell) return known.cell;
    const tenant = this.#deps.directory.tenant(tenantName);
    known.cell = tenant.cells.get(known.canonical) ?? this.#open(tenant, known, limits);
    return known.cell;
  }

  #open(tenant: TenantStreams, { labels }: KnownStream, limits: Limits): StreamCell | undefined {
    const { maxGlobalStreamsPerUser, maxStreamsPerUser } = limits;
    // An equal part of what all nodes may have together: the ring deals streams about evenly.
    const part = Math.ceil(maxGlobalStreamsPerUser / (this.#deps.router?.memberCount ?? 1));
    for (const max of [part, maxStreamsPerUser]) {
      if (max > 0 && tenant.cells.size >= max) return undefined;
    }
    return this.#deps.directory.open(tenant, labels);
  }

  #limitsOf(limits: Limits): StreamLimits {
    const known = this.#streamLimits.get(limits);
    if (known) return known;
    const streamLimits = {
      rateBytes: limits.perStreamRateLimitBytes,
      rateBurstBytes: limits.perStreamRateLimitBurstBytes,
      windowNs: limits.unorderedWrites ? (BigInt(this.#deps.chunkAgeMs) * NS_PER_MS) / 2n : 0n,
      isOrdered: !limits.unorderedWrites,
    };
    this.#streamLimits.set(limits, streamLimits);
    return streamLimits;
  }
}

const overStreamLimit = (tenant: string, stream: string, ranges: readonly EntryRange[]): AppendOutcome => ({
  acceptedLines: 0,
  acceptedBytes: 0,
  refusal: {
    code: 'STREAM_LIMIT',
    text:
      `maximum active stream limit exceeded when trying to create stream ${stream}, reduce the number of active streams ` +
      '(reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, ' +
      `user: '${tenant}'`,
    lines: ranges.reduce((lines, { first, end }) => lines + end - first, 0),
    bytes: ranges.reduce((bytes, range) => bytes + lineBytesOf(range), 0),
  },
});

/** What a stream answered to one message. */
interface AppendAnswer {
  readonly known: KnownStream;
  readonly outcome: AppendOutcome;
}

const outcomesOf = (answers: readonly AppendAnswer[]): readonly AppendOutcome[] =>
  answers.map(({ outcome }) => outcome);

const joinOutcomes = (one: AppendOutcome, other: AppendOutcome): AppendOutcome => ({
  acceptedLines: one.acceptedLines + other.acceptedLines,
  acceptedBytes: one.acceptedBytes + other.acceptedBytes,
  refusal: one.refusal ?? other.refusal,
});

/** Another node may take it. */
const elsewhere = (text: string): Refusal => ({ code: 'STORAGE_UNAVAILABLE', text });

const overloaded = (text: string): Refusal => ({ code: 'OVERLOADED', text, retryAfterMs: RETRY_AFTER_MS });

const nothingStored = (refusal: Refusal): PushOutcome => ({ acceptedLines: 0, acceptedBytes: 0, refusal });
