import { type Command, InvalidArgumentError } from 'commander';
import { parseSize } from '../protocol/limit-values.ts';
import { parseCount } from './shared-options.ts';

export interface PaceFlags {
  readonly concurrency: number;
  /** Bytes a second. */
  readonly rateLimit: number;
}

/** Chosen: hides the round trips of stores in the cloud; 24 MiB of chunks of the default size. */
const CONCURRENCY = 16;
const CONCURRENCY_MAX = 256;

/** How much of the stores a command takes. */
export const addPaceOptions = (command: Command): Command =>
  command
    .option('--concurrency <count>', 'chunks under way together, each in memory', parseConcurrency, CONCURRENCY)
    .option('--rate-limit <size>', 'bytes of objects a second, such as 50MB', parseRate, Number.POSITIVE_INFINITY);

const parseConcurrency = (text: string): number => {
  const count = parseCount(text);
  if (count < 1 || count > CONCURRENCY_MAX) throw new InvalidArgumentError(`want 1 to ${CONCURRENCY_MAX}.`);
  return count;
};

const parseRate = (text: string): number => {
  const bytes = parseSize(text);
  if (!bytes) throw new InvalidArgumentError('want a size, such as 50MB.');
  return bytes;
};
