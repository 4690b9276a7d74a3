import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { SeriesDay } from '../compaction/walk-chunks.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { parseChunkKey, streamName } from '../storage/chunk-key.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { chunkKeyOfCell, chunkRow, labelEntries, seriesIdOf } from '../storage/index-row.ts';
import type { IndexEntry } from '../storage/index-store.ts';
import { SeriesLabels } from '../storage/series-labels.ts';
import { listedSeries } from '../storage/series-selection.ts';
import { readLabels, type StreamLabels } from './check-objects.ts';
import type { StoreCheck } from './store-check.ts';

/** Series of a day, or of several, looked up together: about 30 MB with ten labels each. */
const DAYS_TOGETHER = 20_000;

/** Chosen: about 30 MB. One that is forgotten is looked up again. */
const KNOWN_MAX = 200_000;

/** A series of a day, and of each fingerprint under which it has chunks there one of them. */
interface Looked extends SeriesDay {
  readonly samples: Map<bigint, ChunkRef>;
}

/**
 * The series that have chunks on a day: whether every matcher finds them, and whether the chunks are theirs. A series id is a hash of its labels, so
 * the index can tell by itself: where names and values that it has of a series give its id, nothing is missing, and a fingerprint that they give is the
 * right one. Only where they do not is an object read. Schemas v9 and v10 have no names in the index: there one is read for each series and day.
 */
export class SeriesDays {
  readonly #check: StoreCheck;
  readonly #streams: StreamLabels;
  #days = new Map<string, Looked>();
  readonly #known = new BoundedMap<string, true>(KNOWN_MAX);

  constructor(check: StoreCheck, streams: StreamLabels) {
    this.#check = check;
    this.#streams = streams;
  }

  /** True if the series of a row of kind 4 has chunks on that day; false if it has none, or was forgotten. */
  isKnown(row: string): boolean {
    return this.#known.get(row) === true;
  }

  note(row: string): void {
    this.#known.set(row, true);
  }

  /** Of the chunk's stream; undefined if nothing is known of it and the chunk is gone, or corrupt. */
  async labelsOf(ref: ChunkRef): Promise<LabelSet | undefined> {
    const stream = streamName(ref.tenant, ref.fingerprint);
    const known = this.#streams.get(stream);
    if (known) return known;
    const labels = await this.#readLabels(ref);
    if (labels) this.#streams.set(stream, labels);
    return labels;
  }

  add({ tenant, series, bucket }: SeriesDay, ref: ChunkRef): void {
    const row = chunkRow(bucket, tenant, series);
    const day = this.#days.get(row) ?? { tenant, series, bucket, samples: new Map<bigint, ChunkRef>() };
    this.#days.set(row, day);
    const sample = day.samples.get(ref.fingerprint);
    // Of the one that ended first: the others' rows came later.
    if (!sample || sample.throughMs > ref.throughMs) day.samples.set(ref.fingerprint, ref);
  }

  async checkIfMany(): Promise<void> {
    if (this.#days.size >= DAYS_TOGETHER) await this.check();
  }

  async check(): Promise<void> {
    const groups = new Map<string, Looked[]>();
    for (const day of this.#days.values()) {
      const name = `${day.tenant}:${day.bucket.day}`;
      const group = groups.get(name);
      if (group) group.push(day);
      else groups.set(name, [day]);
    }
    this.#days = new Map();
    for (const group of groups.values()) {
      if (this.#check.deps.signal.aborted) return;
      await this.#checkGroup(group);
    }
  }

  /** All of one tenant and day. */
  async #checkGroup(group: readonly Looked[]): Promise<void> {
    const [first] = group;
    if (!first) return;
    const { bucket, tenant } = first;
    const { index } = this.#check.side;
    const ids = new Set(group.map(({ series }) => series));
    // Not kept from one day to the next: each has rows of its own.
    const labelsOf = await new SeriesLabels(index).labelsOf(bucket, tenant, ids);
    const listed = await listedSeries(index, bucket, tenant, ids);
    for (const day of group) {
      if (this.#check.deps.signal.aborted) return;
      const pairs = labelsOf.get(day.series);
      const labels = listed.has(day.series) && pairs ? labelSetOf(pairs) : undefined;
      if (labels && seriesIdOf(labels) === day.series) await this.#found(day, labels);
      else await this.#notFound(day, labels);
    }
  }

  /** Of a series that every matcher finds. */
  async #found(day: Looked, labels: LabelSet): Promise<void> {
    this.note(chunkRow(day.bucket, day.tenant, day.series));
    for (const sample of day.samples.values()) {
      if (sample.fingerprint === labels.fingerprint) continue;
      // A Loki gives streams whose fingerprints clash small numbers in their place.
      const own = await this.labelsOf(sample);
      if (own && seriesIdOf(own) !== day.series) await this.#othersChunks(day, sample.fingerprint);
    }
  }

  /** @param labels what the index has of it, though the id is another one */
  async #notFound(day: Looked, labels: LabelSet | undefined): Promise<void> {
    let isTold = false;
    for (const sample of day.samples.values()) {
      const own = await this.labelsOf(sample);
      if (!own) continue;
      // Quoted by another version of Unicode, the same labels have another id: queries find it.
      const isQuotedOtherwise = own.canonical === labels?.canonical;
      if (seriesIdOf(own) !== day.series && !isQuotedOtherwise) {
        await this.#othersChunks(day, sample.fingerprint);
        continue;
      }
      this.note(chunkRow(day.bucket, day.tenant, day.series));
      if (isTold || isQuotedOtherwise) continue;
      isTold = true;
      await this.#lacksLabels(day, sample, own);
    }
  }

  async #lacksLabels({ bucket, tenant, series }: Looked, sample: ChunkRef, labels: LabelSet): Promise<void> {
    const check = this.#check;
    const { side, options, figures } = check;
    const missing = await check.missingOf(labelEntries(bucket, tenant, labels, series));
    const [first] = missing;
    if (!first) return;
    const state = await side.chunks.state(sample.key);
    const row = chunkRow(bucket, tenant, series);
    const rows = check.chunkEntries(sample, labels).filter(({ hashValue }) => hashValue === row);
    // Its own row goes before those of its labels.
    if (!state || (await check.missingOf(rows)).length > 0 || (await check.isMarked(sample.key))) return;
    if (!check.isOld(state.storedMs)) {
      figures.young += 1;
      return;
    }
    if (options.fixes) await side.index.write(missing);
    const why = `${missing.length} rows are missing by which matchers find ${labels.canonical} on that day`;
    await check.found({
      kind: 'missing-label-rows',
      chunk: sample.key,
      row: first,
      why,
      isMended: options.fixes,
    });
  }

  /** Chunks of other series in this one's row. */
  async #othersChunks({ bucket, tenant, series }: Looked, fingerprint: bigint): Promise<void> {
    const hashValue = chunkRow(bucket, tenant, series);
    const found: { readonly entry: IndexEntry; readonly ref: ChunkRef }[] = [];
    await this.#check.side.index.scan([{ table: bucket.table, hashValue }], (cells) => {
      for (const { rangeValue, value } of cells) {
        const ref = parseChunkKey(chunkKeyOfCell(rangeValue) ?? '');
        if (ref?.tenant !== tenant || ref.fingerprint !== fingerprint || !this.#check.inScope(ref)) continue;
        found.push({ entry: { table: bucket.table, hashValue, rangeValue, value }, ref });
      }
      return false;
    });
    for (const { entry, ref } of found) await this.misplaced(entry, ref, 'its chunk is of another series');
  }

  /** A row that its chunk does not have goes once those are there that it has. */
  async misplaced(entry: IndexEntry, ref: ChunkRef, why: string): Promise<void> {
    const check = this.#check;
    const { side, options, figures } = check;
    const labels = await this.#readLabels(ref);
    const state = await side.chunks.state(ref.key);
    if (!labels || !state) return;
    const own = check.chunkEntries(ref, labels);
    const isOwn = own.some(({ table, hashValue, rangeValue }) => {
      return table === entry.table && hashValue === entry.hashValue && rangeValue === entry.rangeValue;
    });
    if (isOwn || !(await check.hasCell(entry))) return;
    if (await check.isMarked(ref.key)) {
      figures.marked += 1;
      return;
    }
    if (!check.isOld(state.storedMs)) {
      figures.young += 1;
      return;
    }
    const isMended = options.fixes && (await this.#replace(entry, ref, labels, own));
    await check.found({ kind: 'misplaced-row', chunk: ref.key, row: entry, why, isMended });
  }

  async #replace(entry: IndexEntry, ref: ChunkRef, labels: LabelSet, own: readonly IndexEntry[]): Promise<boolean> {
    const check = this.#check;
    // All days of the chunk are of tables that were dropped: nothing takes this row's place.
    if (own.length === 0) return false;
    if ((await check.missingOf(own)).length > 0 && !(await check.writeRowsOf(ref, labels))) return false;
    await check.side.index.delete([entry]);
    return true;
  }

  /** undefined if it is gone, or corrupt: that is told elsewhere. */
  async #readLabels(ref: ChunkRef): Promise<LabelSet | undefined> {
    try {
      return await readLabels(this.#check, ref);
    } catch (error) {
      if (error instanceof CorruptChunkError) return undefined;
      throw error;
    }
  }
}
