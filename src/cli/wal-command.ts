import type { Command } from 'commander';
import type { WalFlags } from './inspect-wal.ts';
import type { Terminal } from './terminal.ts';

export const addWalCommand = (program: Command, terminal: Terminal): void => {
  const wal = program.command('wal').description('look at the write-ahead log');
  wal
    .command('inspect')
    .argument('<path>', 'the log folder of a node, or one of its files')
    .description('print files and segments, and what is damaged; changes nothing, a node may be running')
    .option('--records', 'print every record, and read it')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      '\nExit code 1 if anything is damaged. An unfinished end of the newest file is not: a running node is writing it.\n\n' +
        'Example:\n  $ ringlog wal inspect data/log',
    )
    .action(async (path: string, flags: WalFlags) => {
      const { runInspectWal } = await import('./inspect-wal.ts');
      await runInspectWal(path, flags, terminal);
    });
};
