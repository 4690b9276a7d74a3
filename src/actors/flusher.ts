import { dispatch, type Ref, spawn } from 'nact';
import type { BlockEncoding } from '../chunk/block-encoding.ts';
import type { EncodedChunk } from '../chunk/chunk-object.ts';
import { type SegmentId, segmentName } from '../chunk/memory-format.ts';
import type { Segment } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { within } from '../protocol/within.ts';
import { chunkKey, streamName } from '../storage/chunk-key.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { IndexedChunk } from '../storage/index-row.ts';
import type { IndexStore } from '../storage/index-store.ts';
import { commitChunk, WrittenSeries } from '../storage/index-writer.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { ChunkTask } from '../workers/cut-worker.ts';
import { type FlusherEffect, type FlusherMessage, newFlusherState, stepFlusher } from './flusher-state.ts';
import type { FlushReason } from './stream-cell.ts';

export interface FlusherDeps {
  readonly system: Ref<never>;
  readonly clock: Clock;
  /** In [0, 1): spreads retries. */
  readonly chance: () => number;
  /** Encodes a chunk object in a worker thread. */
  readonly encode: (task: ChunkTask) => Promise<EncodedChunk>;
  readonly chunks: ChunkStore;
  readonly index: IndexStore;
  readonly schema: SchemaConfig;
  readonly encoding: BlockEncoding;
  readonly level: number;
  readonly blockSize: number;
  readonly concurrencyMax: number;
  readonly backOff: { readonly firstMs: number; readonly lastMs: number };
  /** A store that has not answered for this long has failed. */
  readonly timeoutMs: number;
  /** The segment is in a committed chunk: its part of the log is free. */
  readonly ended: (log: LogSegment, id: SegmentId) => void;
  /** `about` says which of many it was: the same problem of many streams is one. */
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** A segment that a chunk is made of. */
export interface JobSegment {
  readonly id: SegmentId;
  /** What the log knows it by, if it does: it is committed by its name then, and the log told. */
  readonly log: LogSegment | undefined;
  /** An earlier process or another node may have committed it: better asked before it is read. */
  readonly mayBeCommitted: boolean;
  /** Its entries can be read from the store. */
  readonly stored: () => void;
}

export interface LoadedSegments extends Pick<Segment, 'blocks' | 'symbols'> {
  /** Where blocks begin that may repeat entries of those before; 0 = nowhere. */
  readonly joint: number;
  /** Whose entries these are: the others could not be read, and are left to somebody else. */
  readonly segments: readonly JobSegment[];
}

/** Sealed segments of a stream that make one chunk. */
export interface ChunkJob {
  /** Jobs of one stream run one after another, in the order they came. */
  readonly stream: object;
  readonly tenant: string;
  readonly labels: LabelSet;
  /** Oldest first. The flusher takes away those that turn out to be in a chunk already. */
  segments: readonly JobSegment[];
  /** Everything of them in blocks; asked for at each attempt. */
  readonly load: (segments: readonly JobSegment[]) => Promise<LoadedSegments>;
  readonly version: 3 | 4;
  readonly reason: FlushReason;
  /** All of them are stored, or left to somebody else. */
  readonly ended?: () => void;
}

/** A chunk whose object is durable. `size` in bytes. */
interface PlacedChunk {
  readonly chunk: IndexedChunk;
  readonly size: number;
}

export interface FlusherFigures {
  readonly flushed: Readonly<Record<FlushReason, number>>;
  readonly flushedBytes: number;
  readonly failures: number;
  readonly pending: number;
}

/**
 * The actor that brings sealed segments to the store: object first, then the index rows (a row without its object would fail every query
 * that meets it), then the stream is told to drop its copy. A crash between the steps leaves at most an object nobody points to. What
 * fails is tried again, for ever: nothing is dropped. All steps give the same bytes under the same key when repeated.
 */
export class Flusher {
  readonly #deps: FlusherDeps;
  readonly #ref: Ref<FlusherMessage<ChunkJob>>;
  readonly #written: WrittenSeries;
  readonly #placed = new Map<ChunkJob, PlacedChunk>();
  readonly #flushed: Record<FlushReason, number> = {
    full: 0,
    idle: 0,
    old: 0,
    asked: 0,
    memory: 0,
    unlogged: 0,
    recovered: 0,
    moved: 0,
  };
  #flushedBytes = 0;
  #failures = 0;
  #pending = 0;

  constructor(deps: FlusherDeps) {
    this.#deps = deps;
    this.#written = new WrittenSeries(() => deps.clock.nowMs());
    const state = newFlusherState<ChunkJob>(deps.concurrencyMax, deps.backOff);
    this.#ref = spawn(
      deps.system,
      (current: typeof state, message: FlusherMessage<ChunkJob>) => {
        for (const effect of stepFlusher(current, message)) this.#perform(effect);
        return current;
      },
      'flusher',
      {
        initialState: state,
        onCrash: (_message, error, context) => {
          deps.report('the flusher failed', error);
          return context.resume;
        },
      },
    );
  }

  get figures(): FlusherFigures {
    return {
      flushed: { ...this.#flushed },
      flushedBytes: this.#flushedBytes,
      failures: this.#failures,
      pending: this.#pending,
    };
  }

  flush(job: ChunkJob): void {
    this.#pending += 1;
    dispatch(this.#ref, { type: 'enqueue', job });
  }

  #perform(effect: FlusherEffect<ChunkJob>): void {
    switch (effect.type) {
      case 'start':
        void this.#place(effect.job);
        return;
      case 'write-rows':
        for (const job of effect.jobs) void this.#writeRows(job);
        return;
      case 'rows-later':
        this.#deps.clock.after(effect.delayMs, () => dispatch(this.#ref, { type: 'rows-due' }));
        return;
      case 'retry-later': {
        const { stream, delayMs } = effect;
        this.#deps.clock.after(delayMs, () => dispatch(this.#ref, { type: 'retry', stream }));
        return;
      }
    }
  }

  /** First step: the object. */
  async #place(job: ChunkJob): Promise<void> {
    try {
      const placed = await this.#put(job);
      if (placed) this.#placed.set(job, placed);
      else this.#finish(job, 0);
      if (placed) dispatch(this.#ref, { type: 'placed', job });
    } catch (error) {
      this.#fail(job, error);
    }
  }

  /** undefined if nothing is left of it: all is stored, or lost to damage. */
  async #put(job: ChunkJob): Promise<PlacedChunk | undefined> {
    const { schema, chunks, encode } = this.#deps;
    const { tenant, labels } = job;
    await this.#leaveCommitted(job);
    if (job.segments.length === 0) return undefined;
    const loaded = await job.load(job.segments);
    job.segments = loaded.segments;
    if (loaded.blocks.length === 0) return undefined;
    const { bytes, fromMs, throughMs, checksum } = await encode(this.#taskOf(job, loaded));
    const key = chunkKey(schema, { tenant, fingerprint: labels.fingerprint, fromMs, throughMs, checksum });
    await this.#inTime(chunks.put(key, bytes));
    return { chunk: { tenant, labels, fromMs, throughMs, key }, size: bytes.length };
  }

  async #leaveCommitted(job: ChunkJob): Promise<void> {
    const committed = new Set<JobSegment>();
    for (const segment of job.segments) {
      if (!segment.mayBeCommitted) continue;
      const named = { stream: streamName(job.tenant, job.labels.fingerprint), segment: segmentName(segment.id) };
      if ((await this.#inTime(this.#deps.index.committed(named))) !== undefined) committed.add(segment);
    }
    this.#leave(job, (segment) => committed.has(segment));
  }

  /** They are in a committed chunk. */
  #leave(job: ChunkJob, isStored: (segment: JobSegment) => boolean): void {
    const leaving = job.segments.filter(isStored);
    job.segments = job.segments.filter((segment) => !isStored(segment));
    for (const { stored, log, id } of leaving) {
      stored();
      if (log) this.#deps.ended(log, id);
    }
  }

  /** Second step: the segments are committed to this chunk, with its rows. */
  async #writeRows(job: ChunkJob): Promise<void> {
    let placed = this.#placed.get(job);
    this.#placed.delete(job);
    let size = 0;
    try {
      while (placed && !(await this.#commit(job, placed))) placed = await this.#put(job);
      size = placed?.size ?? 0;
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    this.#finish(job, size);
  }

  /** False if some of it was committed before: those leave, and the chunk is made again of the others. */
  async #commit(job: ChunkJob, { chunk }: PlacedChunk): Promise<boolean> {
    const { schema, index } = this.#deps;
    const names = job.segments.flatMap(({ id, log }) => (log ? [segmentName(id)] : []));
    const shared = new Set(job.segments.flatMap(({ id, log }) => (log?.wasShared ? [segmentName(id)] : [])));
    const committed = await this.#inTime(commitChunk(index, schema, names, chunk, this.#written, shared));
    if (committed.size === 0) return true;
    // The object stays: a key says what is in a chunk, so another commit may name the same, now or in a moment.
    this.#leave(job, ({ id }) => committed.has(segmentName(id)));
    return false;
  }

  #finish(job: ChunkJob, size: number): void {
    this.#flushedBytes += size;
    this.#pending -= 1;
    this.#flushed[job.reason] += 1;
    this.#leave(job, () => true);
    this.#settle(job, true);
    job.ended?.();
  }

  #fail(job: ChunkJob, error: unknown): void {
    this.#failures += 1;
    const { tenant, labels } = job;
    this.#deps.report('a chunk could not be stored; trying again', error, { tenant, stream: labels.canonical });
    this.#settle(job, false);
  }

  #settle(job: ChunkJob, ok: boolean): void {
    dispatch(this.#ref, { type: 'settled', job, ok, chance: this.#deps.chance() });
  }

  #taskOf({ tenant, labels, version }: ChunkJob, { blocks, symbols, joint }: LoadedSegments): ChunkTask {
    const { encoding, level, blockSize } = this.#deps;
    return {
      kind: 'chunk',
      tenant,
      fingerprint: labels.fingerprint,
      labels: labels.pairs,
      version,
      encoding,
      level,
      blockSize,
      blocks,
      joint,
      symbols: version === 4 ? symbols : [],
    };
  }

  /** A store call that never answers must not hold its place for ever. It may still succeed later; repeating it does no harm. */
  #inTime<Answer>(call: Promise<Answer>): Promise<Answer> {
    const { clock, timeoutMs } = this.#deps;
    return within(clock, timeoutMs, call, () => new Error(`the store did not answer within ${timeoutMs} ms`));
  }
}
