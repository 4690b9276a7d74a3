/** `| drop a, b="value"`. */
import type { DropTarget } from '../ast.ts';
import { compileLabelMatcher } from '../matcher.ts';
import { ERROR_DETAILS_LABEL, ERROR_LABEL } from './entry.ts';
import type { CompiledStage, RunStage } from './stage.ts';

const ANY = (): boolean => true;

/** A bare name deletes; a matcher only if it takes the current value. Dropping the error leaves its details. */
const dropOne = ({ name, matcher }: DropTarget): CompiledStage => {
  const matches = matcher === undefined ? ANY : compileLabelMatcher(matcher);
  return {
    start: (fresh) => {
      const id = fresh.id(name);
      return (entry) => {
        if (name === ERROR_LABEL) {
          if (matches(entry.error)) entry.error = '';
        } else if (name === ERROR_DETAILS_LABEL) {
          if (matches(entry.errorDetails)) entry.errorDetails = '';
        } else if (matcher === undefined || matches(entry.text(id))) {
          entry.delete(id);
        }
        return true;
      };
    },
  };
};

/** @throws RefusedError for a regex that does not parse */
export const compileDrop = (targets: readonly DropTarget[]): CompiledStage => {
  const stages = targets.map(dropOne);
  return {
    start: (fresh) => {
      const drops: readonly RunStage[] = stages.map((stage) => stage.start(fresh));
      return (entry) => {
        for (const drop of drops) drop(entry);
        return true;
      };
    },
  };
};
