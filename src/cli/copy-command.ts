import type { Command } from 'commander';
import { addPaceOptions, type PaceFlags } from './pace-options.ts';
import { addScopeOptions, type ScopeFlags } from './scope-options.ts';
import type { Terminal } from './terminal.ts';

export interface CopyFlags extends ScopeFlags, PaceFlags {
  readonly fromConfig: string;
  readonly toConfig: string;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
}

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
  const command = program
    .command('copy')
    .description('copy chunks and index from one store to another')
    .requiredOption('--from-config <file>', 'configuration that names the source')
    .requiredOption('--to-config <file>', 'configuration that names the target');
  addPaceOptions(addScopeOptions(command))
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
