import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PushedStream } from './entry-columns.ts';
import { releaseMemory } from './release-memory.ts';
import type { TurnBudget } from './turn-budget.ts';

/** Reads a body in steps of about so many bytes. */
export interface StepDecoder {
  /** @returns true when all is read. @throws RefusedError */
  step(budget: number): boolean;
  /** Once `step` has returned true. */
  streams(): readonly PushedStream[];
}

/** Bytes decoded in one go: under 1 ms for real lines, under 10 ms for the worst body (measured). */
const STEP_BYTES = 1024 * 1024;

/** Lets others have their turns of the event loop between the steps. */
export const decodeInTurns = async (decoder: StepDecoder, turns?: TurnBudget): Promise<readonly PushedStream[]> => {
  while (turns && !turns.hasTime()) await turns.nextTurn();
  while (!decoder.step(STEP_BYTES)) await (turns?.nextTurn() ?? nextTurn());
  return decoder.streams();
};

/** As decodeInTurns. Bytes that cannot be decoded are released: garbage of bodies that were made to be large would wait for a collection. */
export const decodeOrRelease = async (
  bytes: Buffer,
  decoder: StepDecoder,
  turns?: TurnBudget,
): Promise<readonly PushedStream[]> => {
  try {
    return await decodeInTurns(decoder, turns);
  } catch (error) {
    releaseMemory(bytes);
    throw error;
  }
};
