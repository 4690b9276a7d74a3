import { canonicalText, compareBytes } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { type StreamVolume, shareIn } from './stream-volume.ts';

/** How `index/volume` puts streams together. */
export interface VolumeGrouping {
  /** By these labels, of streams that have all of them. Empty: see `names`. */
  readonly targetLabels: readonly string[];
  /** Labels of the selector: without `targetLabels` by those of them that a stream has. Empty: by all that it has. */
  readonly names: readonly string[];
  /** `labels`: one group for each label's name, whatever its value. */
  readonly aggregateBy: 'series' | 'labels';
  /** More groups are refused. */
  readonly groupsMax: number;
}

export interface VolumeGroup {
  /** Flat pairs; with `labels` one name and no value. */
  readonly labels: readonly string[];
  /** Of each range, in their order. */
  readonly bytes: number[];
}

/** Bytes of groups of streams in each of the ranges. Groups without any are left out. @throws RefusedError INTERNAL as Loki for too many */
export class VolumeGroups {
  readonly #grouping: VolumeGrouping;
  readonly #ranges: readonly TimeRangeNs[];
  readonly #groups = new Map<string, VolumeGroup>();

  /** @param ranges ascending, without overlap */
  constructor(grouping: VolumeGrouping, ranges: readonly TimeRangeNs[]) {
    this.#grouping = grouping;
    this.#ranges = ranges;
  }

  add({ labels, parts }: StreamVolume): void {
    const groups = groupsOf(labels.pairs, this.#grouping);
    if (groups.length === 0) return;
    for (const part of parts) {
      for (let index = this.#firstRangeOf(part.startNs); index < this.#ranges.length; index += 1) {
        const range = this.#ranges[index] as TimeRangeNs;
        if (range.startNs > part.endNs) break;
        const bytes = part.bytes * shareIn(part, range);
        if (bytes > 0) for (const pairs of groups) this.#group(pairs).bytes[index]! += bytes;
      }
    }
  }

  /** By their bytes, most first, then by name; at most `limit`. Bytes are whole. */
  largest(limit: number): readonly VolumeGroup[] {
    const sized = [...this.#groups].map(([name, { labels, bytes }]) => {
      const rounded = bytes.map(Math.round);
      return { name, group: { labels, bytes: rounded }, size: rounded.reduce((sum, one) => sum + one, 0) };
    });
    return sized
      .filter(({ size }) => size > 0)
      .sort((a, b) => b.size - a.size || compareBytes(a.name, b.name))
      .slice(0, limit)
      .map(({ group }) => group);
  }

  #group(pairs: readonly string[]): VolumeGroup {
    const name = canonicalText(pairs);
    const known = this.#groups.get(name);
    if (known) return known;
    const { groupsMax } = this.#grouping;
    if (groupsMax > 0 && this.#groups.size >= groupsMax) {
      const text = `the query hit the max number of series limit (limit: ${groupsMax} series)`;
      throw new RefusedError({ code: 'INTERNAL', text });
    }
    const group = { labels: pairs, bytes: this.#ranges.map(() => 0) };
    this.#groups.set(name, group);
    return group;
  }

  /** The first range that does not end before `timeNs`. */
  #firstRangeOf(timeNs: bigint): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle] as TimeRangeNs).endNs < timeNs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The labels of each group that a stream belongs to. */
const groupsOf = (pairs: readonly string[], grouping: VolumeGrouping): readonly (readonly string[])[] => {
  const { targetLabels, names, aggregateBy } = grouping;
  const isByAll = targetLabels.length === 0 && (names.length === 0 || aggregateBy === 'labels');
  const wanted = targetLabels.length > 0 ? targetLabels : names;
  const kept: string[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index] as string;
    if (isByAll || wanted.includes(name)) kept.push(name, pairs[index + 1] as string);
  }
  if (targetLabels.length > 0 && kept.length / 2 < new Set(targetLabels).size) return [];
  if (aggregateBy === 'series') return [kept];
  return kept.flatMap((name, index) => (index % 2 === 0 ? [[name, '']] : []));
};
