import type { LabelSet } from '../protocol/label-set.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';

/** Whose labels these are. */
export interface Labelled {
  readonly labels: LabelSet;
}

/** A value's streams: a lone one is kept without a Set around it, since labels like `pod` have a value per stream. */
type Postings<Member> = Member | Set<Member>;

/** True if a value passes a matcher; compiled once per query. */
export type ValueTest = (value: string) => boolean;

export interface CompiledMatcher {
  readonly matcher: LabelMatcher;
  readonly test: ValueTest;
}

/**
 * Label name → value → members, of one tenant. Finds the candidates of a selector without looking at every stream: the shortest
 * postings of an `=` matcher, else the values of a label that must not be empty, else all.
 */
export class LabelIndex<Member extends Labelled & object> {
  readonly #names: Map<string, Map<string, Postings<Member>>> = new Map();

  get names(): Iterable<string> {
    return this.#names.keys();
  }

  add(member: Member): void {
    const { pairs } = member.labels;
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      this.#addPosting(pairs[index] as string, pairs[index + 1] as string, member);
    }
  }

  remove(member: Member): void {
    const { pairs } = member.labels;
    for (let index = 0; index + 1 < pairs.length; index += 2) {
      this.#removePosting(pairs[index] as string, pairs[index + 1] as string, member);
    }
  }

  /** Members that may pass all matchers, in groups; undefined if no matcher narrows them: then ask all. */
  candidates(matchers: readonly CompiledMatcher[]): Iterable<Member> | undefined {
    let shortest: Postings<Member> | undefined;
    let shortestSize = Number.POSITIVE_INFINITY;
    for (const { matcher } of matchers) {
      if (matcher.op !== '=' || matcher.value === '') continue;
      const postings = this.#names.get(matcher.name)?.get(matcher.value);
      if (!postings) return [];
      const size = postings instanceof Set ? postings.size : 1;
      if (size >= shortestSize) continue;
      shortest = postings;
      shortestSize = size;
    }
    if (shortest) return membersOf(shortest);
    const required = matchers.find(({ test }) => !test(''));
    return required ? this.#withPassingValue(required) : undefined;
  }

  *#withPassingValue({ matcher, test }: CompiledMatcher): Iterable<Member> {
    for (const [value, postings] of this.#names.get(matcher.name) ?? []) {
      if (test(value)) yield* membersOf(postings);
    }
  }

  #addPosting(name: string, value: string, member: Member): void {
    let values = this.#names.get(name);
    if (!values) {
      values = new Map();
      this.#names.set(name, values);
    }
    const postings = values.get(value);
    if (!postings) values.set(value, member);
    else if (postings instanceof Set) postings.add(member);
    else values.set(value, new Set([postings, member]));
  }

  #removePosting(name: string, value: string, member: Member): void {
    const values = this.#names.get(name);
    const postings = values?.get(value);
    if (!values || !postings) return;
    if (postings instanceof Set) postings.delete(member);
    if (postings === member || (postings instanceof Set && postings.size === 0)) values.delete(value);
    if (values.size === 0) this.#names.delete(name);
  }
}

const membersOf = <Member extends object>(postings: Postings<Member>): Iterable<Member> =>
  postings instanceof Set ? postings : [postings];

/** A missing label has the value "". */
export const passesAll = (labels: LabelSet, matchers: readonly CompiledMatcher[]): boolean =>
  matchers.every(({ matcher, test }) => test(labelValueOf(labels, matcher.name)));

const labelValueOf = ({ pairs }: LabelSet, name: string): string => {
  for (let index = 0; index + 1 < pairs.length; index += 2) {
    if (pairs[index] === name) return pairs[index + 1] as string;
  }
  return '';
};
