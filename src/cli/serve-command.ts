import type { Command } from 'commander';
import { CommandError } from './cli-error.ts';
import { addConfigOptions, type ConfigFlags, configSourcesOf } from './config-sources.ts';
import type { Terminal } from './terminal.ts';

const FAILED: Readonly<Record<number, string>> = {
  3: 'not everything could be handed over: the disk is needed, start the node again',
};

const HELP = `
SIGTERM and SIGINT end it cleanly: requests are answered, what is unflushed is kept; a member of a cluster hands everything to the other
nodes first and exits with 0 only if nothing is left on its disk, with 3 otherwise. A second one ends it at once.

Examples:
  $ ringlog serve
  $ ringlog serve --http-listen 127.0.0.1:3100 --grpc-listen 127.0.0.1:9095 --data-dir ./data --config ringlog.yaml`;

export const addServeCommand = (program: Command, _terminal: Terminal, version: string): void => {
  const command = program.command('serve').description('run a node').addHelpText('after', HELP);
  addConfigOptions(command).action(async (flags: ConfigFlags) => {
    // A node takes a while to load; the other commands should not.
    const [{ loadConfig }, { serve }] = await Promise.all([import('../config.ts'), import('../serve.ts')]);
    const exitCode = await serve(loadConfig(configSourcesOf(flags)), version);
    if (exitCode !== 0) throw new CommandError(FAILED[exitCode] ?? 'the node did not stop cleanly', { exitCode });
  });
};
