import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ConfigFlags } from './config-sources.ts';
import { addPaceOptions, type PaceFlags } from './pace-options.ts';
import { addScopeOptions, type ScopeFlags } from './scope-options.ts';
import { parseCount } from './shared-options.ts';
import type { Terminal } from './terminal.ts';

export interface StoreCheckFlags extends ScopeFlags, PaceFlags, Pick<ConfigFlags, 'config' | 'dataDir'> {
  readonly grace: string;
  readonly quick?: boolean;
  readonly fix?: boolean;
  readonly deleteOrphans?: boolean;
  /** Of the rows and of the objects looked at, in percent. */
  readonly removalsMax: number;
  readonly unindexCorrupt?: boolean;
  readonly output: 'text' | 'json';
}

/** Chosen: more than a store collects by crashes, less than a wrong bucket or index makes of all. */
const REMOVALS_MAX_PERCENT = 10;

const HELP = `
Compares the objects of a store with its index, both ways. Found are

  dangling-row        a row whose object is not there: queries that meet it fail            --fix removes it
  misplaced-row       a row that its chunk does not have: of another series, day or time    --fix replaces it
  missing-rows        a chunk that is committed and lacks rows                              --fix writes them
  missing-label-rows  a series with chunks that some matcher does not find                  --fix writes them
  stale-label-row     what finds a series on a day on which it has no chunks                --fix removes it
  unsettled-commit    a commit that was cut before all of its rows were written             --fix finishes it
  orphan-object       an object that no row names                       --fix --delete-orphans deletes it
  corrupt-object      an object that is not what its key says: kept;    --fix --unindex-corrupt removes its rows
  unreadable-row      a row that names no chunk of its tenant: kept

Nothing is changed without --fix. Nodes may run meanwhile: what is younger than --grace, or marked by compaction, is left alone, and
everything is looked at again right before it is changed. No row without object, no row of a corrupt one and no orphan goes if
more than --removals-max percent are such: then the bucket or the index may be another one. Objects of another
system in the bucket are orphans here. With --fix, embedded stores in a data_dir are for the command alone.

Exit code 0 if nothing was found or all of it was mended, 1 if something is left, 3 if it could not be checked to the end. It may be
ended at any moment and run again.

Examples:
  $ ringlog store check --config gcp.yaml
  $ ringlog store check --config gcp.yaml --quick --since 7d --output json
  $ ringlog store check --data-dir ./data --fix`;

export const addStoreCommand = (program: Command, terminal: Terminal): void => {
  const store = program.command('store').description('look after stored chunks and their index');
  const command = store
    .command('check')
    .description('find what does not fit together: rows, objects, checksums; and mend it')
    .addOption(new Option('--config <file>', 'YAML file that names the stores').env('RINGLOG_CONFIG'))
    .option('--data-dir <folder>', 'where embedded stores are');
  addPaceOptions(addScopeOptions(command))
    .option('--grace <duration>', 'what is younger is left alone', '24h')
    .option('--quick', 'read one object of each stream, and of the others only their rows')
    .option('--fix', 'mend what can be mended without a loss')
    .option('--delete-orphans', 'with --fix: delete objects that no row names')
    .option(
      '--removals-max <percent>',
      'remove no row without object, and no orphan, if more of those looked at are such, of all or of the tenant',
      parsePercent,
      REMOVALS_MAX_PERCENT,
    )
    .option('--unindex-corrupt', 'with --fix: remove the rows of corrupt objects, so that queries answer without them')
    .addOption(new Option('--output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async (flags: StoreCheckFlags) => {
      const { runStoreCheck } = await import('./run-store-check.ts');
      await runStoreCheck(flags, terminal);
    });
};

const parsePercent = (text: string): number => {
  const percent = parseCount(text);
  if (percent > 100) throw new InvalidArgumentError('want 0 to 100.');
  return percent;
};
