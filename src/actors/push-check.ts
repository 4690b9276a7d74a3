import type { Discard } from '../protocol/discards.ts';
import type { PushedStream } from '../protocol/entry-columns.ts';
import { EntryMetadata } from '../protocol/entry-metadata.ts';
import type { Limits } from '../protocol/limits.ts';
import { StreamValidation, type ValidatedPart } from '../protocol/push-validation.ts';
import { blockRefusal } from '../protocol/stream-refusal.ts';
import { appendEntriesMax, type StreamEntries } from './appends.ts';
import type { Slices } from './cooperative.ts';
import type { KnownStream } from './known-stream.ts';

/** A push as far as it may be stored. */
export interface CheckedPush {
  readonly streams: StreamEntries[];
  readonly discards: Discard[];
  lines: number;
  /** Line bytes and metadata bytes: what the rate counts. */
  bytes: number;
}

export interface PushRules {
  readonly tenant: string;
  readonly limits: Limits;
  readonly nowMs: number;
  /** Entries get a `detected_level`. */
  readonly withLevels: boolean;
}

/** Entries checked between two looks at the clock: 2 ms with structured metadata, 0.2 ms without (measured). */
const ENTRIES_PER_STEP = 512;

/** @param knownStreams of the streams that have entries, in their order */
export const checkPush = async (
  streams: readonly PushedStream[],
  knownStreams: readonly (KnownStream | undefined)[],
  rules: PushRules,
  slices: Slices,
): Promise<CheckedPush> => {
  const checked: CheckedPush = { streams: [], discards: [], lines: 0, bytes: 0 };
  for (const [index, stream] of (rules.withLevels ? withLevelColumn(streams) : streams).entries()) {
    const known = knownStreams[index];
    if (!known) continue;
    const validation = validationOf(stream, known, rules);
    while (!validation.step(ENTRIES_PER_STEP)) {
      if (validation.partCount >= appendEntriesMax(stream)) addPart(checked, known, validation.takePart());
      if (slices.isOverNow()) await slices.turn();
    }
    if (validation.partCount > 0) addPart(checked, known, validation.takePart());
    for (const discard of validation.discards) checked.discards.push(discard);
    // A look at the clock each time: a stream may be a MiB of lines whose levels were looked for.
    if (slices.isOverNow()) await slices.turn();
  }
  return checked;
};

const validationOf = (stream: PushedStream, known: KnownStream, rules: PushRules): StreamValidation => {
  const { tenant, limits, nowMs, withLevels } = rules;
  const refused = known.refusal(limits, tenant) ?? blockRefusal(limits, tenant, nowMs);
  const levels = withLevels && !refused ? known.levels : undefined;
  return new StreamValidation(stream, { canonical: known.canonical, refused, levels }, limits, nowMs);
};

/** Streams of one push share their columns. */
const withLevelColumn = (streams: readonly PushedStream[]): readonly PushedStream[] => {
  const [first] = streams;
  if (!first) return streams;
  const columns = { ...first.columns, metadata: first.columns.metadata ?? new EntryMetadata() };
  return streams.map((stream) => ({ ...stream, columns }));
};

const addPart = (checked: CheckedPush, known: KnownStream, part: ValidatedPart): void => {
  checked.lines += part.end - part.first;
  checked.bytes += part.lineBytes + part.metadataBytes;
  checked.streams.push({ known, range: part });
};
