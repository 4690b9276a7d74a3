import { decodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { Clock } from '../protocol/clock.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { DeletedEntries } from '../query/scan/hidden-entries.ts';
import type { RewriteTask, RewrittenChunk } from '../query/scan/rewrite-chunk.ts';
import type { BoundedMap } from '../storage/bounded-map.ts';
import { chunkKey } from '../storage/chunk-key.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { chunkEntries } from '../storage/index-row.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { SeriesLabels } from '../storage/series-labels.ts';
import type { ChunkRate } from './chunk-rate.ts';
import type { ChunkRemoval, StoredChunk } from './chunk-removal.ts';
import type { ChunkVerdict, TenantWork } from './tenant-work.ts';
import { type ChunkRow, walkChunks } from './walk-chunks.ts';

export interface CompactionFigures {
  expired: number;
  deleted: number;
  rewritten: number;
  /** Of chunks deleted or rewritten for delete requests, as far as they were read. */
  deletedLines: number;
  /** Left for a later pass: a commit may be writing their rows, or they could not be read. */
  left: number;
  /** Of chunks that were removed before. */
  objects: number;
}

export interface TableCompactionDeps {
  readonly index: IndexStore;
  readonly chunks: ChunkStore;
  readonly schema: SchemaConfig;
  readonly labels: SeriesLabels;
  readonly removal: ChunkRemoval;
  /** In a worker thread. */
  readonly rewrite: (task: RewriteTask) => Promise<RewrittenChunk>;
  readonly report: (problem: string, error: unknown, about?: object) => void;
  readonly clock: Clock;
  /**
   * Of a chunk written anew and the old one in the index: a query that reads a row in parts may be past the place of the new one, and must still find the old
   * one.
   */
  readonly overlapMs: number;
  /** After each part of a walk: queries read the same index. */
  readonly restMs: number;
  /** Only counts what it would do. */
  readonly isDryRun: boolean;
}

/** What a pass has for a table. */
export interface CompactionPass {
  /** undefined: nothing of the tenant is to go. */
  readonly workOf: (tenant: string) => TenantWork | undefined;
  /** Chunks that were looked at, or made, and stay: they are on other days too. */
  readonly settled: BoundedMap<string, true>;
  readonly figures: CompactionFigures;
  readonly rate: ChunkRate;
  /** @throws once the pass is to end, or the table is no longer this node's */
  readonly check: () => void;
}

/** Chunks decided and removed together: what a stop waits for, and what a crash does again. */
const CHUNKS_TOGETHER = 100;

/** Chosen: chunks in a row that could not be had. */
const FAILURES_MAX = 3;

/** Chosen: about 5 MB of chunks that overlap with what was written for them. */
const OVERLAPPING_MAX = 10_000;

/** Chunks to be removed once queries find what was written for them. */
interface Overlap {
  readonly untilMs: number;
  readonly chunks: readonly StoredChunk[];
}

/** Goes over the chunks of one table and removes, or rewrites, those that are to go. */
export class TableCompaction {
  readonly #deps: TableCompactionDeps;
  readonly #pass: CompactionPass;
  /** Those that end first in front. */
  readonly #overlaps: Overlap[] = [];
  #overlapping = 0;
  #isComplete = true;
  #failures = 0;

  constructor(deps: TableCompactionDeps, pass: CompactionPass) {
    this.#deps = deps;
    this.#pass = pass;
  }

  /** @returns false if something was left for a later pass @throws RefusedError STORAGE_UNAVAILABLE */
  async run(table: string): Promise<boolean> {
    const { index, schema } = this.#deps;
    for await (const rows of walkChunks(index, schema, table)) {
      for (const group of this.#groupsOf(rows)) {
        this.#pass.check();
        await this.#compact(group);
        await this.#removeOverlapping(OVERLAPPING_MAX);
      }
      await this.#pass.rate.pause(this.#deps.restMs);
    }
    await this.#removeOverlapping(0);
    return this.#isComplete;
  }

  /** Rows with the chunks that may have to go. */
  *#groupsOf(rows: readonly ChunkRow[]): Generator<readonly ChunkRow[]> {
    let group: ChunkRow[] = [];
    let count = 0;
    for (const row of rows) {
      const work = this.#pass.workOf(row.tenant);
      if (!work) continue;
      const chunks = row.chunks.filter((ref) => !this.#pass.settled.get(ref.key) && work.concerns(ref));
      for (let first = 0; first < chunks.length; first += CHUNKS_TOGETHER) {
        const part = chunks.slice(first, first + CHUNKS_TOGETHER);
        group.push({ ...row, chunks: part });
        count += part.length;
        if (count < CHUNKS_TOGETHER) continue;
        yield group;
        group = [];
        count = 0;
      }
    }
    if (group.length > 0) yield group;
  }

  async #compact(rows: readonly ChunkRow[]): Promise<void> {
    const keys = rows.flatMap(({ chunks }) => chunks.map(({ key }) => key));
    // Before anything else: what is settled now stays so.
    const unsettled = await this.#deps.index.unsettled(keys);
    const gone: StoredChunk[] = [];
    const { rewritten } = this.#pass.figures;
    for (const [row, labels] of await this.#labelled(rows)) {
      for (const ref of row.chunks) {
        if (unsettled.has(ref.key)) this.#leave();
        else if (await this.#isGone(ref, row.tenant, labels)) gone.push({ ref, series: row.series });
      }
    }
    if (this.#deps.isDryRun || gone.length === 0) return;
    if (this.#pass.figures.rewritten === rewritten) await this.#deps.removal.remove(gone);
    else this.#overlap(gone);
  }

  /** They may be met again meanwhile, on another of their days. */
  #overlap(chunks: readonly StoredChunk[]): void {
    const { clock, overlapMs } = this.#deps;
    for (const { ref } of chunks) this.#pass.settled.set(ref.key, true);
    this.#overlaps.push({ untilMs: clock.monotonicMs() + overlapMs, chunks });
    this.#overlapping += chunks.length;
  }

  /** Those whose time has come; waits for it while there are more than so many. A pass that ends before is repeated, and writes the same chunks again. */
  async #removeOverlapping(leftMax: number): Promise<void> {
    const { clock, removal } = this.#deps;
    for (let [first] = this.#overlaps; first; [first] = this.#overlaps) {
      const waitMs = first.untilMs - clock.monotonicMs();
      if (waitMs > 0 && this.#overlapping <= leftMax) return;
      await this.#pass.rate.pause(waitMs);
      this.#pass.check();
      await removal.remove(first.chunks);
      this.#overlaps.shift();
      this.#overlapping -= first.chunks.length;
    }
  }

  /** Labels from the index; undefined where it has not got them. */
  async #labelled(rows: readonly ChunkRow[]): Promise<readonly (readonly [ChunkRow, readonly string[] | undefined])[]> {
    const days = new Map<string, ChunkRow[]>();
    for (const row of rows) {
      const name = `${row.tenant}:${row.bucket.day}`;
      const known = days.get(name);
      if (known) known.push(row);
      else days.set(name, [row]);
    }
    const labelled: (readonly [ChunkRow, readonly string[] | undefined])[] = [];
    for (const ofDay of days.values()) {
      const [{ bucket, tenant }] = ofDay as [ChunkRow];
      const series = new Set(ofDay.map((row) => row.series));
      const labels = await this.#deps.labels.labelsOf(bucket, tenant, series);
      for (const row of ofDay) labelled.push([row, labels.get(row.series)]);
    }
    return labelled;
  }

  /** True if nothing of the chunk is to be found any more: what is left of it is stored as another one. */
  async #isGone(ref: ChunkRef, tenant: string, known: readonly string[] | undefined): Promise<boolean> {
    try {
      const labels = known ?? (await this.#labelsInside(ref));
      const verdict = this.#pass.workOf(tenant)?.verdict(ref, labelSetOf(labels)) ?? { kind: 'keep' };
      if (verdict.kind !== 'keep') await this.#pass.rate.take();
      const isGone = await this.#done(ref, verdict);
      this.#failures = 0;
      return isGone;
    } catch (error) {
      this.#pass.check();
      const isBusy = error instanceof RefusedError && error.refusal.code === 'OVERLOADED';
      // One object that cannot be had is left; if several cannot, one after the other, the store is away.
      if (!isBusy && !(error instanceof UnreadableChunk)) this.#failures += 1;
      if (this.#failures >= FAILURES_MAX) throw error;
      this.#leave();
      // Pushes go first.
      if (isBusy) return false;
      this.#deps.report('a chunk could not be compacted', error, { chunk: ref.key });
      return false;
    }
  }

  async #done(ref: ChunkRef, verdict: ChunkVerdict): Promise<boolean> {
    const { figures, settled } = this.#pass;
    switch (verdict.kind) {
      case 'keep':
        settled.set(ref.key, true);
        return false;
      case 'expire':
        figures.expired += 1;
        return true;
      case 'delete':
        figures.deleted += 1;
        return true;
      case 'rewrite':
        return await this.#rewrite(ref, verdict.deletes);
    }
  }

  async #rewrite(ref: ChunkRef, deletes: readonly DeletedEntries[]): Promise<boolean> {
    const { figures, settled } = this.#pass;
    const bytes = await this.#fetch(ref);
    const rewritten = await readable(this.#deps.rewrite({ kind: 'rewrite', bytes, checksum: ref.checksum, deletes }));
    if (rewritten.outcome === 'kept') {
      settled.set(ref.key, true);
      return false;
    }
    figures.deletedLines += rewritten.lines;
    if (rewritten.outcome === 'dropped') {
      figures.deleted += 1;
      return true;
    }
    figures.rewritten += 1;
    if (!this.#deps.isDryRun) await this.#store(ref, rewritten);
    return true;
  }

  /** Object before rows, and both before anything of the old chunk goes. */
  async #store({ tenant, fingerprint }: ChunkRef, { chunk, labels }: Rewritten): Promise<void> {
    const { index, chunks, schema } = this.#deps;
    const { fromMs, throughMs, checksum, bytes } = chunk;
    const key = chunkKey(schema, { tenant, fingerprint, fromMs, throughMs, checksum });
    await chunks.put(key, bytes);
    await index.write(chunkEntries(schema, { tenant, labels: labelSetOf(labels), fromMs, throughMs, key }));
    this.#pass.settled.set(key, true);
  }

  /** Schemas v9 and v10 have no labels in their index. */
  async #labelsInside(ref: ChunkRef): Promise<readonly string[]> {
    const bytes = await this.#fetch(ref);
    return await readable((async () => decodeChunk(bytes).labels)());
  }

  async #fetch({ key }: ChunkRef): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#deps.chunks.get(key);
    if (bytes) return bytes;
    throw new UnreadableChunk('the index names it and the store does not have it');
  }

  #leave(): void {
    this.#isComplete = false;
    this.#pass.figures.left += 1;
  }
}

type Rewritten = Extract<RewrittenChunk, { readonly outcome: 'rewritten' }>;

/** It stays as it is: queries say so too. */
class UnreadableChunk extends Error {
  override readonly name = 'UnreadableChunk';
}

const readable = async <Result>(work: Promise<Result>): Promise<Result> => {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof CorruptChunkError) && !isUnreadable(cause)) throw cause;
    throw new UnreadableChunk((cause as Error).message, { cause });
  }
};

/** As a worker tells it. */
const isUnreadable = (error: unknown): boolean => error instanceof RefusedError && error.refusal.code === 'INTERNAL';
