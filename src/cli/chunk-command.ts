import type { Command } from 'commander';
import type { InspectFlags } from './inspect-chunk.ts';
import type { Terminal } from './terminal.ts';

export const addChunkCommand = (program: Command, terminal: Terminal): void => {
  const chunk = program.command('chunk').description('look at stored chunks');
  chunk
    .command('inspect')
    .argument('<file...>', 'chunk objects, as they lie in the store')
    .description("print a chunk's header and blocks, and verify its checksums")
    .option('--entries', 'print the entries too')
    .option('--json', 'one JSON document per chunk; with --entries one per entry')
    .addHelpText(
      'after',
      '\nExit code 1 if anything is damaged.\n\nExample:\n  $ ringlog chunk inspect --entries ringlog-data/chunks/fake/*/*',
    )
    .action(async (files: readonly string[], flags: InspectFlags) => {
      const { runInspect } = await import('./inspect-chunk.ts');
      await runInspect(files, flags, terminal);
    });
};
