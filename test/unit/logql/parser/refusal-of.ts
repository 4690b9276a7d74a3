import { type Refusal, RefusedError } from '../../../../src/protocol/refusal.ts';

/** What `action` is refused with; undefined if it is not. Any other error is a defect and passes through. */
export const refusalOf = (action: () => unknown): Refusal | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal;
    throw error;
  }
};
