import type { ByteRate } from '../copy/byte-rate.ts';
import { writeRows } from '../copy/chunk-rows.ts';
import type { CopySide } from '../copy/copy-chunks.ts';
import type { CopyScope } from '../copy/copy-scope.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { ChunkMarks } from '../storage/chunk-marks.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { chunkEntry, type IndexedChunk, seriesIdOf } from '../storage/index-row.ts';
import type { IndexEntry, IndexPlace } from '../storage/index-store.ts';
import { WrittenSeries } from '../storage/index-writer.ts';
import { DAY_MS, type DayBucket, dayBuckets } from '../storage/schema-config.ts';
import type { CheckFigures, Finding } from './findings.ts';
import { RemovalLimit } from './removal-limit.ts';

export interface CheckOptions {
  readonly scope: CopyScope;
  /** What is younger is left alone: it may be half way in. */
  readonly graceMs: number;
  /** Objects looked at together: so many are in memory. */
  readonly concurrency: number;
  /** Reads one object of each stream, and trusts the others to be what their keys say. */
  readonly isQuick: boolean;
  /** Mends what can be mended without a loss. */
  readonly fixes: boolean;
  readonly deletesOrphans: boolean;
  /** No row and no object is removed if more of those looked at would be: then the other side is another one, or gone, or whatever reads it is wrong. */
  readonly removalShareMax: number;
  /** What was deleted could be put back for so long: longer than a commit takes. */
  readonly orphanHoldMs: number;
  /** What another process removes step by step is done with it after so long. */
  readonly secondLookMs: number;
  /** Removes the rows of objects that cannot be read: queries then answer without them. */
  readonly unindexesCorrupt: boolean;
}

export interface CheckDeps {
  readonly clock: Clock;
  /** Ends it early: nothing new is begun. */
  readonly signal: AbortSignal;
  readonly figures: CheckFigures;
  readonly onFinding: (finding: Finding) => Promise<void>;
  /** Writes the bytes of an object that could not be put back to a file, and says which. */
  readonly keepBytes: (key: string, bytes: Uint8Array) => Promise<string>;
  /** The part that begins now. */
  readonly onPart: (what: string) => void;
}

/**
 * A check that runs: its stores, and what each part of it asks of them right before it calls something damaged or changes it. The order of these looks is that in
 * which compaction removes (mark, rows, object) backwards, so that what is on its way out is never taken for damage:
 *
 *   a row is there → its object is not → the row is there still, unmarked           dangling
 *   an object is there → its rows are not → it is unmarked → it is there still      orphan
 */
export class StoreCheck {
  readonly side: CopySide;
  readonly options: CheckOptions;
  readonly deps: CheckDeps;
  readonly marks: ChunkMarks;
  readonly rate: ByteRate;
  readonly rowLimit: RemovalLimit;
  readonly objectLimit: RemovalLimit;
  /** Of objects that were read: known once all are, which is before any row is looked at. */
  readonly corruptLimit: RemovalLimit;
  /** Before it no table is there: retention dropped them. */
  readonly firstMs: number;

  constructor(
    side: CopySide,
    options: CheckOptions,
    deps: CheckDeps,
    more: { readonly marks: ChunkMarks; readonly rate: ByteRate; readonly firstMs: number },
  ) {
    this.side = side;
    this.options = options;
    this.deps = deps;
    this.marks = more.marks;
    this.rate = more.rate;
    this.firstMs = more.firstMs;
    this.rowLimit = new RemovalLimit(options.removalShareMax, 'rows have no object: is this their bucket?');
    this.objectLimit = new RemovalLimit(options.removalShareMax, 'objects are orphans: is this their index?');
    this.corruptLimit = new RemovalLimit(
      options.removalShareMax,
      'objects that were read are corrupt: is the store in order?',
    );
  }

  get figures(): CheckFigures {
    return this.deps.figures;
  }

  async found(finding: Finding): Promise<void> {
    this.figures.add(finding);
    await this.deps.onFinding(finding);
  }

  isOld(timeMs: number): boolean {
    return timeMs + this.options.graceMs < this.deps.clock.nowMs();
  }

  inScope({ tenant, fromMs, throughMs }: Pick<ChunkRef, 'tenant' | 'fromMs' | 'throughMs'>): boolean {
    const { scope } = this.options;
    return this.hasTenant(tenant) && fromMs <= scope.throughMs && throughMs >= scope.fromMs;
  }

  hasTenant(tenant: string): boolean {
    const { tenants } = this.options.scope;
    return tenants.length === 0 || tenants.includes(tenant);
  }

  async isThere(key: string): Promise<boolean> {
    return (await this.side.chunks.state(key)) !== undefined;
  }

  async isMarked(key: string): Promise<boolean> {
    return (await this.marks.among([key])).has(key);
  }

  /** Some commit may still write rows of it. What is left of commits that were cut is written by this: only where something is to be changed. */
  async isUnsettled(key: string): Promise<boolean> {
    return (await this.side.index.unsettled([key])).size > 0;
  }

  async hasCell({ table, hashValue, rangeValue }: IndexPlace): Promise<boolean> {
    return (await this.missingOf([{ table, hashValue, rangeValue, value: undefined }])).length === 0;
  }

  /** Those of the entries that are not there, or have another value; undefined: any value. */
  async missingOf<Entry extends IndexPlace & { readonly value: string | undefined }>(
    entries: readonly Entry[],
  ): Promise<readonly Entry[]> {
    const there = new Set<Entry>();
    const lookups = entries.map((entry) => {
      const { table, hashValue, rangeValue } = entry;
      return { table, hashValue, rangePrefix: rangeValue, entry };
    });
    await this.side.index.scan(lookups, (cells, { entry }) => {
      const { rangeValue: wanted, value: expected } = entry;
      for (const { rangeValue, value } of cells) {
        if (rangeValue === wanted && (expected === undefined || value === expected)) there.add(entry);
      }
      return there.has(entry);
    });
    return entries.filter((entry) => !there.has(entry));
  }

  /** Days that the chunk's rows are to be on: those whose tables were dropped are past. */
  daysOf(ref: Pick<ChunkRef, 'fromMs' | 'throughMs'>): readonly DayBucket[] {
    return dayBuckets(this.side.schema, Math.max(ref.fromMs, this.firstMs), ref.throughMs);
  }

  /** As it is to be in the index. */
  indexed(ref: ChunkRef, labels: LabelSet): IndexedChunk {
    return { ...ref, fromMs: Math.max(ref.fromMs, this.firstMs), labels };
  }

  chunkEntries(ref: ChunkRef, labels: LabelSet): readonly IndexEntry[] {
    const series = seriesIdOf(labels);
    return this.daysOf(ref).map((bucket) => chunkEntry(bucket, ref.tenant, series, ref.key));
  }

  /**
   * Writes all rows of an old object that is there, unless it is on its way out.
   * @returns false if it was left alone
   */
  async writeRowsOf(ref: ChunkRef, labels: LabelSet): Promise<boolean> {
    if ((await this.isUnsettled(ref.key)) || (await this.isMarked(ref.key)) || !(await this.isThere(ref.key)))
      return false;
    await writeRows(this.side, this.indexed(ref, labels), new WrittenSeries(() => this.deps.clock.nowMs()));
    return true;
  }
}

/** Whether a day has a part in the scope. */
export const dayInScope = ({ fromMs, throughMs }: CopyScope, day: number): boolean =>
  day * DAY_MS <= throughMs && (day + 1) * DAY_MS > fromMs;
