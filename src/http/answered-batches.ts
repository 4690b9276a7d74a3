/** Answers of the query engine in the batches that logproto.Querier sends. */
import { canonicalText, compareBytes } from '../protocol/label-text.ts';
import type { AnsweredEntry } from '../protocol/querier-messages.ts';
import type { LogStream } from '../query/query-messages.ts';

/** Loki's batch, and a bound on its bytes: clients take 4 MiB by default. */
const BATCH_ENTRIES_MAX = 128;
const BATCH_CHARS_MAX = 512 * 1024;

interface PlacedEntry {
  readonly labels: readonly string[];
  readonly entry: AnsweredEntry;
}

export type EntryBatch = ReadonlyMap<string, readonly AnsweredEntry[]>;

/**
 * Entries in the order of their times over all streams, as a client expects them of one batch after the other.
 * @param streams each in the asked direction, with labels, metadata and parsed labels apart
 * @param isCategorized keep them apart; else the labels are all of them
 */
export function* entryBatches(
  streams: readonly LogStream[],
  isBackward: boolean,
  isCategorized: boolean,
): Generator<EntryBatch> {
  let batch = new Map<string, AnsweredEntry[]>();
  let count = 0;
  let chars = 0;
  for (const { labels, entry } of inOrder(streams, isBackward)) {
    const text = canonicalText(isCategorized ? labels : mergedLabels(labels, entry));
    const entries = batch.get(text) ?? [];
    entries.push(entry);
    batch.set(text, entries);
    count += 1;
    chars += entry.line.length;
    if (count < BATCH_ENTRIES_MAX && chars < BATCH_CHARS_MAX) continue;
    yield batch;
    batch = new Map();
    count = 0;
    chars = 0;
  }
  if (count > 0) yield batch;
}

const inOrder = (streams: readonly LogStream[], isBackward: boolean): readonly PlacedEntry[] => {
  const placed = streams.flatMap(({ labels, entries }) => entries.map((entry) => ({ labels, entry })));
  if (streams.length < 2) return placed;
  const sign = isBackward ? -1 : 1;
  return placed.sort(({ entry: left }, { entry: right }) =>
    left.timeNs === right.timeNs ? 0 : left.timeNs < right.timeNs ? -sign : sign,
  );
};

/** All labels of an entry, sorted. */
export const mergedLabels = (
  labels: readonly string[],
  { metadata = [], parsed = [] }: Pick<AnsweredEntry, 'metadata' | 'parsed'>,
): readonly string[] => {
  if (metadata.length === 0 && parsed.length === 0) return labels;
  const byName = new Map<string, string>();
  for (const pairs of [labels, metadata, parsed]) {
    for (let index = 0; index < pairs.length; index += 2) byName.set(pairs[index] ?? '', pairs[index + 1] ?? '');
  }
  return [...byName].sort(([left], [right]) => compareBytes(left, right)).flat();
};
