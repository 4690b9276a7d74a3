/** `| keep a, b="value"`: deletes all other labels, and those whose matcher fails. The error and its details always stay. */
import type { DropTarget } from '../ast.ts';
import { compileLabelMatcher } from '../matcher.ts';
import { type Entry, ERROR_DETAILS_LABEL, ERROR_LABEL } from './entry.ts';
import type { CompiledStage } from './stage.ts';

type Test = (value: string) => boolean;

const testsByName = (targets: readonly DropTarget[]): ReadonlyMap<string, readonly Test[]> => {
  const tests = new Map<string, Test[]>([
    [ERROR_LABEL, [() => true]],
    [ERROR_DETAILS_LABEL, [() => true]],
  ]);
  for (const { name, matcher } of targets) {
    const test = matcher === undefined ? () => true : compileLabelMatcher(matcher);
    tests.set(name, [...(tests.get(name) ?? []), test]);
  }
  return tests;
};

const keepOnly = (entry: Entry, id: number, tests: ReadonlyMap<string, readonly Test[]>): void => {
  const accepted = tests.get(entry.names.names[id]!);
  if (accepted?.some((test) => test(entry.text(id))) !== true) entry.delete(id);
};

/** @throws RefusedError for a regex that does not parse */
export const compileKeep = (targets: readonly DropTarget[]): CompiledStage => {
  const tests = testsByName(targets);
  return {
    start: (fresh) => {
      const streamIds = fresh.labels.pairs.filter((_, index) => index % 2 === 0).map((name) => fresh.id(name));
      return (entry) => {
        for (const id of entry.touched()) keepOnly(entry, id, tests);
        for (const id of streamIds) keepOnly(entry, id, tests);
        return true;
      };
    },
  };
};
