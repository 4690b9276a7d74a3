import { validateStages } from '../../../../src/logql/compile-pipeline.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';
import { stagesOf } from './run-pipeline.ts';

/** The text with which the stages of `{app="a"} <tail>` are refused, "nothing" if they are not. */
export const refusalOf = (tail: string): string => {
  try {
    validateStages(stagesOf(tail));
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.text;
    throw error;
  }
  return 'nothing';
};
