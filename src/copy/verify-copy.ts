import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { chunkKey } from '../storage/chunk-key.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { IndexEntry, IndexLookup } from '../storage/index-store.ts';
import { WrittenSeries } from '../storage/index-writer.ts';
import { ByteRate } from './byte-rate.ts';
import { chunkFailure } from './chunk-failure.ts';
import { hasSpan, labelsInChunk } from './chunk-labels.ts';
import { entriesOfChunk, indexedChunks, keptDays, noteSeries } from './chunk-rows.ts';
import type { CopyOptions, CopySide } from './copy-chunks.ts';
import { chunkPages } from './copy-scope.ts';

/** Rows of a table that were looked for, and those that were there. */
interface RowCount {
  expected: number;
  found: number;
}

interface TableRows {
  /** One a chunk and day. */
  readonly chunks: RowCount;
  /** Of series and their labels; some may be counted twice where there are very many. */
  readonly labels: RowCount;
}

export class VerifyFigures {
  /** In scope at the source, as far as was listed ahead; `isCounted`: to the end. */
  chunks = 0;
  isCounted = false;
  /** The same bytes under the target's key, and all rows. */
  equal = 0;
  comparedBytes = 0;
  /** Missing at the target or other than at the source: object or rows. */
  different = 0;
  /** The target drops the tables of all their days: they need not be there. */
  expired = 0;
  /** No row of the source names them: they need not be at the target. */
  unnamed = 0;
  /** Deleted while the source was walked. */
  gone = 0;
  /** Not readable at the source, and not at the target either. */
  damaged = 0;
  readonly tables = new Map<string, TableRows>();

  get done(): number {
    return this.equal + this.different + this.expired + this.unnamed + this.gone + this.damaged;
  }
}

export interface VerifyDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly figures: VerifyFigures;
  readonly onProblem: (key: string, why: string) => void;
}

/**
 * Compares what the source has in scope with the target: objects by the checksums in their keys, all bytes read; rows one by one, with their values.
 * @throws RefusedError of either side, after its own retries
 */
export const verifyCopy = async (
  source: CopySide,
  target: CopySide,
  options: Pick<CopyOptions, 'scope' | 'concurrency' | 'bytesPerSecond'>,
  deps: VerifyDeps,
): Promise<void> => {
  const { signal, figures, onProblem } = deps;
  const verifier = new Verifier(source, target, options.bytesPerSecond, deps);
  for await (const page of chunkPages(source.chunks, options.scope, () => undefined)) {
    if (signal.aborted) return;
    await forEachConcurrent(page, options.concurrency, async (ref) => {
      if (signal.aborted) return;
      try {
        await verifier.verify(ref);
      } catch (error) {
        const failure = chunkFailure(error);
        if (failure !== undefined) {
          figures.different += 1;
          onProblem(ref.key, failure);
        } else if (!signal.aborted || error !== signal.reason) throw error;
      }
    });
  }
};

/** What an object store has under a key. */
type Found = { readonly labels: LabelSet } | { readonly problem: string; readonly isMissing: boolean };

class Verifier {
  readonly #source: CopySide;
  readonly #target: CopySide;
  readonly #deps: VerifyDeps;
  readonly #rate: ByteRate;
  /** Whose rows of labels were all found. */
  readonly #verified: WrittenSeries;

  constructor(source: CopySide, target: CopySide, bytesPerSecond: number, deps: VerifyDeps) {
    this.#source = source;
    this.#target = target;
    this.#deps = deps;
    this.#verified = new WrittenSeries(() => deps.clock.nowMs());
    this.#rate = new ByteRate(deps.clock, bytesPerSecond);
  }

  async verify(ref: ChunkRef): Promise<void> {
    const { figures, onProblem } = this.#deps;
    if (hasSpan(ref) && keptDays(this.#target, ref).length === 0) {
      figures.expired += 1;
      return;
    }
    const copy = await this.#read(this.#target.chunks, ref, chunkKey(this.#target.schema, ref));
    const rows = 'labels' in copy ? await this.#rows(ref, copy.labels) : undefined;
    if (rows?.missing === 0) {
      rows.count();
      figures.equal += 1;
      return;
    }
    // Only what the source's index names must be there.
    const original = 'labels' in copy ? copy : await this.#read(this.#source.chunks, ref, ref.key);
    if ('problem' in original) {
      if (original.isMissing) figures.gone += 1;
      else {
        figures.damaged += 1;
        onProblem(ref.key, original.problem);
      }
      return;
    }
    const named = await indexedChunks(this.#source, [{ ...ref, labels: original.labels }], 'any');
    if (named.size === 0) {
      figures.unnamed += 1;
      return;
    }
    const expected = rows ?? (await this.#rows(ref, original.labels));
    expected.count();
    figures.different += 1;
    onProblem(
      ref.key,
      'problem' in copy ? `at the target: ${copy.problem}` : `the target lacks ${expected.missing} rows`,
    );
  }

  async #read(store: ChunkStore, ref: ChunkRef, key: string): Promise<Found> {
    if (!hasSpan(ref)) return { problem: 'the times of its key are too far apart, or in no order', isMissing: false };
    const bytes = await store.get(key);
    if (!bytes) return { problem: 'there is no such object', isMissing: true };
    await this.#rate.turn(bytes.length, this.#deps.signal);
    try {
      const labels = labelsInChunk(bytes, ref);
      this.#deps.figures.comparedBytes += bytes.length;
      return { labels };
    } catch (error) {
      if (!(error instanceof CorruptChunkError)) throw error;
      return { problem: error.message, isMissing: false };
    }
  }

  /** The rows that the chunk is to have at the target; `count` adds them to the figures. */
  async #rows(ref: ChunkRef, labels: LabelSet): Promise<{ readonly missing: number; readonly count: () => void }> {
    const chunk = { ...ref, labels, key: chunkKey(this.#target.schema, ref) };
    const entries = entriesOfChunk(this.#target, chunk, this.#verified);
    const found = await this.#found([...entries.labels, ...entries.chunk]);
    const missing = entries.labels.length + entries.chunk.length - found.size;
    if (missing === 0) noteSeries(chunk, entries, this.#verified);
    const count = (): void => {
      this.#count('labels', entries.labels, found);
      this.#count('chunks', entries.chunk, found);
    };
    return { missing, count };
  }

  async #found(entries: readonly IndexEntry[]): Promise<ReadonlySet<IndexEntry>> {
    const found = new Set<IndexEntry>();
    const lookups = entries.map((entry): IndexLookup & { readonly entry: IndexEntry } => {
      const { table, hashValue, rangeValue } = entry;
      return { table, hashValue, rangePrefix: rangeValue, entry };
    });
    await this.#target.index.scan(lookups, (cells, { entry }) => {
      const isThere = [...cells].some(
        ({ rangeValue, value }) => rangeValue === entry.rangeValue && value === entry.value,
      );
      if (isThere) found.add(entry);
      return isThere;
    });
    return found;
  }

  #count(kind: keyof TableRows, entries: readonly IndexEntry[], found: ReadonlySet<IndexEntry>): void {
    const { tables } = this.#deps.figures;
    for (const entry of entries) {
      const counts = tables.get(entry.table) ?? {
        chunks: { expected: 0, found: 0 },
        labels: { expected: 0, found: 0 },
      };
      tables.set(entry.table, counts);
      counts[kind].expected += 1;
      if (found.has(entry)) counts[kind].found += 1;
    }
  }
}
