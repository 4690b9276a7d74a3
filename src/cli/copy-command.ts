import { type Command, InvalidArgumentError } from 'commander';
import { parseSize } from '../protocol/limit-values.ts';
import { collect, parseCount } from './shared-options.ts';
import type { Terminal } from './terminal.ts';

export interface CopyFlags {
  readonly fromConfig: string;
  readonly toConfig: string;
  readonly tenant: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly since?: string;
  readonly concurrency: number;
  readonly rateLimit: number;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** Chosen: hides the round trips of stores in the cloud; 24 MiB of chunks of the default size. */
const CONCURRENCY = 16;
const CONCURRENCY_MAX = 256;

const HELP = `
Copies what lies in the stores that one configuration names into those that another one names: chunks with the rows of the target's own
schema. The files are those that \`ringlog serve\` takes; RINGLOG_ variables are not read here. Either side may be in use by nodes, but
for embedded stores of the target in a data_dir. What is not flushed yet is not copied: flush first (POST /flush), or run it again later.

It may be ended at any moment and run again: what is there is left out. A chunk is copied whole if a part of it is in the time range.
Nothing is deleted on either side. With --verify nothing is copied: every object is read at the target, and every row is looked for.

Exit code 1 if a chunk was left out (damaged, or the target cannot have it), if --verify found a difference, or if it was interrupted.

Examples:
  $ ringlog copy --from-config embedded.yaml --to-config gcp.yaml --dry-run
  $ ringlog copy --from-config embedded.yaml --to-config gcp.yaml --rate-limit 50MB
  $ ringlog copy --from-config embedded.yaml --to-config gcp.yaml --verify
  $ ringlog copy --from-config gcp.yaml --to-config embedded.yaml --tenant team-a --since 7d`;

export const addCopyCommand = (program: Command, terminal: Terminal): void => {
  program
    .command('copy')
    .description('copy chunks and index from one store to another')
    .requiredOption('--from-config <file>', 'configuration that names the source')
    .requiredOption('--to-config <file>', 'configuration that names the target')
    .option('--tenant <id>', 'only of this tenant; may be repeated', collect, [])
    .option('--from <time>', 'only chunks that end at this time or later: RFC 3339, unix seconds or nanoseconds')
    .option('--to <time>', 'only chunks that begin at this time or before')
    .option('--since <duration>', 'in place of --from: so long ago')
    .option('--concurrency <count>', 'chunks under way together, each in memory', parseConcurrency, CONCURRENCY)
    .option('--rate-limit <size>', 'bytes of objects a second, such as 50MB', parseRate, Number.POSITIVE_INFINITY)
    .option('--dry-run', 'only say what would be copied')
    .option('--verify', 'only compare: objects by their checksums, rows one by one')
    .option('--all', "copy also what the target's index has, such as objects that --verify misses")
    .option('--json', 'print the totals as JSON')
    .addHelpText('after', HELP)
    .action(async (flags: CopyFlags) => {
      const { runCopy } = await import('./run-copy.ts');
      await runCopy(flags, terminal);
    });
};

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
