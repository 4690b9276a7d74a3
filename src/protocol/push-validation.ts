/** What a tenant's limits allow of a pushed stream, in Loki's order and with the texts of 3.7 (the API specification, 1.7 and 1.8). */
import { cutLines } from './cut-lines.ts';
import { type Discard, type DiscardReason, StreamDiscards } from './discards.ts';
import { incrementDuplicates } from './duplicate-times.ts';
import type { EntryColumns, EntryRange, PushedStream } from './entry-columns.ts';
import type { EntryMetadata } from './entry-metadata.ts';
import type { LabelSet } from './label-set.ts';
import type { LevelDiscovery } from './level-discovery.ts';
import type { Limits } from './limits.ts';
import { lineSizeAt, lineStartAt } from './line-sizes.ts';
import { type StreamRefusal, streamRefusal } from './stream-refusal.ts';
import { metadataBytes, storedMetadata } from './structured-metadata.ts';
import { rfc3339Text, secondsOf } from './time-text.ts';

/** What may be stored of a stream: entries [first, end) of the same columns. */
export interface ValidatedStream extends EntryRange {
  readonly labels: LabelSet;
  /** Σ line bytes of the accepted entries. */
  readonly lineBytes: number;
  /** Σ bytes of names and values of their structured metadata, as sent. */
  readonly metadataBytes: number;
  readonly discards: readonly Discard[];
  /** Lines cut to max_line_size, and the bytes cut off. */
  readonly cutLines: number;
  readonly cutBytes: number;
}

/** Entries accepted in a row, as a range with what it weighs. */
export interface ValidatedPart extends EntryRange {
  readonly lineBytes: number;
  readonly metadataBytes: number;
}

/** What is known of the stream before its entries are looked at. */
export interface CheckedStream {
  /** Of its labels as they will be stored, for the texts. */
  readonly canonical: string;
  /** Why nothing of it is taken. */
  readonly refused: StreamRefusal | undefined;
  /** What finds the levels of its entries; their columns must have a place for them. */
  readonly levels: LevelDiscovery | undefined;
}

/** Bytes that levels are looked for in without a look at the clock: 1 to 3 ms (measured). */
const STEP_BYTES_MAX = 1 << 20;

/**
 * Checks entries in steps, so that a stream of any length holds nobody up. The columns of the range are changed in place:
 * refused entries are closed up (their bytes stay between the lines, as the columns allow), long lines cut, metadata brought into the form
 * it is stored in. Once for a range.
 */
export class StreamValidation {
  readonly #stream: PushedStream;
  readonly #limits: Limits;
  readonly #entries: EntryValidation;
  readonly #levels: LevelDiscovery | undefined;
  #discards: readonly Discard[] | undefined;
  #next: number;
  #partFirst: number;
  /** The time that the run of duplicates came with; its entries have moved on from there. */
  #runTime: bigint | undefined;
  cutLines = 0;
  cutBytes = 0;

  constructor(stream: PushedStream, checked: CheckedStream, limits: Limits, nowMs: number) {
    const { columns, first, end } = stream;
    const { refused, levels } = checked;
    this.#stream = stream;
    this.#limits = limits;
    this.#levels = levels;
    this.#next = first;
    this.#partFirst = first;
    this.#entries = new EntryValidation(columns, checked, limits, nowMs, first);
    if (!refused || first === end) return;
    this.#next = end;
    this.#cutLines(first, end);
    this.#discards = [{ ...refused, lines: end - first, bytes: lineBytesOf(stream) }];
  }

  /** Looks at `count` more entries, or at fewer where their levels are looked for in long lines. @returns whether all have been looked at */
  step(count: number): boolean {
    const { end } = this.#stream;
    const from = this.#next;
    if (from === end) return true;
    this.#next = this.#levels ? this.#withinBytes(from, Math.min(end, from + count)) : Math.min(end, from + count);
    this.#cutLines(from, this.#next);
    const keptBefore = this.#entries.kept;
    this.#entries.run(from, this.#next);
    if (this.#limits.incrementDuplicateTimestamp) this.#incrementDuplicates(keptBefore);
    return this.#next === end;
  }

  /** The end of a run from `from` that is no longer than a step may be, or of one entry. */
  #withinBytes(from: number, end: number): number {
    const { lineOffsets } = this.#stream.columns;
    let next = end;
    while (next > from + 1 && lineOffsets[next - 1]! - lineOffsets[from]! > STEP_BYTES_MAX)
      next = from + ((next - from) >>> 1);
    return next;
  }

  /** Accepted entries that no part has yet. */
  get partCount(): number {
    return this.#entries.kept - this.#partFirst;
  }

  takePart(): ValidatedPart {
    const { columns } = this.#stream;
    const part = { columns, first: this.#partFirst, end: this.#entries.kept, ...this.#entries.takeSums() };
    this.#partFirst = part.end;
    return part;
  }

  /** All that is refused, once every entry has been looked at. */
  get discards(): readonly Discard[] {
    return this.#discards ?? this.#entries.discards;
  }

  #cutLines(first: number, end: number): void {
    if (!this.#limits.maxLineSizeTruncate) return;
    const cut = cutLines({ columns: this.#stream.columns, first, end }, this.#limits);
    this.cutLines += cut.cutLines;
    this.cutBytes += cut.cutBytes;
  }

  #incrementDuplicates(keptBefore: number): void {
    const { columns, first } = this.#stream;
    const { kept } = this.#entries;
    if (kept === first) return;
    const runTime = this.#runTime ?? (columns.times[first] as bigint);
    this.#runTime = incrementDuplicates(columns, Math.max(first + 1, keptBefore), kept, runTime);
  }
}

/** All of StreamValidation in one go. */
export const validateStream = (
  stream: PushedStream,
  labels: LabelSet,
  limits: Limits,
  nowMs: number,
): ValidatedStream => {
  const { canonical } = labels;
  const refused = streamRefusal(labels, limits, '', nowMs);
  const validation = new StreamValidation(stream, { canonical, refused, levels: undefined }, limits, nowMs);
  validation.step(Number.POSITIVE_INFINITY);
  const { discards, cutLines, cutBytes } = validation;
  return { ...validation.takePart(), labels, discards, cutLines, cutBytes };
};

/** Σ line bytes of a range. */
export const lineBytesOf = ({ columns, first, end }: EntryRange): number => {
  let bytes = 0;
  for (let index = first; index < end; index += 1) bytes += lineSizeAt(columns.bytes, columns.lineOffsets[index]!);
  return bytes;
};

/** Times allowed, ends included, as words. */
interface TimeBounds {
  readonly limits: Limits;
  readonly nowMs: number;
  readonly lowestHigh: number;
  readonly lowestLow: number;
  readonly highestHigh: number;
  readonly highestLow: number;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** The streams of a push share them. */
let lastBounds: TimeBounds | undefined;

const timeBounds = (limits: Limits, nowMs: number): TimeBounds => {
  if (lastBounds?.limits === limits && lastBounds.nowMs === nowMs) return lastBounds;
  const lowest = limits.rejectOldSamples ? oldestNs(limits, nowMs) : INT64_MIN;
  const highest = clamped(BigInt(Math.trunc(nowMs + limits.creationGracePeriodMs)) * 1_000_000n);
  lastBounds = {
    limits,
    nowMs,
    lowestHigh: Number(lowest >> 32n),
    lowestLow: Number(lowest & 0xffffffffn),
    highestHigh: Number(highest >> 32n),
    highestLow: Number(highest & 0xffffffffn),
  };
  return lastBounds;
};

const oldestNs = (limits: Limits, nowMs: number): bigint =>
  clamped(BigInt(Math.trunc(nowMs - limits.rejectOldSamplesMaxAgeMs)) * 1_000_000n);

const clamped = (ns: bigint): bigint => (ns < INT64_MIN ? INT64_MIN : ns > INT64_MAX ? INT64_MAX : ns);

/** The pass over the entries of one stream. */
class EntryValidation {
  readonly #columns: EntryColumns;
  readonly #canonical: string;
  readonly #limits: Limits;
  readonly #bounds: TimeBounds;
  readonly #words: Int32Array;
  readonly #metadata: EntryMetadata | undefined;
  readonly #levels: LevelDiscovery | undefined;
  #discards: StreamDiscards | undefined;
  /** Accepted entries lie before it. */
  kept: number;
  #lineBytes = 0;
  #metadataBytes = 0;

  constructor(
    columns: EntryColumns,
    { canonical, levels }: CheckedStream,
    limits: Limits,
    nowMs: number,
    first: number,
  ) {
    this.kept = first;
    this.#columns = columns;
    this.#canonical = canonical;
    this.#limits = limits;
    this.#bounds = timeBounds(limits, nowMs);
    this.#words = wordsOf(columns);
    this.#metadata = columns.metadata;
    this.#levels = levels;
  }

  get discards(): readonly Discard[] {
    return this.#discards?.list() ?? [];
  }

  /** What was accepted since it was last called. */
  takeSums(): Pick<ValidatedPart, 'lineBytes' | 'metadataBytes'> {
    const sums = { lineBytes: this.#lineBytes, metadataBytes: this.#metadataBytes };
    this.#lineBytes = 0;
    this.#metadataBytes = 0;
    return sums;
  }

  run(first: number, end: number): void {
    const { bytes, lineOffsets } = this.#columns;
    const lineBytesMax = this.#limits.maxLineBytes || Number.POSITIVE_INFINITY;
    const hasMetadata = (this.#metadata?.ownCount ?? 0) > 0;
    const levels = this.#levels;
    const words = this.#words;
    const { lowestHigh, lowestLow, highestHigh, highestLow } = this.#bounds;
    let kept = this.kept;
    let lineBytes = 0;
    let allMetadataBytes = 0;
    for (let index = first; index < end; index += 1) {
      const lineSize = lineSizeAt(bytes, lineOffsets[index]!);
      // Compared here and not in a method: numbers above 2^31 that are passed on are allocated, one for every entry.
      const low = words[index * 2]!;
      const high = words[index * 2 + 1]!;
      const isEarly = high < lowestHigh || (high === lowestHigh && low >>> 0 < lowestLow);
      if (isEarly || high > highestHigh || (high === highestHigh && low >>> 0 > highestLow)) {
        if (isEarly) this.#refuseOld(index, lineSize);
        else this.#refuseTime('too_far_in_future', index, lineSize, (time) => `has timestamp too new: ${time}`);
        continue;
      }
      if (lineSize > lineBytesMax) {
        // No closure here: one that captures `lineSize` would allocate for every entry.
        this.#refuseLength(index, lineSize);
        continue;
      }
      const pairs = hasMetadata ? this.#metadata?.get(index) : undefined;
      if (pairs !== undefined) {
        const size = this.#acceptMetadata(pairs, index, kept, lineSize);
        if (size < 0) continue;
        allMetadataBytes += size;
      } else if (levels) this.#discoverLevel(levels, index, kept, lineSize);
      if (kept < index) this.#move(index, kept);
      kept += 1;
      lineBytes += lineSize;
    }
    this.kept = kept;
    this.#lineBytes += lineBytes;
    this.#metadataBytes += allMetadataBytes;
  }

  #refuseOld(index: number, lineSize: number): void {
    this.#refuseTime('greater_than_max_sample_age', index, lineSize, (time) => {
      const oldest = rfc3339Text(secondsOf(oldestNs(this.#limits, this.#bounds.nowMs)));
      return `has timestamp too old: ${time}, oldest acceptable timestamp is: ${oldest}`;
    });
  }

  #refuseTime(reason: DiscardReason, index: number, lineSize: number, text: (time: string) => string): void {
    const timeNs = this.#columns.times[index]!;
    const seconds = secondsOf(timeNs);
    // The earliest time stands for a missing timestamp, which is the year 1 in Loki.
    const shown = () => (timeNs === INT64_MIN ? '0001-01-01T00:00:00Z' : rfc3339Text(seconds));
    const stream = this.#canonical;
    this.#refuse(reason, seconds, lineSize, () => `entry for stream '${stream}' ${text(shown())}`);
    this.#metadata?.delete(index);
  }

  #refuseLength(index: number, lineSize: number): void {
    this.#refuse('line_too_long', lineSize, lineSize, () => this.#tooLongText(lineSize));
    this.#metadata?.delete(index);
  }

  #tooLongText(lineSize: number): string {
    const max = this.#limits.maxLineBytes;
    const stream = this.#canonical;
    return `max entry size '${max}' bytes exceeded for stream '${stream}' while adding an entry with length '${lineSize}' bytes`;
  }

  /** @returns the bytes of the entry's metadata, moved to entry `target`; −1 if it refuses the entry */
  #acceptMetadata(pairs: readonly string[], index: number, target: number, lineSize: number): number {
    this.#metadata?.delete(index);
    const size = metadataBytes(pairs);
    if (this.#isMetadataRefused(pairs.length / 2, size, lineSize)) return -1;
    const stored = this.#withLevel(pairs, storedMetadata(pairs), index, lineSize);
    if (stored !== undefined) this.#metadata?.set(target, stored);
    return size;
  }

  #withLevel(
    sent: readonly string[],
    stored: readonly string[] | undefined,
    index: number,
    lineSize: number,
  ): readonly string[] | undefined {
    if (!this.#levels) return stored;
    const { bytes, lineOffsets } = this.#columns;
    const start = lineStartAt(bytes, lineOffsets[index]!);
    return this.#levels.withLevel(sent, stored ?? [], bytes, start, start + lineSize);
  }

  /** For an entry that was sent without metadata; it will be entry `target`. */
  #discoverLevel(levels: LevelDiscovery, index: number, target: number, lineSize: number): void {
    const { bytes, lineOffsets, times } = this.#columns;
    const { oddPair } = levels;
    if (oddPair) {
      this.#metadata?.set(target, oddPair);
      return;
    }
    const start = lineStartAt(bytes, lineOffsets[index]!);
    this.#metadata?.setLevel(target, levels.levelOf(bytes, start, start + lineSize), times.length);
  }

  #isMetadataRefused(count: number, size: number, lineSize: number): boolean {
    const { allowStructuredMetadata, maxStructuredMetadataBytes, maxStructuredMetadataEntriesCount } = this.#limits;
    const isTooLarge = maxStructuredMetadataBytes > 0 && size > maxStructuredMetadataBytes;
    const isTooMany = maxStructuredMetadataEntriesCount > 0 && count > maxStructuredMetadataEntriesCount;
    if (allowStructuredMetadata && !isTooLarge && !isTooMany) return false;
    this.#refuseMetadata(count, size, lineSize, isTooLarge);
    return true;
  }

  #refuseMetadata(count: number, size: number, lineSize: number, isTooLarge: boolean): void {
    const { allowStructuredMetadata, maxStructuredMetadataBytes, maxStructuredMetadataEntriesCount } = this.#limits;
    const stream = `stream '${this.#canonical}'`;
    const help = (limit: string, verb: string) =>
      `Please see \`limits_config.${limit}\` or contact your Loki administrator to ${verb} it`;
    if (!allowStructuredMetadata) {
      const text = () =>
        `${stream} includes structured metadata, but this feature is disallowed. ${help('allow_structured_metadata', 'enable')}`;
      this.#refuse('disallowed_structured_metadata', 0, lineSize, text);
      return;
    }
    if (isTooLarge) {
      const text = () =>
        `${stream} has structured metadata too large: '${size}' bytes, limit: '${maxStructuredMetadataBytes}' bytes. ${help('max_structured_metadata_size', 'increase')}`;
      this.#refuse('structured_metadata_too_large', size, lineSize, text);
      return;
    }
    const text = () =>
      `${stream} has too many structured metadata labels: '${count}', limit: '${maxStructuredMetadataEntriesCount}'. ${help('max_structured_metadata_entries_count', 'increase')}`;
    this.#refuse('structured_metadata_too_many', count, lineSize, text);
  }

  #refuse(reason: DiscardReason, variant: number, lineSize: number, text: () => string): void {
    this.#discards ??= new StreamDiscards();
    this.#discards.add(reason, variant, lineSize, text);
  }

  #move(from: number, to: number): void {
    this.#columns.lineOffsets[to] = this.#columns.lineOffsets[from]!;
    this.#words[to * 2] = this.#words[from * 2]!;
    this.#words[to * 2 + 1] = this.#words[from * 2 + 1]!;
  }
}

const wordsOf = ({ times }: EntryColumns): Int32Array =>
  new Int32Array(times.buffer, times.byteOffset, times.length * 2);
