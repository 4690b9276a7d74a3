import { gramHashes, mayHold } from '../../chunk/skip-filter.ts';
import { originalOf } from '../../logql/hints.ts';
import type { TextNeed } from '../../logql/text-need.ts';
import { valueOfLabel } from '../step-series.ts';

/** Whose block it is. */
export interface SkipStream {
  /** Flat pairs. */
  readonly labels: readonly string[];
  /** An entry may have structured metadata of this name, which stands in no line. */
  mayHaveMetadata(name: string): boolean;
}

/** True if a block with this filter may have a line that passes. */
export type SkipTest = (filter: Uint8Array, stream: SkipStream) => boolean;

/** undefined if every block may: nothing that can be looked up is needed of a line. */
export const compileSkipTest = (need: TextNeed | undefined): SkipTest | undefined => {
  if (!need) return undefined;
  switch (need.kind) {
    case 'text': {
      const hashes = gramHashes(need.bytes);
      return hashes.length === 0 ? undefined : (filter) => mayHold(filter, hashes);
    }
    case 'label': {
      const { name } = need;
      const test = compileSkipTest(need.need);
      // Metadata of a name that the stream has is called so.
      const original = originalOf(name);
      const isOther = (stream: SkipStream): boolean =>
        stream.mayHaveMetadata(name) || stream.mayHaveMetadata(original) || valueOfLabel(stream.labels, name) !== '';
      return test && ((filter, stream) => isOther(stream) || test(filter, stream));
    }
    case 'all': {
      const known = need.needs.map(compileSkipTest).filter((test) => test !== undefined);
      return known.length === 0 ? undefined : (filter, stream) => known.every((test) => test(filter, stream));
    }
    case 'any': {
      const tests = need.needs.map(compileSkipTest);
      const known = tests.filter((test) => test !== undefined);
      return known.length < tests.length ? undefined : (filter, stream) => known.some((test) => test(filter, stream));
    }
  }
};
