/**
 * What was sent and what was acknowledged, and whether an answer agrees with it. Stands outside all retries: an entry is sent before its first
 * attempt, and acknowledged when somebody was told so.
 *
 *   acknowledged before the question ⊆ answer ⊆ sent before the answer, each entry once
 *
 * A range is settled if both ends are the same set: then a count must be equal, otherwise between.
 */
import type { SoakEntries, SoakStream } from './soak-entries.ts';

export type FindingKind = 'lost' | 'doubled' | 'invented' | 'miscounted' | 'misordered' | 'refused' | 'broken';

export interface Finding {
  readonly kind: FindingKind;
  readonly text: string;
  /** Entries concerned. */
  readonly entries: number;
}

/** An entry of an answer. */
export interface FoundEntry {
  readonly timeNs: bigint;
  readonly line: string;
  /** Flat pairs. */
  readonly metadata: readonly string[];
}

/** Both ends belong to it. */
export interface TimeRange {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

interface StreamRecord {
  readonly stream: SoakStream;
  readonly timesNs: bigint[];
  readonly acknowledgedMs: number[];
  oldestNs: bigint;
  newestNs: bigint;
}

const NEVER = Number.POSITIVE_INFINITY;
const LISTED_MAX = 5;

export class Oracle {
  readonly #entries: SoakEntries;
  readonly #records: readonly StreamRecord[];
  #acknowledged = 0;

  constructor(entries: SoakEntries, streams: readonly SoakStream[]) {
    this.#entries = entries;
    this.#records = streams.map((stream) => ({ stream, timesNs: [], acknowledgedMs: [], oldestNs: 0n, newestNs: 0n }));
  }

  get sentCount(): number {
    return this.#records.reduce((sum, { timesNs }) => sum + timesNs.length, 0);
  }

  get acknowledgedCount(): number {
    return this.#acknowledged;
  }

  /** From the oldest to the newest entry sent; undefined if there is none. */
  span({ index }: SoakStream): TimeRange | undefined {
    const { timesNs, oldestNs, newestNs } = this.#record(index);
    return timesNs.length === 0 ? undefined : { startNs: oldestNs, endNs: newestNs };
  }

  /** @returns the entry's number in its stream */
  sent({ index }: SoakStream, timeNs: bigint): number {
    const record = this.#record(index);
    record.acknowledgedMs.push(NEVER);
    const isFirst = record.timesNs.length === 0;
    if (isFirst || timeNs < record.oldestNs) record.oldestNs = timeNs;
    if (isFirst || timeNs > record.newestNs) record.newestNs = timeNs;
    return record.timesNs.push(timeNs) - 1;
  }

  acknowledged({ index }: SoakStream, number: number, nowMs: number): void {
    const { acknowledgedMs } = this.#record(index);
    if (acknowledgedMs[number] !== NEVER) throw new Error(`entry ${number} of stream ${index} was acknowledged before`);
    acknowledgedMs[number] = nowMs;
    this.#acknowledged += 1;
  }

  /** @param askedMs when the question was asked */
  checkEntries(
    stream: SoakStream,
    range: TimeRange,
    askedMs: number,
    found: readonly FoundEntry[],
  ): readonly Finding[] {
    const { timesNs } = this.#record(stream.index);
    const seen = new Uint8Array(timesNs.length);
    const invented: string[] = [];
    const doubled: string[] = [];
    for (const entry of found) {
      const number = this.#numberOf(stream, entry);
      const timeNs = number === undefined ? undefined : timesNs[number];
      if (number === undefined || timeNs !== entry.timeNs || !isWithin(timeNs, range)) {
        invented.push(`${entry.timeNs} ${entry.line.slice(0, 60)}`);
      } else if (seen[number] === 1) doubled.push(`${number}`);
      else seen[number] = 1;
    }
    const lost = this.#mustHave(stream, range, askedMs).filter((number) => seen[number] === 0);
    return [
      ...this.#findings('lost', stream, range, lost),
      ...this.#findings('doubled', stream, range, doubled),
      ...this.#findings('invented', stream, range, invented),
    ];
  }

  /** `isSettled`: the count could only be one. */
  checkCount(
    stream: SoakStream,
    range: TimeRange,
    askedMs: number,
    count: number,
  ): { readonly isSettled: boolean; readonly findings: readonly Finding[] } {
    const least = this.#mustHave(stream, range, askedMs).length;
    const most = this.#record(stream.index).timesNs.filter((timeNs) => isWithin(timeNs, range)).length;
    const isSettled = least === most;
    if (count >= least && count <= most) return { isSettled, findings: [] };
    const wanted = isSettled ? `${least}` : `${least} to ${most}`;
    const text = `${stream.labelText} ${rangeText(range)}: counted ${count}, want ${wanted}`;
    const entries = count < least ? least - count : count - most;
    return { isSettled, findings: [{ kind: 'miscounted', text, entries }] };
  }

  #record(index: number): StreamRecord {
    const record = this.#records[index];
    if (!record) throw new Error(`there is no stream ${index}`);
    return record;
  }

  #numberOf({ index }: SoakStream, { line, metadata }: FoundEntry): number | undefined {
    const number = this.#entries.numberOf(index, line);
    if (number === undefined) return undefined;
    return this.#entries.metadata(index, number).join('\0') === metadata.join('\0') ? number : undefined;
  }

  #mustHave({ index }: SoakStream, range: TimeRange, askedMs: number): readonly number[] {
    const { timesNs, acknowledgedMs } = this.#record(index);
    const numbers: number[] = [];
    for (let number = 0; number < timesNs.length; number += 1) {
      if ((acknowledgedMs[number] as number) <= askedMs && isWithin(timesNs[number] as bigint, range))
        numbers.push(number);
    }
    return numbers;
  }

  #findings(
    kind: FindingKind,
    { labelText }: SoakStream,
    range: TimeRange,
    which: readonly (string | number)[],
  ): readonly Finding[] {
    if (which.length === 0) return [];
    const listed = which.slice(0, LISTED_MAX).join(', ');
    return [
      { kind, text: `${labelText} ${rangeText(range)}: ${which.length} ${kind}: ${listed}`, entries: which.length },
    ];
  }
}

const isWithin = (timeNs: bigint, { startNs, endNs }: TimeRange): boolean => timeNs >= startNs && timeNs <= endNs;

const rangeText = ({ startNs, endNs }: TimeRange): string => `[${startNs}, ${endNs}]`;
