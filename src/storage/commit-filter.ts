/** Filters of Bigtable for the cells of commits. */
import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { SegmentName } from './index-store.ts';

type RowFilter = google.bigtable.v2.IRowFilter;

export const COMMIT_FAMILY = 'c';
/** Chosen: a filter may have 20 KB, and a name takes 130 bytes of it. More are told by a pattern. */
const NAMED_SEGMENTS_MAX = 50;
const PATTERN_BYTES_MAX = 18_000;

/** The cells that commit any of the segments. */
export const commitsOf = (segments: readonly SegmentName[]): RowFilter =>
  segments.length <= NAMED_SEGMENTS_MAX ? interleave(segments.map(commitColumn)) : commitPattern(segments);

const commitColumn = (segment: SegmentName): RowFilter => {
  const qualifier = bytesOfText(segment);
  return {
    columnRangeFilter: {
      familyName: COMMIT_FAMILY,
      startQualifierClosed: qualifier,
      endQualifierClosed: qualifier,
    },
  };
};

/**
 * One pattern for very many: names of one log differ in their numbers alone, some 6 bytes of a filter each.
 * @throws RefusedError INTERNAL if no filter can hold it, 2,500 segments or so: the chunk is to be made of fewer
 */
const commitPattern = (segments: readonly SegmentName[]): RowFilter => {
  const endings = new Map<string, string[]>();
  for (const segment of segments) {
    const end = segment.lastIndexOf('/') + 1;
    const prefix = segment.slice(0, end);
    const known = endings.get(prefix);
    if (known) known.push(segment.slice(end));
    else endings.set(prefix, [segment.slice(end)]);
  }
  const parts = Array.from(endings, ([prefix, names]) => `${literal(prefix)}(?:${names.map(literal).join('|')})`);
  const pattern = bytesOfText(`(?:${parts.join('|')})`);
  if (pattern.length > PATTERN_BYTES_MAX) {
    const text = `a chunk of ${segments.length} segments, whose names are too long to commit them together`;
    throw new RefusedError({ code: 'INTERNAL', text });
  }
  const filters = [{ familyNameRegexFilter: COMMIT_FAMILY }, { columnQualifierRegexFilter: pattern }];
  return { chain: { filters } };
};

/** Of RE2, which takes no escaped letter, digit or `_` for itself. */
const literal = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');

/** Bigtable takes two or more for that. */
export const interleave = (filters: readonly RowFilter[]): RowFilter => {
  const [first, second] = filters;
  return first && !second ? first : { interleave: { filters: [...filters] } };
};
