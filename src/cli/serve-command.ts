import type { Command } from 'commander';
import { CommandError } from './cli-error.ts';
import { addConfigOptions, type ConfigFlags, configSourcesOf } from './config-sources.ts';
import type { Terminal } from './terminal.ts';

const FAILED: Readonly<Record<number, string>> = {
  3: 'not everything could be handed over: the disk is needed, start the node again',
};

const HELP = `
SIGTERM and SIGINT end it cleanly: requests are answered, what is unflushed is kept; a member of a cluster hands everything to the other
nodes first and exits with 0 only if nothing is left on its disk, with 3 otherwise. A second one ends it at once. With --until-stdin-ends
the end of its standard input is like SIGTERM: whoever starts it with a pipe there leaves no node behind, however it ends itself.

Examples:
  $ ringlog serve
  $ ringlog serve --http-listen 127.0.0.1:3100 --grpc-listen 127.0.0.1:9095 --data-dir ./data --config ringlog.yaml`;

export const addServeCommand = (program: Command, _terminal: Terminal, version: string): void => {
  const command = program.command('serve').description('run a node').addHelpText('after', HELP);
  command.option('--until-stdin-ends', 'stop once standard input ends');
  addConfigOptions(command).action(async (flags: ConfigFlags & { readonly untilStdinEnds?: boolean }) => {
    // A node takes a while to load; the other commands should not.
    const [{ loadConfig }, { serve }] = await Promise.all([import('../config.ts'), import('../serve.ts')]);
    const exitCode = await serve(loadConfig(configSourcesOf(flags)), version, flags.untilStdinEnds);
    if (exitCode !== 0) throw new CommandError(FAILED[exitCode] ?? 'the node did not stop cleanly', { exitCode });
  });
};
