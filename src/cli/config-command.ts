import type { Command } from 'commander';
import { addConfigOptions, type ConfigFlags, configSourcesOf } from './config-sources.ts';
import type { Terminal } from './terminal.ts';

const HELP = `
Flags win over the environment (RINGLOG_HTTP_LISTEN, RINGLOG_INGESTER_MAX_CHUNK_AGE …), that over the file, that over the defaults.

Examples:
  $ ringlog config
  $ ringlog config --check --config ringlog.yaml`;

export const addConfigCommand = (program: Command, terminal: Terminal): void => {
  const command = program
    .command('config')
    .description('print the configuration a node would run with, as YAML')
    .option('--check', 'only say whether it is valid')
    .addHelpText('after', HELP);
  addConfigOptions(command).action(async (flags: ConfigFlags & { readonly check?: boolean }) => {
    const { configYaml, loadConfig } = await import('../config.ts');
    const config = loadConfig(configSourcesOf(flags));
    if (flags.check) await terminal.line('valid');
    else await terminal.raw(configYaml(config));
  });
};
