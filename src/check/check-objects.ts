import { decodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError, UnknownChunkFormatError } from '../chunk/corrupt-chunk-error.ts';
import { hasSpan, labelsInChunk } from '../copy/chunk-labels.ts';
import { indexedChunks } from '../copy/chunk-rows.ts';
import { chunkPages } from '../copy/copy-scope.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { streamName } from '../storage/chunk-key.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { StoreCheck } from './store-check.ts';
import type { Suspects } from './suspects.ts';

/** Chosen: about 50 MB. A stream that is forgotten costs one more object read. */
const STREAMS_MAX = 50_000;

/** Labels of streams, from the chunks that were read. */
export type StreamLabels = BoundedMap<string, LabelSet>;

export const newStreamLabels = (): StreamLabels => new BoundedMap(STREAMS_MAX);

interface Labelled {
  readonly ref: ChunkRef;
  readonly labels: LabelSet;
}

/**
 * Reads a chunk and compares it with its key. undefined: it is not there.
 * @throws CorruptChunkError if it is not what its key says
 */
export const readLabels = async (check: StoreCheck, ref: ChunkRef): Promise<LabelSet | undefined> => {
  const { side, rate, deps, figures } = check;
  const bytes = await side.chunks.get(ref.key);
  if (!bytes) return undefined;
  await rate.turn(bytes.length, deps.signal);
  figures.bytes += bytes.length;
  const labels = labelsInChunk(bytes, ref);
  const { fromMs, throughMs } = decodeChunk(bytes);
  if (fromMs !== ref.fromMs || throughMs !== ref.throughMs) {
    throw new CorruptChunkError(`it says of itself that it is from ${fromMs} to ${throughMs}`);
  }
  return labels;
};

/**
 * Goes over the objects, a page at a time, and looks up their rows: one read a series and day. What has no row at all is left to the walk over the rows,
 * which tells whether some other row names it.
 */
export class ObjectCheck {
  readonly #check: StoreCheck;
  readonly #suspects: Suspects;
  readonly #streams: StreamLabels;

  constructor(check: StoreCheck, suspects: Suspects, streams: StreamLabels) {
    this.#check = check;
    this.#suspects = suspects;
    this.#streams = streams;
  }

  async run(): Promise<void> {
    const { side, options, deps, figures } = this.#check;
    const onOther = (): void => {
      figures.others += 1;
    };
    for await (const page of chunkPages(side.chunks, options.scope, onOther)) {
      if (deps.signal.aborted) return;
      await this.#checkPage(page);
    }
  }

  async #checkPage(page: readonly ChunkRef[]): Promise<void> {
    const { side, deps, objectLimit } = this.#check;
    const labelled: Labelled[] = [];
    if (this.#check.options.isQuick) {
      const [firsts, others] = this.#firstsOf(await this.#withoutFound(page));
      await this.#read(firsts, labelled);
      await this.#read(await this.#withoutFound(others), labelled);
    } else await this.#read(page, labelled);
    const chunks = labelled.map(({ ref, labels }) => this.#check.indexed(ref, labels));
    const whole = await indexedChunks(side, chunks, 'all');
    const missing = labelled.filter(({ ref }) => !whole.has(ref.key));
    const lacking = chunks.filter(({ key }) => !whole.has(key));
    const named = await indexedChunks(side, lacking, 'any');
    for (const { key, tenant } of chunks) if (whole.has(key) || named.has(key)) objectLimit.keep(tenant);
    await forEachConcurrent(missing, this.#check.options.concurrency, async ({ ref, labels }) => {
      if (!deps.signal.aborted) await this.#lacksRows(ref, labels, named.has(ref.key));
    });
  }

  async #read(refs: readonly ChunkRef[], labelled: Labelled[]): Promise<void> {
    await this.#each(refs, async (ref) => {
      const labels = await this.#labelsOf(ref);
      if (labels) labelled.push({ ref, labels });
    });
  }

  /** One of each stream of which nothing is known, and the others. */
  #firstsOf(refs: readonly ChunkRef[]): readonly [readonly ChunkRef[], readonly ChunkRef[]] {
    const firsts = new Map<string, ChunkRef>();
    for (const ref of refs) {
      const stream = streamName(ref.tenant, ref.fingerprint);
      if (!this.#streams.get(stream) && !firsts.has(stream)) firsts.set(stream, ref);
    }
    const chosen = new Set(firsts.values());
    return [[...chosen], refs.filter((ref) => !chosen.has(ref))];
  }

  /** Those that have to be read, since nothing is known of their stream, or rows of them were not found by what is. */
  async #withoutFound(page: readonly ChunkRef[]): Promise<readonly ChunkRef[]> {
    const { side, figures, objectLimit } = this.#check;
    const known = page.flatMap((ref) => {
      const labels = this.#streams.get(streamName(ref.tenant, ref.fingerprint));
      return labels && hasSpan(ref) && !this.#isDropped(ref) ? [this.#check.indexed(ref, labels)] : [];
    });
    const found = await indexedChunks(side, known, 'all');
    figures.objects += found.size;
    for (const { key, tenant } of known) if (found.has(key)) objectLimit.keep(tenant);
    return page.filter(({ key }) => !found.has(key));
  }

  async #each(refs: readonly ChunkRef[], visit: (ref: ChunkRef) => Promise<void>): Promise<void> {
    const { options, deps, figures } = this.#check;
    await forEachConcurrent(refs, options.concurrency, async (ref) => {
      if (deps.signal.aborted) return;
      try {
        await visit(ref);
        figures.objects += 1;
      } catch (error) {
        if (!deps.signal.aborted || error !== deps.signal.reason) throw error;
      }
    });
  }

  #isDropped({ throughMs }: ChunkRef): boolean {
    return throughMs < this.#check.firstMs;
  }

  /** undefined if there is nothing to look up for it. */
  async #labelsOf(ref: ChunkRef): Promise<LabelSet | undefined> {
    const { figures, corruptLimit } = this.#check;
    if (this.#isDropped(ref)) {
      figures.dropped += 1;
      return undefined;
    }
    try {
      if (!hasSpan(ref)) throw new CorruptChunkError('the times of its key are too far apart, or in no order');
      const labels = await readLabels(this.#check, ref);
      if (labels) {
        this.#streams.set(streamName(ref.tenant, ref.fingerprint), labels);
        corruptLimit.keep(ref.tenant);
      } else figures.gone += 1;
      return labels;
    } catch (error) {
      if (!(error instanceof CorruptChunkError)) throw error;
      this.#suspects.addCorrupt(ref.key);
      // Rows of a later version's chunks stay in any case.
      if (!(error instanceof UnknownChunkFormatError)) corruptLimit.lose(ref.tenant);
      await this.#check.found({ kind: 'corrupt-object', chunk: ref.key, why: error.message, isMended: false });
      return undefined;
    }
  }

  async #lacksRows(ref: ChunkRef, labels: LabelSet, isNamed: boolean): Promise<void> {
    const check = this.#check;
    const { figures } = check;
    if (await check.isMarked(ref.key)) {
      figures.marked += 1;
      return;
    }
    const state = await check.side.chunks.state(ref.key);
    if (!state) {
      figures.gone += 1;
      return;
    }
    if (!check.isOld(state.storedMs)) {
      figures.young += 1;
      return;
    }
    if (isNamed) {
      const missing = await check.missingOf(check.chunkEntries(ref, labels));
      // They came meanwhile, or all of them went: the next run tells.
      if (missing.length === 0) return;
      const isMended = check.options.fixes && (await check.writeRowsOf(ref, labels));
      const why = `${missing.length} of its rows are missing, the first in ${missing[0]?.table}`;
      await check.found({ kind: 'missing-rows', chunk: ref.key, why, isMended });
      return;
    }
    if (this.#suspects.addOrphan(ref)) return;
    const why = 'no row is where its row should be; too many such objects to look for others';
    await check.found({ kind: 'orphan-object', chunk: ref.key, why, isMended: false });
  }
}
