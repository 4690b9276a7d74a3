import type { Refusal } from './refusal.ts';

/** Why something of a push is not stored: the `reason` label of loki_discarded_samples_total. */
export type DiscardReason =
  | 'missing_labels'
  | 'max_label_names_per_series'
  | 'label_name_too_long'
  | 'label_value_too_long'
  | 'duplicate_label_names'
  | 'missing_enforced_labels'
  | 'blocked_ingestion'
  | 'greater_than_max_sample_age'
  | 'too_far_in_future'
  | 'line_too_long'
  | 'disallowed_structured_metadata'
  | 'structured_metadata_too_large'
  | 'structured_metadata_too_many';

/** What was refused of a push with one text. */
export interface Discard {
  readonly reason: DiscardReason;
  /** Loki's text; of errors that are much alike, the first one's. */
  readonly text: string;
  /** How many errors: one a stream for its labels, one an entry else; none for what is told in another way. */
  readonly errors: number;
  readonly lines: number;
  /** Σ line bytes. */
  readonly bytes: number;
}

interface MutableDiscard {
  readonly reason: DiscardReason;
  readonly text: string;
  errors: number;
  lines: number;
  bytes: number;
}

/** Different texts that are kept of one reason and stream; later ones count as errors like the first (chosen). */
const TEXTS_MAX = 10;

/** Gathers what is refused of one stream, without a text for each entry. */
export class StreamDiscards {
  readonly #byReason = new Map<DiscardReason, Map<number, MutableDiscard>>();

  /**
   * @param variant tells texts of one reason apart: equal variants have equal texts
   * @param text is asked for only when it is new
   */
  add(reason: DiscardReason, variant: number, lineBytes: number, text: () => string): void {
    const variants = this.#variantsOf(reason);
    let discard = variants.get(variant);
    if (discard === undefined) {
      const [first] = variants.values();
      discard = first !== undefined && variants.size >= TEXTS_MAX ? first : none(reason, text());
      if (variants.size < TEXTS_MAX) variants.set(variant, discard);
    }
    discard.errors += 1;
    discard.lines += 1;
    discard.bytes += lineBytes;
  }

  list(): readonly Discard[] {
    return [...this.#byReason.values()].flatMap((variants) => [...variants.values()]);
  }

  #variantsOf(reason: DiscardReason): Map<number, MutableDiscard> {
    let variants = this.#byReason.get(reason);
    if (variants === undefined) {
      variants = new Map();
      this.#byReason.set(reason, variants);
    }
    return variants;
  }
}

const none = (reason: DiscardReason, text: string): MutableDiscard => ({ reason, text, errors: 0, lines: 0, bytes: 0 });

/** Characters of a refusal's text. Loki has no bound; its clients show the first thousand (chosen). */
const REFUSAL_TEXT_MAX = 64 * 1024;

/** One refusal for all that was discarded of a push, grouped as Loki 3.7 does; undefined if nothing was. */
export const refusalOf = (discards: Iterable<Discard>): Refusal | undefined => {
  const errorsByText = new Map<string, number>();
  for (const { text, errors } of discards) {
    if (errors > 0) errorsByText.set(text, (errorsByText.get(text) ?? 0) + errors);
  }
  const [first] = errorsByText;
  if (first === undefined) return undefined;
  const isSingle = errorsByText.size === 1 && first[1] === 1;
  return { code: 'INVALID_ENTRIES', text: isSingle ? first[0].slice(0, REFUSAL_TEXT_MAX) : grouped(errorsByText) };
};

const grouped = (errorsByText: ReadonlyMap<string, number>): string => {
  const parts: string[] = [];
  let left = REFUSAL_TEXT_MAX;
  let unlisted = 0;
  for (const [text, errors] of errorsByText) {
    if (left <= 0) unlisted += errors;
    else parts.push(`${errors} errors like: ${text.slice(0, left)}`);
    left -= text.length;
  }
  if (unlisted > 0) parts.push(`${unlisted} more errors`);
  return parts.join('; ');
};
