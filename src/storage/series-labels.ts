/**
 * Labels of stored series without their chunks: the names from the series' row (kind 3), the values from the labels' rows (kind 2).
 * A series id is a hash of its labels, so what was found once stays true.
 */
import { BoundedMap } from './bounded-map.ts';
import { hasLabelNames, isLabelNamesCell } from './index-row.ts';
import type { IndexStore } from './index-store.ts';
import type { DayBucket } from './schema-config.ts';
import { scanLabel } from './series-selection.ts';
import { inSlices } from './slices.ts';

/** Chosen: 100,000 series a query goes over again and again; about 20 MiB, since lists of names are shared. */
const SERIES_NAMES_MAX = 200_000;

/** Chosen: about 20 MiB with ten labels a series. */
const SERIES_LABELS_MAX = 20_000;

const NAME_LISTS_MAX = 10_000;

export class SeriesLabels {
  readonly #store: IndexStore;
  readonly #names = new BoundedMap<string, readonly string[]>(SERIES_NAMES_MAX);
  readonly #nameLists = new BoundedMap<string, readonly string[]>(NAME_LISTS_MAX);
  readonly #labels = new BoundedMap<string, readonly string[]>(SERIES_LABELS_MAX);

  constructor(store: IndexStore) {
    this.#store = store;
  }

  /** Label names of each series, sorted. Series without a row of names (v9 and v10 write none) are missing. */
  async namesOf(bucket: DayBucket, series: Iterable<string>): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = new Map<string, readonly string[]>();
    if (!hasLabelNames(bucket.period)) return found;
    const unknown: { table: string; hashValue: string }[] = [];
    for await (const slice of inSlices(series)) {
      for (const id of slice) {
        const names = this.#names.get(id);
        if (names) found.set(id, names);
        else unknown.push({ table: bucket.table, hashValue: id });
      }
    }
    await this.#store.scan(unknown, (cells, { hashValue }) => {
      for (const { rangeValue, value } of cells) {
        if (!isLabelNamesCell(rangeValue)) continue;
        const names = this.#parsedNames(value);
        if (!names) continue;
        found.set(hashValue, names);
        this.#names.set(ownCopy(hashValue), names);
      }
      return false;
    });
    return found;
  }

  /** Labels of each series as sorted flat pairs. Those the index does not hold completely are missing. */
  async labelsOf(
    bucket: DayBucket,
    tenant: string,
    series: Iterable<string>,
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = new Map<string, readonly string[]>();
    const unknown = new Set<string>();
    for await (const slice of inSlices(series)) {
      for (const id of slice) {
        const labels = this.#labels.get(id);
        if (labels) found.set(id, labels);
        else unknown.add(id);
      }
    }
    const namesOf = await this.namesOf(bucket, unknown);
    const valuesOf = await this.#valuesOf(bucket, tenant, namesOf);
    for await (const slice of inSlices(namesOf)) {
      for (const [id, names] of slice) {
        const values = valuesOf.get(id);
        const labels = names.flatMap((name) => [name, values?.get(name) ?? '']);
        // No label has an empty value: one stands for a cell that is missing.
        if (labels.includes('')) continue;
        found.set(id, labels);
        this.#labels.set(ownCopy(id), labels);
      }
    }
    return found;
  }

  async #valuesOf(
    bucket: DayBucket,
    tenant: string,
    namesOf: ReadonlyMap<string, readonly string[]>,
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
    const valuesOf = new Map<string, Map<string, string>>();
    const seriesOf = new Map<string, Set<string>>();
    for await (const slice of inSlices(namesOf)) {
      for (const [id, names] of slice) {
        valuesOf.set(id, new Map());
        for (const name of names) {
          const having = seriesOf.get(name);
          if (having) having.add(id);
          else seriesOf.set(name, new Set([id]));
        }
      }
    }
    for (const [name, series] of seriesOf) {
      await scanLabel(this.#store, { bucket, tenant, name, values: undefined, series }, (value, id) => {
        if (series.has(id)) valuesOf.get(id)?.set(name, value);
      });
    }
    return valuesOf;
  }

  /** The same list for the same text; undefined if the text is no list of names. */
  #parsedNames(text: string): readonly string[] | undefined {
    const known = this.#nameLists.get(text);
    if (known) return known;
    const names = parsedJson(text);
    if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) return undefined;
    this.#nameLists.set(text, names);
    return names;
  }
}

/** A part of a longer text keeps all of it alive: what is kept for long must not be one. */
const ownCopy = (seriesId: string): string => Buffer.from(seriesId, 'latin1').toString('latin1');

const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
