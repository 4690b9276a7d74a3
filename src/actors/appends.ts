/** What a push has for its streams, as the messages they get. */
import type { EntryColumns, EntryRange } from '../protocol/entry-columns.ts';
import type { KnownStream } from './known-stream.ts';
import { RefusedEntries } from './stream-admission.ts';

export interface StreamEntries {
  readonly known: KnownStream;
  readonly range: EntryRange;
}

/** Entries of one append: about 1 ms in the stream and its log (measured). */
const ENTRIES_PER_APPEND = 8192;
/** Those with structured metadata take about 6 µs each (measured). */
const METADATA_ENTRIES_PER_APPEND = 1024;
/** What an entry weighs, beside the append itself. */
const ENTRY_WEIGHT = 1 / 64;
const METADATA_ENTRY_WEIGHT = 1 / 2;

export const appendEntriesMax = ({ columns }: EntryRange): number =>
  hasOwnMetadata(columns) ? METADATA_ENTRIES_PER_APPEND : ENTRIES_PER_APPEND;

/** What one message appends. */
export interface Append {
  readonly known: KnownStream;
  readonly ranges: EntryRange[];
  entries: number;
  weight: number;
  part: { readonly refused: RefusedEntries; isLast: boolean } | undefined;
}

/** Different texts may name one stream. */
export const appendsOf = (streams: readonly StreamEntries[]): readonly Append[] => {
  const lastOf = new Map<string, Append>();
  const appends: Append[] = [];
  for (const { known, range } of streams) {
    const { canonical } = known;
    const entries = range.end - range.first;
    const last = lastOf.get(canonical);
    if (last && last.entries + entries <= appendEntriesMax(range)) {
      last.ranges.push(range);
      last.entries += entries;
      last.weight += Math.trunc(entries * entryWeight(range));
      continue;
    }
    const weight = 1 + Math.trunc(entries * entryWeight(range));
    const append: Append = { known, ranges: [range], entries, weight, part: last && nextPart(last) };
    lastOf.set(canonical, append);
    appends.push(append);
  }
  return appends;
};

const entryWeight = ({ columns }: EntryRange): number =>
  hasOwnMetadata(columns) ? METADATA_ENTRY_WEIGHT : ENTRY_WEIGHT;

/** Detected levels alone cost little. */
const hasOwnMetadata = ({ metadata }: EntryColumns): boolean => (metadata?.ownCount ?? 0) > 0;

const nextPart = (last: Append): NonNullable<Append['part']> => {
  last.part ??= { refused: new RefusedEntries(), isLast: true };
  last.part.isLast = false;
  return { refused: last.part.refused, isLast: true };
};
