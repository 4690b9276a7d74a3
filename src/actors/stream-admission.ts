/**
 * Which entries a stream takes: its rate first, then the out-of-order window, as Loki does. Pure. The common case, all of them, costs
 * one pass over the lengths and one over the times.
 */
import { lineLengthAt } from '../chunk/line-bounds.ts';
import { splitByWindow } from '../chunk/time-window.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import { sizeText } from '../protocol/limit-values.ts';
import { goTimeText, rfc3339Text, secondsOf } from '../protocol/time-text.ts';

export interface StreamLimits {
  /** Line bytes a second and stream; 0 = no limit. */
  readonly rateBytes: number;
  readonly rateBurstBytes: number;
  /** How far behind the stream's newest entry one may be (`max_chunk_age` / 2). */
  readonly windowNs: bigint;
  /** `unordered_writes: false`: there is no window, and the texts say so. */
  readonly isOrdered: boolean;
}

/** Bytes left of a stream's rate. */
export interface RateState {
  rateBytes: number;
  rateAtMs: number;
}

export interface Admission {
  /** Runs to append, in order. */
  readonly accepted: readonly EntryRange[];
  /** The stream's newest time with them. */
  readonly newest: bigint | undefined;
  readonly refused: RefusedEntries;
}

export interface RefusedEntry {
  readonly timeNs: bigint;
  readonly lineBytes: number;
  /** The oldest time that would have been taken then; undefined if the rate refused it. */
  readonly oldestNs: bigint | undefined;
}

/** Entries that one text lists (Loki's `max_returned_stream_errors`). */
const LISTED_MAX = 10;

/** What a stream refused of one push: a push may have hundreds of thousands of such entries, so only the first are kept. */
export class RefusedEntries {
  readonly listed: RefusedEntry[] = [];
  count = 0;
  lineBytes = 0;
  /** The rate refused one of them. */
  isRate = false;
  /** Entries that came, taken or not. */
  total = 0;

  get isListing(): boolean {
    return this.listed.length < LISTED_MAX;
  }

  /** Not listed. */
  add(lineBytes: number): void {
    this.count += 1;
    this.lineBytes += lineBytes;
  }

  list(entry: RefusedEntry): void {
    this.add(entry.lineBytes);
    this.listed.push(entry);
  }
}

/** `refused`: of the parts of the same push that came before. */
export const admit = (
  rate: RateState,
  newest: bigint | undefined,
  ranges: readonly EntryRange[],
  limits: StreamLimits,
  nowMs: number,
  refused: RefusedEntries = new RefusedEntries(),
): Admission => {
  for (const { first, end } of ranges) refused.total += end - first;
  const withinRate = admitByRate(rate, ranges, limits, nowMs, refused);
  const accepted: EntryRange[] = [];
  let newestSoFar = newest;
  for (const range of withinRate) {
    const split = splitByWindow(range, newestSoFar, limits.windowNs);
    for (const run of split.accepted) accepted.push(run);
    if (split.tooFarBehind.length > 0) refuseLate(range, split.tooFarBehind, newestSoFar, limits.windowNs, refused);
    newestSoFar = split.newest;
  }
  return { accepted, newest: newestSoFar, refused };
};

const lengthOf = ({ columns }: EntryRange, index: number): number =>
  lineLengthAt(columns.bytes, columns.lineOffsets[index] as number);

const lineBytesOf = (range: EntryRange): number => {
  if (range.lineBytes !== undefined) return range.lineBytes;
  let bytes = 0;
  for (let index = range.first; index < range.end; index += 1) bytes += lengthOf(range, index);
  return bytes;
};

/** The runs that the stream's token bucket allows; entries beyond it are refused one by one, so a smaller one may still pass. */
const admitByRate = (
  rate: RateState,
  ranges: readonly EntryRange[],
  { rateBytes, rateBurstBytes }: StreamLimits,
  nowMs: number,
  refused: RefusedEntries,
): readonly EntryRange[] => {
  if (rateBytes === 0) return ranges;
  const earned = Math.max(0, ((nowMs - rate.rateAtMs) / 1000) * rateBytes);
  const left = rate.rateBytes < 0 ? rateBurstBytes : Math.min(rateBurstBytes, rate.rateBytes + earned);
  rate.rateAtMs = nowMs;
  rate.rateBytes = left;
  const wanted = ranges.reduce((bytes, range) => bytes + lineBytesOf(range), 0);
  if (wanted <= left) {
    rate.rateBytes = left - wanted;
    return ranges;
  }
  return ranges.flatMap((range) => takeWhatFits(rate, range, refused));
};

const takeWhatFits = (rate: RateState, range: EntryRange, refused: RefusedEntries): EntryRange[] => {
  const { columns, first, end } = range;
  const runs: EntryRange[] = [];
  let runStart = first;
  for (let index = first; index < end; index += 1) {
    const lineBytes = lengthOf(range, index);
    if (lineBytes <= rate.rateBytes) {
      rate.rateBytes -= lineBytes;
      continue;
    }
    refused.isRate = true;
    if (refused.isListing) refused.list({ timeNs: columns.times[index] as bigint, lineBytes, oldestNs: undefined });
    else refused.add(lineBytes);
    if (index > runStart) runs.push({ columns, first: runStart, end: index });
    runStart = index + 1;
  }
  if (end > runStart) runs.push({ columns, first: runStart, end });
  return runs;
};

/** Finds out, for entries that came too late, what would have been in time then: the window moves with each newer entry. */
const refuseLate = (
  range: EntryRange,
  late: readonly number[],
  newestBefore: bigint | undefined,
  windowNs: bigint,
  refused: RefusedEntries,
): void => {
  const { times } = range.columns;
  let newest = newestBefore ?? (times[range.first] as bigint);
  let index = range.first;
  for (const lateIndex of late) {
    if (!refused.isListing) {
      refused.add(lengthOf(range, lateIndex));
      continue;
    }
    for (; index < lateIndex; index += 1) {
      const time = times[index] as bigint;
      if (time > newest) newest = time;
    }
    const timeNs = times[lateIndex] as bigint;
    refused.list({ timeNs, lineBytes: lengthOf(range, lateIndex), oldestNs: newest - windowNs });
  }
};

/** Loki 3.7's text for entries a stream refused: at most ten of them, in the order of the push, and how many in all. */
export const refusedEntriesText = (
  tenant: string,
  stream: string,
  { listed, count, total }: RefusedEntries,
  limits: StreamLimits,
): string => {
  const lines = listed.map((entry) => {
    const reason = reasonOf(stream, entry, limits);
    return `entry with timestamp ${goTimeText(entry.timeNs)} ignored, reason: '${reason}',\n`;
  });
  return `${lines.join('')}user '${tenant}', total ignored: ${count} out of ${total} for stream: ${stream}`;
};

const reasonOf = (stream: string, entry: RefusedEntry, { rateBytes, isOrdered }: StreamLimits): string => {
  if (entry.oldestNs === undefined) return rateReason(stream, entry, rateBytes);
  return isOrdered ? 'entry out of order' : lateReason(entry, entry.oldestNs);
};

const rateReason = (stream: string, { lineBytes }: RefusedEntry, rateBytes: number): string =>
  `Per stream rate limit exceeded (limit: ${sizeText(rateBytes)}/sec) while attempting to ingest for stream '${stream}' totaling ` +
  `${sizeText(lineBytes)}, consider splitting a stream via additional labels or contact your Loki administrator to see if the ` +
  'limit can be increased';

const lateReason = ({ timeNs }: RefusedEntry, oldestNs: bigint): string =>
  `entry too far behind, entry timestamp is: ${rfc3339Text(secondsOf(timeNs))}, oldest acceptable timestamp is: ${rfc3339Text(secondsOf(oldestNs))}`;
