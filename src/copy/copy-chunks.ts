import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { chunkKey, streamName } from '../storage/chunk-key.ts';
import { ChunkMarks } from '../storage/chunk-marks.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { IndexedChunk } from '../storage/index-row.ts';
import { WrittenSeries } from '../storage/index-writer.ts';
import { dayBuckets } from '../storage/schema-config.ts';
import { ByteRate } from './byte-rate.ts';
import { chunkFailure } from './chunk-failure.ts';
import { hasSpan, labelsInChunk } from './chunk-labels.ts';
import { type ChunkIndex, indexedChunks, keptDays, writeRows } from './chunk-rows.ts';
import type { CopyFigures } from './copy-figures.ts';
import { type CopyScope, chunkPages } from './copy-scope.ts';

/** Chunks and their index. */
export interface CopySide extends ChunkIndex {
  readonly chunks: ChunkStore;
}

export interface CopyOptions {
  readonly scope: CopyScope;
  /** Chunks under way together: so many objects are in memory. */
  readonly concurrency: number;
  /** Of objects; Infinity: no limit. */
  readonly bytesPerSecond: number;
  /** Only says what would be copied. */
  readonly isDryRun: boolean;
  /** Writes also what the target's index names already. */
  readonly isAgain: boolean;
  /** Both sides have the same chunk store: objects stay where they are. */
  readonly sharesChunks: boolean;
}

export interface CopyDeps {
  readonly clock: Clock;
  /** Ends the copy early: nothing new is begun, and it resolves when what is under way is done. */
  readonly signal: AbortSignal;
  readonly figures: CopyFigures;
  /** A chunk that was left out, and why. */
  readonly onLeftOut: (key: string, why: string) => void;
}

type Outcome = 'copied' | 'there' | 'expired' | 'unnamed' | 'gone';

/** Chosen: about 50 MB. A stream that is forgotten costs one more object read. */
const STREAMS_MAX = 50_000;

/**
 * Copies the chunks in scope that a row of the source names, each with its rows as the target's schema has them: object first, then rows. What is there
 * already is left out, by the rows of the target alone, so it may end at any moment and be run again, also over a source and a target that are in use.
 * @throws RefusedError of either side, after its own retries
 */
export const copyChunks = async (
  source: CopySide,
  target: CopySide,
  options: CopyOptions,
  deps: CopyDeps,
): Promise<void> => {
  const copier = new ChunkCopier(source, target, options, deps);
  const { figures, signal } = deps;
  const onOther = (): void => {
    figures.others += 1;
  };
  for await (const page of chunkPages(source.chunks, options.scope, onOther)) {
    if (signal.aborted) return;
    await copier.copyPage(page);
  }
};

/** What both indexes say of a chunk before its object is read, by the labels of another chunk of its stream. */
interface Known {
  /** Two streams may share a fingerprint: by other labels than the chunk's own, only what was found counts. */
  readonly labels: LabelSet;
  readonly isThere: boolean;
  readonly isNamed: boolean;
}

class ChunkCopier {
  readonly #source: CopySide;
  readonly #target: CopySide;
  readonly #options: CopyOptions;
  readonly #deps: CopyDeps;
  readonly #rate: ByteRate;
  readonly #labels = new BoundedMap<string, LabelSet>(STREAMS_MAX);
  readonly #written: WrittenSeries;
  /** Of the target. */
  readonly #marks: ChunkMarks;

  constructor(source: CopySide, target: CopySide, options: CopyOptions, deps: CopyDeps) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#deps = deps;
    this.#written = new WrittenSeries(() => deps.clock.nowMs());
    this.#marks = new ChunkMarks(target.index, target.schema);
    this.#rate = new ByteRate(deps.clock, options.bytesPerSecond);
  }

  async copyPage(page: readonly ChunkRef[]): Promise<void> {
    const tables = await this.#source.index.tables?.();
    const known = await this.#known(page);
    const { signal, figures, onLeftOut } = this.#deps;
    const there = tables && new Set(tables);
    await forEachConcurrent(page, this.#options.concurrency, async (ref) => {
      if (signal.aborted) return;
      try {
        figures[await this.#copy(ref, there, known.get(ref.key))] += 1;
      } catch (error) {
        const failure = chunkFailure(error);
        if (failure !== undefined) {
          figures.leftOut += 1;
          onLeftOut(ref.key, failure);
        } else if (!signal.aborted || error !== signal.reason) throw error;
      }
    });
  }

  /** Looks up the chunks of streams whose labels are known, all of a page together. */
  async #known(page: readonly ChunkRef[]): Promise<ReadonlyMap<string, Known>> {
    const labelled = page.flatMap((ref) => {
      const labels = this.#labels.get(streamName(ref.tenant, ref.fingerprint));
      return labels && hasSpan(ref) ? [{ ref, labels }] : [];
    });
    const thereKeys = await this.#atTarget(labelled.map(({ ref, labels }) => this.#targetChunk(ref, labels)));
    const missing = labelled.filter(({ ref }) => !thereKeys.has(this.#targetKey(ref)));
    const named = await indexedChunks(
      this.#source,
      missing.map(({ ref, labels }) => sourceChunk(ref, labels)),
      'any',
    );
    return new Map(
      labelled.map(({ ref, labels }) => {
        return [ref.key, { labels, isThere: thereKeys.has(this.#targetKey(ref)), isNamed: named.has(ref.key) }];
      }),
    );
  }

  async #copy(ref: ChunkRef, tables: ReadonlySet<string> | undefined, known: Known | undefined): Promise<Outcome> {
    if (hasSpan(ref) && keptDays(this.#target, ref).length === 0) return 'expired';
    if (known?.isThere) return 'there';
    if (!hasSpan(ref)) throw new CorruptChunkError('the times of its key are too far apart, or in no order');
    // Dropped tables leave objects behind: not to be read to see that.
    if (dayBuckets(this.#source.schema, ref.fromMs, ref.throughMs, tables).length === 0) return 'unnamed';
    if (this.#options.isDryRun && known?.isNamed) return 'copied';
    const bytes = await this.#source.chunks.get(ref.key);
    if (!bytes) return 'gone';
    const labels = labelsInChunk(bytes, ref);
    this.#labels.set(streamName(ref.tenant, ref.fingerprint), labels);
    const chunk = this.#targetChunk(ref, labels);
    if (known?.labels.canonical !== labels.canonical) {
      if ((await this.#atTarget([chunk])).has(chunk.key)) return 'there';
    }
    const isNamed = known?.isNamed || (await indexedChunks(this.#source, [sourceChunk(ref, labels)], 'any')).size > 0;
    if (!isNamed) return 'unnamed';
    if (this.#options.isDryRun) return 'copied';
    await this.#put(ref, chunk, bytes);
    return 'copied';
  }

  async #put(ref: ChunkRef, chunk: IndexedChunk, bytes: Uint8Array): Promise<void> {
    // Its rows were looked for before: without a mark now, nothing deletes it later.
    if ((await this.#marks.among([chunk.key])).size > 0) {
      const text =
        'the target has removed it and is about to delete its object: run it again after retention_delete_delay';
      throw new RefusedError({ code: 'BAD_REQUEST', text });
    }
    if (!this.#options.sharesChunks || chunk.key !== ref.key) {
      await this.#rate.turn(bytes.length, this.#deps.signal);
      await this.#target.chunks.put(chunk.key, bytes);
    }
    await writeRows(this.#target, chunk, this.#written);
    this.#deps.figures.copiedBytes += bytes.length;
  }

  async #atTarget(chunks: readonly IndexedChunk[]): Promise<ReadonlySet<string>> {
    return this.#options.isAgain ? NONE : await indexedChunks(this.#target, chunks, 'all');
  }

  #targetChunk(ref: ChunkRef, labels: LabelSet): IndexedChunk {
    return { ...ref, labels, key: this.#targetKey(ref) };
  }

  /** As the target's schema names it, so that a Loki over the target finds it too. */
  #targetKey(ref: ChunkRef): string {
    return chunkKey(this.#target.schema, ref);
  }
}

const NONE: ReadonlySet<string> = new Set();

const sourceChunk = (ref: ChunkRef, labels: LabelSet): IndexedChunk => ({ ...ref, labels });
