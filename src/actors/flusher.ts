import { dispatch, type Ref, spawn } from 'nact';
import type { BlockEncoding } from '../chunk/block-encoding.ts';
import type { EncodedChunk } from '../chunk/chunk-object.ts';
import type { Clock } from '../protocol/clock.ts';
import { chunkKey } from '../storage/chunk-key.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { IndexedChunk } from '../storage/index-row.ts';
import type { IndexStore } from '../storage/index-store.ts';
import { WrittenSeries, writeChunkIndex } from '../storage/index-writer.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { ChunkTask } from '../workers/cut-worker.ts';
import { type FlusherEffect, type FlusherMessage, newFlusherState, stepFlusher } from './flusher-state.ts';
import type { FlushReason, HeldSegment, StreamCell } from './stream-cell.ts';
import type { StreamMessage } from './stream-state.ts';

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
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  readonly report: (problem: string, error: unknown) => void;
}

interface SegmentJob {
  readonly stream: StreamCell;
  readonly held: HeldSegment;
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
  readonly #ref: Ref<FlusherMessage<SegmentJob>>;
  readonly #written = new WrittenSeries();
  readonly #placed = new Map<SegmentJob, PlacedChunk>();
  readonly #flushed: Record<FlushReason, number> = { full: 0, idle: 0, old: 0, asked: 0, memory: 0 };
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

  flush(cell: StreamCell, held: HeldSegment): void {
    this.#pending += 1;
    dispatch(this.#ref, { type: 'enqueue', job: { stream: cell, held } });
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
    const { stream, held } = job;
    const tenant = stream.tenant.name;
    const { labels } = stream;
    try {
      const { bytes, fromMs, throughMs, checksum } = await this.#deps.encode(this.#taskOf(stream, held));
      const key = chunkKey(schema, { tenant, fingerprint: labels.fingerprint, fromMs, throughMs, checksum });
      await this.#inTime(chunks.put(key, bytes));
      this.#placed.set(job, { chunk: { tenant, labels, fromMs, throughMs, key }, size: bytes.length });
      dispatch(this.#ref, { type: 'placed', job });
    } catch (error) {
      this.#fail(job, error);
    }
  }

  /** Second step: its rows. */
  async #writeRows(job: SegmentJob): Promise<void> {
    const { schema, index } = this.#deps;
    const placed = this.#placed.get(job);
    if (!placed) return;
    this.#placed.delete(job);
    try {
      await this.#inTime(writeChunkIndex(index, schema, placed.chunk, this.#written));
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    this.#flushedBytes += placed.size;
    this.#pending -= 1;
    this.#flushed[job.held.sealedFor ?? 'asked'] += 1;
    this.#deps.tell(job.stream, { type: 'stored', held: job.held });
    this.#settle(job, true);
  }

  #fail(job: SegmentJob, error: unknown): void {
    this.#failures += 1;
    this.#deps.report(`a chunk of ${job.stream.labels.canonical} could not be stored; trying again`, error);
    this.#settle(job, false);
  }

  #settle(job: SegmentJob, ok: boolean): void {
    dispatch(this.#ref, { type: 'settled', job, ok, chance: this.#deps.chance() });
  }

  #taskOf({ tenant, labels }: StreamCell, { segment, version }: HeldSegment): ChunkTask {
    const { encoding, level, blockSize } = this.#deps;
    return {
      kind: 'chunk',
      tenant: tenant.name,
      fingerprint: labels.fingerprint,
      labels: labels.pairs,
      version,
      encoding,
      level,
      blockSize,
      blocks: segment.blocks,
      symbols: version === 4 ? segment.symbols : [],
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
