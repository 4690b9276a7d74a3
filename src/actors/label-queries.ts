import { decodeChunk } from '../chunk/chunk-object.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { compareBytes, labelSetOf } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { StoredSource } from '../query/query-source.ts';
import type { SeriesReader } from '../storage/index-reader.ts';
import type { StreamMemory } from './memory-source.ts';

export interface LabelQueryDeps {
  readonly memory: Pick<StreamMemory, 'labelSets'>;
  readonly stored: StoredSource;
  readonly series: SeriesReader;
}

/** Questions about labels: what memory holds and what the store holds, united. Memory is asked first, as for entries. */
export class LabelQueries {
  readonly #deps: LabelQueryDeps;

  constructor(deps: LabelQueryDeps) {
    this.#deps = deps;
  }

  async names(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]> {
    const { memory, stored } = this.#deps;
    const names = new Set<string>();
    for (const { pairs } of await memory.labelSets(tenant, matchers, range)) {
      for (let index = 0; index < pairs.length; index += 2) names.add(pairs[index] as string);
    }
    for (const name of await stored.index.labelNames(tenant, matchers, range)) names.add(name);
    return [...names].sort(compareBytes);
  }

  async values(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly string[]> {
    const { memory, stored } = this.#deps;
    const values = new Set<string>();
    for (const { pairs } of await memory.labelSets(tenant, matchers, range)) {
      for (let index = 0; index < pairs.length; index += 2) {
        if (pairs[index] === name) values.add(pairs[index + 1] as string);
      }
    }
    for (const value of await stored.index.labelValues(tenant, name, matchers, range)) values.add(value);
    return [...values].sort(compareBytes);
  }

  async series(
    tenant: string,
    selectors: readonly (readonly LabelMatcher[])[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const found = new Map<string, LabelSet>();
    for (const matchers of selectors.length > 0 ? selectors : [[]]) {
      for (const labels of await this.#deps.memory.labelSets(tenant, matchers, range)) {
        found.set(labels.canonical, labels);
      }
      for (const labels of await this.#storedSeries(tenant, matchers, range)) found.set(labels.canonical, labels);
    }
    return [...found.values()];
  }

  async #storedSeries(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const series = await this.#deps.series.series(tenant, matchers, range);
    if (series.some(({ labels }) => labels === undefined)) return await this.#seriesOfChunks(tenant, matchers, range);
    return series.map(({ labels }) => labelSetOf(labels ?? []));
  }

  /** For schemas whose index does not hold the labels (v9, v10): one chunk of each series tells. */
  async #seriesOfChunks(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const { stored } = this.#deps;
    const labelSets: LabelSet[] = [];
    for (const chunks of (await stored.index.chunkRefs(tenant, matchers, range)).streams()) {
      for (const { key } of chunks) {
        const bytes = await stored.chunks.get(key);
        if (!bytes) continue;
        labelSets.push(labelSetOf(decodeChunk(bytes).labels));
        break;
      }
    }
    return labelSets;
  }
}
