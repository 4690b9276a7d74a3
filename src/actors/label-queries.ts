import { decodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { StoredSource } from '../query/query-source.ts';
import { missingChunk, unreadableChunk } from '../query/scan/unreadable-chunk.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import type { ChunkRef, SeriesReader } from '../storage/index-reader.ts';
import { forEachInSlices } from './cooperative.ts';
import type { StreamMemory } from './memory-source.ts';

export interface LabelQueryDeps {
  readonly memory: Pick<StreamMemory, 'labelSets'>;
  readonly stored: StoredSource;
  readonly series: SeriesReader;
  readonly clock: Clock;
}

/** A slice of work on the event loop: a tenant may have 100,000 streams. */
const SLICE_MS = 4;

/** Questions about labels: what memory holds and what the store holds, united. Memory is asked first, as for entries. */
export class LabelQueries {
  readonly #deps: LabelQueryDeps;

  constructor(deps: LabelQueryDeps) {
    this.#deps = deps;
  }

  /** In any order, as values are. */
  async names(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<ReadonlySet<string>> {
    const { memory, stored } = this.#deps;
    const names = new Set<string>();
    await this.#each(await memory.labelSets(tenant, matchers, range), ({ pairs }) => {
      for (let index = 0; index < pairs.length; index += 2) names.add(pairs[index] as string);
    });
    for (const name of await stored.index.labelNames(tenant, matchers, range)) names.add(name);
    return names;
  }

  async values(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<ReadonlySet<string>> {
    const { memory, stored } = this.#deps;
    const values = new Set<string>();
    await this.#each(await memory.labelSets(tenant, matchers, range), ({ pairs }) => {
      for (let index = 0; index < pairs.length; index += 2) {
        if (pairs[index] === name) values.add(pairs[index + 1] as string);
      }
    });
    for (const value of await stored.index.labelValues(tenant, name, matchers, range)) values.add(value);
    return values;
  }

  async series(
    tenant: string,
    selectors: readonly (readonly LabelMatcher[])[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const found = new Map<string, LabelSet>();
    const add = (labels: LabelSet): void => {
      found.set(labels.canonical, labels);
    };
    for (const matchers of selectors.length > 0 ? selectors : [[]]) {
      await this.#each(await this.#deps.memory.labelSets(tenant, matchers, range), add);
      await this.#eachStored(tenant, matchers, range, add);
    }
    return [...found.values()];
  }

  async #eachStored(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    visit: (labels: LabelSet) => void,
  ): Promise<void> {
    const series = await this.#deps.series.series(tenant, matchers, range);
    if (series.some(({ labels }) => labels === undefined)) {
      for (const labels of await this.#seriesOfChunks(tenant, matchers, range)) visit(labels);
    } else await this.#each(series, ({ labels }) => visit(labelSetOf(labels ?? [])));
  }

  async #each<Item>(items: Iterable<Item>, visit: (item: Item) => void): Promise<void> {
    await forEachInSlices(this.#deps.clock, SLICE_MS, items, visit);
  }

  /** For schemas whose index does not hold the labels (v9, v10): one chunk of each series tells. @throws RefusedError INTERNAL if none of a series can be read */
  async #seriesOfChunks(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const { stored } = this.#deps;
    const labelSets: LabelSet[] = [];
    for (const chunks of (await stored.index.chunkRefs(tenant, matchers, range)).streams()) {
      labelSets.push(await labelsInChunks(stored.chunks, chunks));
    }
    return labelSets;
  }
}

/** What the first of a series' chunks says that can be read. @throws RefusedError INTERNAL naming the last: a series that is left out would not be missed */
const labelsInChunks = async (store: Pick<ChunkReader, 'get'>, chunks: Iterable<ChunkRef>): Promise<LabelSet> => {
  let failure = new Error('a series of the index has no chunks');
  for (const { key } of chunks) {
    const bytes = await store.get(key);
    if (!bytes) {
      failure = missingChunk(key);
      continue;
    }
    try {
      return labelSetOf(decodeChunk(bytes).labels);
    } catch (error) {
      if (!(error instanceof CorruptChunkError)) throw error;
      failure = unreadableChunk(key, error.message, error);
    }
  }
  throw failure;
};
