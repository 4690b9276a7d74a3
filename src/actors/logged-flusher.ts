import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { ChunkJobs } from './chunk-jobs.ts';
import { type ChunkSizes, groupsOf, type PartGroup, plainTarget, sharersOf } from './chunk-share.ts';
import { forEachInSlices } from './cooperative.ts';
import type { Flusher } from './flusher.ts';
import type { LoggedPart, LoggedSegments, LoggedStream } from './logged-segments.ts';
import type { StreamCell } from './stream-cell.ts';
import type { FlushRules } from './stream-state.ts';

export interface LoggedFlusherDeps {
  readonly logged: LoggedSegments;
  readonly jobs: ChunkJobs;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly rules: () => FlushRules;
  readonly sizes: ChunkSizes;
  /** Compressed bytes of a plain one, as the node's blocks turned out lately. */
  readonly compressionGuess: () => number;
  /** undefined if the stream has no actor. */
  readonly cellOf: (stream: LoggedStream) => StreamCell | undefined;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** On their way to the store at a time. */
const CONCURRENCY = 4;
/** A slice of work on the event loop: a node that has just adopted tens of thousands looks at all of them in each sweep. */
const SLICE_MS = 4;

/** Groups of a stream's parts that should be flushed now. */
type DueGroups = (stream: LoggedStream) => readonly PartGroup[];

/**
 * Brings what lies in the log into the store where no actor takes it into a chunk of its own: by the rules that hold for what is in
 * memory, once it is full, idle or old, or when somebody asks.
 *
 *   in the log ──due──► claimed, committed already? ──no──► read, cut, chunk object, commit ──► FLUSHED
 *                                       └──yes───────────────────────────────────────────────────▲
 */
export class LoggedFlusher {
  readonly #deps: LoggedFlusherDeps;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(deps: LoggedFlusherDeps) {
    this.#deps = deps;
  }

  /** Stores what is full, idle or old by now. */
  async sweep(): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    await this.#flush((stream) => this.#due(stream, nowMs));
  }

  /** Stores all of it; what fails is reported and stays. */
  async flushAll(): Promise<void> {
    // A sweep may begin while this one waits; it takes only what is due.
    while (this.#running !== undefined) await this.#running;
    await this.#flush((stream) => this.#groups(waitingParts(stream)));
  }

  /** Stores what makes full chunks of the stream. */
  async flushFull(stream: LoggedStream): Promise<void> {
    for (const group of this.#fullGroups(stream)) await this.#tryGroup(stream, group);
  }

  /** Begins no more. What is under way may end or not: it is in the log all the same. */
  stop(): void {
    this.#isStopped = true;
  }

  /** One run at a time: a sweep that finds one under way leaves the rest to it or to the next. */
  async #flush(dueGroups: DueGroups): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#flushDue(dueGroups).finally(() => {
        this.#running = undefined;
      });
    }
    await this.#running;
  }

  async #flushDue(dueGroups: DueGroups): Promise<void> {
    const { logged, clock } = this.#deps;
    const due: LoggedStream[] = [];
    await forEachInSlices(clock, SLICE_MS, logged.all(), (stream) => {
      if (dueGroups(stream).length > 0) due.push(stream);
    });
    await forEachConcurrent(due, CONCURRENCY, async (stream) => {
      // Looked at again: an actor may have taken some meanwhile.
      for (const group of dueGroups(stream)) await this.#tryGroup(stream, group);
    });
  }

  #due(stream: LoggedStream, nowMs: number): readonly PartGroup[] {
    const { cellOf } = this.#deps;
    const rules = this.#deps.rules();
    const full = this.#fullGroups(stream);
    if (full.length > 0) return full;
    const cell = cellOf(stream);
    const parts = leftBy(cell, stream);
    if (parts.length === 0) return [];
    // Nobody else will have it.
    if (parts.some(({ segment }) => segment.isUnreadable)) return this.#groups(parts);
    const lastMs = parts.reduce((last, { sinceMs }) => Math.max(last, sinceMs), cell?.lastAppendMs ?? 0);
    const openedMs = parts.reduce((first, part) => Math.min(first, part.openedMs), nowMs);
    const isDue = nowMs - lastMs > rules.idleMs || nowMs - openedMs > Number(rules.ageNs / NS_PER_MS);
    return isDue ? this.#groups(parts) : [];
  }

  #fullGroups(stream: LoggedStream): readonly PartGroup[] {
    return this.#groups(waitingParts(stream)).filter(({ isFull }) => isFull);
  }

  #groups(parts: readonly LoggedPart[]): readonly PartGroup[] {
    const { sizes, compressionGuess } = this.#deps;
    return parts.length === 0 ? [] : groupsOf(parts, plainTarget(sizes, compressionGuess()));
  }

  async #tryGroup(stream: LoggedStream, { parts }: PartGroup): Promise<void> {
    if (this.#isStopped) return;
    const claimed = parts.filter((part) => part.claim('flushing'));
    if (claimed.length === 0) return;
    try {
      await this.#flushGroup(stream, claimed);
    } catch (error) {
      for (const part of claimed) {
        part.failures += 1;
        part.release();
      }
      if (this.#isStopped) return;
      const about = { tenant: stream.tenant, stream: stream.labels.canonical };
      this.#deps.report('a segment that lies in the log could not be stored', error, about);
    }
  }

  async #flushGroup(stream: LoggedStream, parts: readonly LoggedPart[]): Promise<void> {
    const { jobs, flusher } = this.#deps;
    const job = await jobs.ofParts(stream, parts);
    await new Promise<void>((ended) => flusher.flush({ ...job, reason: 'recovered', ended }));
  }
}

const NS_PER_MS = 1_000_000n;

const waitingParts = ({ parts }: LoggedStream): readonly LoggedPart[] =>
  parts.filter(({ state }) => state === 'waiting');

/** Those that the stream's actor will not take into the chunk that it is filling. */
const leftBy = (cell: StreamCell | undefined, stream: LoggedStream): readonly LoggedPart[] => {
  const open = cell?.open;
  const taken = open && !open.segment.isEmpty ? sharersOf(stream, open) : [];
  return waitingParts(stream).filter((part) => !taken.includes(part));
};
