import { setMaxListeners } from 'node:events';
import type { Terminal } from './terminal.ts';

export interface Interruption {
  readonly signal: AbortSignal;
  stop(): void;
}

/**
 * The first SIGINT or SIGTERM lets what is under way come to its end, a second one ends the process: either is safe.
 * @param exitCode of that end
 */
export const interruptible = (terminal: Terminal, exitCode = 1): Interruption => {
  const aborting = new AbortController();
  // Every chunk that waits for its turn listens.
  setMaxListeners(0, aborting.signal);
  const onSignal = (): void => {
    if (aborting.signal.aborted) process.exit(exitCode);
    terminal.note('ending: what is under way is finished first');
    aborting.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
  return {
    signal: aborting.signal,
    stop: () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
    },
  };
};
