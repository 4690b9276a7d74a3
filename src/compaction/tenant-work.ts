import type { LabelSet } from '../protocol/label-set.ts';
import { compileMatchers, type DeletedEntries } from '../query/scan/hidden-entries.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { type DeleteRequest, deletedEntriesOf, touches } from './delete-request.ts';
import type { RetentionRule } from './retention-rules.ts';

/** What is to become of a chunk. */
export type ChunkVerdict =
  | { readonly kind: 'keep' }
  /** Past the retention of its stream. */
  | { readonly kind: 'expire' }
  /** All of it is asked to be deleted. */
  | { readonly kind: 'delete' }
  /** Some of it may be: its entries have to be looked at. */
  | { readonly kind: 'rewrite'; readonly deletes: readonly DeletedEntries[] };

const KEEP: ChunkVerdict = { kind: 'keep' };
const NS_PER_MS = 1_000_000n;

/** What compaction has to do for one tenant: by its retention, and by its delete requests that are due. */
export class TenantWork {
  readonly #nowMs: number;
  readonly #rules: readonly (RetentionRule & { readonly matches: (labels: LabelSet) => boolean })[];
  readonly #shortestMs: number;
  readonly #deletes: readonly {
    readonly request: DeleteRequest;
    readonly entries: DeletedEntries;
    readonly matches: (labels: LabelSet) => boolean;
  }[];

  constructor(rules: readonly RetentionRule[], requests: readonly DeleteRequest[], nowMs: number) {
    this.#nowMs = nowMs;
    this.#rules = rules.map((rule) => ({ ...rule, matches: compileMatchers(rule.matchers) }));
    this.#shortestMs = Math.min(...rules.map(({ periodMs = Number.POSITIVE_INFINITY }) => periodMs));
    this.#deletes = requests.flatMap((request) => {
      const entries = deletedEntriesOf(request);
      return entries ? [{ request, entries, matches: compileMatchers(entries.matchers) }] : [];
    });
  }

  /** False if it is kept whatever its labels are. */
  concerns(chunk: ChunkRef): boolean {
    if (this.#nowMs - chunk.throughMs > this.#shortestMs) return true;
    const range = rangeOf(chunk);
    return this.#deletes.some(({ request }) => touches(request, range));
  }

  verdict(chunk: ChunkRef, labels: LabelSet): ChunkVerdict {
    const period = this.#rules.find(({ matches }) => matches(labels))?.periodMs;
    if (period !== undefined && this.#nowMs - chunk.throughMs > period) return { kind: 'expire' };
    const range = rangeOf(chunk);
    const deletes = this.#deletes.flatMap(({ request, entries, matches }) =>
      touches(request, range) && matches(labels) ? [entries] : [],
    );
    if (deletes.length === 0) return KEEP;
    const isWhole = deletes.some(
      ({ stages, startNs, endNs }) => stages.length === 0 && startNs <= range.startNs && endNs >= range.endNs,
    );
    return isWhole ? { kind: 'delete' } : { kind: 'rewrite', deletes };
  }
}

const rangeOf = ({ fromMs, throughMs }: ChunkRef) => ({
  startNs: BigInt(fromMs) * NS_PER_MS,
  endNs: BigInt(throughMs) * NS_PER_MS,
});
