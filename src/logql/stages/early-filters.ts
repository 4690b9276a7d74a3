/**
 * Label filters that directly follow a parser, tried as soon as the parser has set their label. A shortcut: the filter would drop the line
 * anyway, whatever the rest of the line holds, since the first value a parser finds is final. It shows in one place, as in Loki: an error
 * of converting the value is marked at once, so `__error__="" | n > 4` drops lines whose n is no number.
 */
import type { LabelFilter } from '../ast.ts';
import type { Entry } from './entry.ts';
import type { Comparison } from './json-members.ts';
import { compileLabelFilter, simpleParts } from './label-filter.ts';
import type { CompiledStage, RunStage } from './stage.ts';

export type EarlyTest = (id: number) => boolean;

interface EarlyFilter {
  readonly name: string;
  readonly stage: CompiledStage;
}

const compileSimpleParts = (filters: readonly LabelFilter[]): readonly EarlyFilter[] =>
  filters.flatMap(simpleParts).map(({ name, filter }) => ({ name, stage: compileLabelFilter(filter) }));

/** Most queries have one filter: no table to look it up in. */
const onlyTest = (entry: Entry, { name, stage }: EarlyFilter): EarlyTest => {
  const filtered = entry.id(name);
  const test = stage.start(entry);
  return (id) => id !== filtered || test(entry);
};

export class EarlyFilters {
  readonly #filters: readonly LabelFilter[];
  #compiled: readonly EarlyFilter[] | undefined;

  /** The filters are compiled when first used: what is wrong with one is reported by its own stage. */
  constructor(filters: readonly LabelFilter[]) {
    this.#filters = filters;
  }

  /** Comparisons with numbers among the filters, by the id of the label that they look at: of several on one label the first. */
  comparisons(entry: Entry): ReadonlyMap<number, Comparison> {
    const comparisons = new Map<number, Comparison>();
    for (const { name, filter } of this.#filters.flatMap(simpleParts)) {
      const id = entry.id(name);
      if (filter.kind === 'number' && !comparisons.has(id)) comparisons.set(id, filter);
    }
    return comparisons;
  }

  /** A test for a label just set: false if a filter on it drops the line. undefined if there is no filter. */
  start(entry: Entry): EarlyTest | undefined {
    this.#compiled ??= compileSimpleParts(this.#filters);
    const [first, ...others] = this.#compiled;
    if (first === undefined) return undefined;
    if (others.length === 0) return onlyTest(entry, first);
    const tests: (RunStage[] | undefined)[] = [];
    for (const { name, stage } of this.#compiled) {
      const id = entry.id(name);
      const list = tests[id] ?? [];
      list.push(stage.start(entry));
      tests[id] = list;
    }
    return (id) => {
      const list = tests[id];
      if (list === undefined) return true;
      for (let index = 0; index < list.length; index++) if (!list[index]!(entry)) return false;
      return true;
    };
  }
}
