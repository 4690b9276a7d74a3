import { dispatch, type Ref, spawn } from 'nact';
import type { BlockEncoding } from '../chunk/block-encoding.ts';
import type { EncodedChunk } from '../chunk/chunk-object.ts';
import { type SegmentId, segmentName } from '../chunk/memory-format.ts';
import type { Segment } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { chunkKey } from '../storage/chunk-key.ts';
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

/** A sealed segment. */
export interface SegmentJob {
  /** Jobs of one stream run one after another, in the order they came. */
  readonly stream: object;
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly id: SegmentId;
  /** Everything of it in blocks; asked for at each attempt. */
  readonly load: () => Promise<Pick<Segment, 'blocks' | 'symbols'>>;
  readonly version: 3 | 4;
  readonly reason: FlushReason;
  /** What the log knows it by, if it does: it is committed by its name then, and the log told. */
  readonly log: LogSegment | undefined;
  /** The chunk can be read from the store. */
  readonly stored: () => void;
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

const ORPHAN = 'a chunk that nobody points to could not be deleted';

/**
 * The actor that brings sealed segments to the store: object first, then the index rows (a row without its object would fail every query
 * that meets it), then the stream is told to drop its copy. A crash between the steps leaves at most an object nobody points to. What
 * fails is tried again, for ever: nothing is dropped. All steps give the same bytes under the same key when repeated.
 */
export class Flusher {
  readonly #deps: FlusherDeps;
  readonly #ref: Ref<FlusherMessage<SegmentJob>>;
  readonly #written = new WrittenSeries();
  readonly #placed = new Map<SegmentJob, PlacedChunk>();
  readonly #flushed: Record<FlushReason, number> = {
    full: 0,
    idle: 0,
    old: 0,
    asked: 0,
    memory: 0,
    unlogged: 0,
    recovered: 0,
  };
  #flushedBytes = 0;
  #failures = 0;
  #pending = 0;

  constructor(deps: FlusherDeps) {
    this.#deps = deps;
    const state = newFlusherState<SegmentJob>(deps.concurrencyMax, deps.backOff);
    this.#ref = spawn(
      deps.system,
      (current: typeof state, message: FlusherMessage<SegmentJob>) => {
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

  flush(job: SegmentJob): void {
    this.#pending += 1;
    dispatch(this.#ref, { type: 'enqueue', job });
  }

  #perform(effect: FlusherEffect<SegmentJob>): void {
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
  async #place(job: SegmentJob): Promise<void> {
    const { schema, chunks } = this.#deps;
    const { tenant, labels } = job;
    try {
      const { bytes, fromMs, throughMs, checksum } = await this.#deps.encode(await this.#taskOf(job));
      const key = chunkKey(schema, { tenant, fingerprint: labels.fingerprint, fromMs, throughMs, checksum });
      await this.#inTime(chunks.put(key, bytes));
      this.#placed.set(job, { chunk: { tenant, labels, fromMs, throughMs, key }, size: bytes.length });
      dispatch(this.#ref, { type: 'placed', job });
    } catch (error) {
      this.#fail(job, error);
    }
  }

  /** Second step: the segment is committed to this chunk, with its rows. */
  async #writeRows(job: SegmentJob): Promise<void> {
    const { schema, index, ended, chunks, report } = this.#deps;
    const placed = this.#placed.get(job);
    if (!placed) return;
    this.#placed.delete(job);
    const { chunk, size } = placed;
    const name = job.log && segmentName(job.id);
    try {
      const committedIn = await this.#inTime(commitChunk(index, schema, name, chunk, this.#written));
      // An attempt that was thought to have failed: its chunk counts, nobody points to this one.
      if (committedIn !== chunk.key) await chunks.delete(chunk.key).catch((error: unknown) => report(ORPHAN, error));
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    this.#flushedBytes += size;
    this.#pending -= 1;
    this.#flushed[job.reason] += 1;
    job.stored();
    if (job.log) ended(job.log, job.id);
    this.#settle(job, true);
  }

  #fail(job: SegmentJob, error: unknown): void {
    this.#failures += 1;
    const { tenant, labels } = job;
    this.#deps.report('a chunk could not be stored; trying again', error, { tenant, stream: labels.canonical });
    this.#settle(job, false);
  }

  #settle(job: SegmentJob, ok: boolean): void {
    dispatch(this.#ref, { type: 'settled', job, ok, chance: this.#deps.chance() });
  }

  async #taskOf({ tenant, labels, load, version }: SegmentJob): Promise<ChunkTask> {
    const { encoding, level, blockSize } = this.#deps;
    const { blocks, symbols } = await load();
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
      symbols: version === 4 ? symbols : [],
    };
  }

  /** A store call that never answers must not hold its place for ever. It may still succeed later; repeating it does no harm. */
  #inTime<Answer>(call: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { clock, timeoutMs } = this.#deps;
      const cancel = clock.after(timeoutMs, () => reject(new Error(`the store did not answer within ${timeoutMs} ms`)));
      call.then(resolve, reject).finally(cancel);
    });
  }
}
