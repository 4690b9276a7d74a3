import type { LabelSet } from '../protocol/label-set.ts';
import { labelsOfCanonical } from '../protocol/label-text.ts';
import { LevelDiscovery } from '../protocol/level-discovery.ts';
import type { Limits } from '../protocol/limits.ts';
import { labelsRefusal, type StreamRefusal } from '../protocol/stream-refusal.ts';
import type { AppendRouter } from './append-router.ts';
import type { StreamCell } from './stream-cell.ts';

/**
 * Label text seen before, and what was found out about it. Its label set is its cell's, if it has one: a node of a cluster knows the streams of
 * all others too, and a label set is eight objects that V8 marks in each collection of the whole heap.
 */
export class KnownStream {
  /** The stream's identity. */
  readonly canonical: string;
  /** Where its `service_name` was looked for. */
  readonly serviceLabels: readonly string[];
  /** Its cell, until that closes. */
  #cell: StreamCell | undefined = undefined;
  /** Until it has a cell, or its entries go to another node. */
  #labels: LabelSet | undefined;
  /** As a signed number: one above 2^31 would be an object. */
  #key: number | undefined = undefined;
  /** By which its labels were found to be allowed. */
  #limits: Limits | undefined = undefined;
  #levels: LevelDiscovery | undefined = undefined;

  /** @param labels undefined: those of the canonical text, which are read when somebody asks for them */
  constructor(canonical: string, serviceLabels: readonly string[], labels?: LabelSet) {
    this.canonical = canonical;
    this.serviceLabels = serviceLabels;
    this.#labels = labels;
  }

  get labels(): LabelSet {
    return this.cell?.labels ?? this.#labels ?? labelsOfCanonical(this.canonical);
  }

  /** Forgotten once it has closed. */
  get cell(): StreamCell | undefined {
    if (this.#cell?.isClosed) this.#cell = undefined;
    return this.#cell;
  }

  set cell(cell: StreamCell | undefined) {
    this.#cell = cell;
    if (cell) this.#labels = undefined;
  }

  /** Its place on the ring. */
  keyOn(router: Pick<AppendRouter, 'keyOf'>, tenant: string): number {
    this.#key ??= router.keyOf(tenant, this.canonical) | 0;
    return this.#key >>> 0;
  }

  /** Its entries go to another node: little of it is kept. */
  goneAway(): void {
    if (!this.cell) this.#labels = undefined;
  }

  /** Why its tenant may not have such labels. */
  refusal(limits: Limits, tenant: string): StreamRefusal | undefined {
    if (this.#limits === limits) return undefined;
    const { labels } = this;
    const refused = labelsRefusal(labels, limits, tenant);
    if (refused) return refused;
    this.#levels = LevelDiscovery.of(labels.pairs, limits);
    this.#limits = limits;
    return undefined;
  }

  /** What finds the levels of its entries, by the limits that its labels were found to be allowed by last. */
  get levels(): LevelDiscovery | undefined {
    return this.#levels;
  }
}
