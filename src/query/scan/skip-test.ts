import { gramHashes, mayHold } from '../../chunk/skip-filter.ts';
import type { TextNeed } from '../../logql/text-need.ts';

/** True if a block with this filter may have a line that passes. */
export type SkipTest = (filter: Uint8Array) => boolean;

/** undefined if every block may: nothing that can be looked up is needed of a line. */
export const compileSkipTest = (need: TextNeed | undefined): SkipTest | undefined => {
  if (!need) return undefined;
  if (need.kind === 'text') {
    const hashes = gramHashes(need.bytes);
    return hashes.length === 0 ? undefined : (filter) => mayHold(filter, hashes);
  }
  const tests = need.needs.map(compileSkipTest);
  const known = tests.filter((test) => test !== undefined);
  if (need.kind === 'all') return known.length === 0 ? undefined : (filter) => known.every((test) => test(filter));
  return known.length < tests.length ? undefined : (filter) => known.some((test) => test(filter));
};
