/** The command line: exit code 0 fine, 1 failed, 2 usage. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addChunkCommand } from './cli/chunk-command.ts';
import { CommandError, UsageError } from './cli/cli-error.ts';
import { addClusterCommand } from './cli/cluster-command.ts';
import { addConfigCommand } from './cli/config-command.ts';
import { addCopyCommand } from './cli/copy-command.ts';
import { addLabelsCommand } from './cli/labels-command.ts';
import { addPushCommand } from './cli/push-command.ts';
import { addQueryCommand } from './cli/query-command.ts';
import { addRingCommands } from './cli/ring-command.ts';
import { addServeCommand } from './cli/serve-command.ts';
import { addStoreCommand } from './cli/store-command.ts';
import { addTailCommand } from './cli/tail-command.ts';
import { processTerminal, type Terminal } from './cli/terminal.ts';
import { addWalCommand } from './cli/wal-command.ts';

/** package.json lies two folders up in a build (dist/src), one in a checkout. */
const version = (): string => {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      // the other place
    }
  }
  return '0.0.0';
};

const EXAMPLES = `
Examples:
  $ ringlog serve --data-dir ./data
  $ ringlog push --labels app=web /var/log/web.log
  $ ringlog query '{app="web"} |= "error"'
  $ ringlog tail '{app="web"}'

Exit codes: 0 fine, 1 failed, 2 wrong usage. ringlog help <command> says more about each.`;

const buildProgram = (terminal: Terminal): Command => {
  const program = new Command('ringlog')
    .description("Loki's read and write path as a cluster of actors")
    .version(version(), '-V, --version')
    .showSuggestionAfterError()
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  program.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'ringlog: ')) });
  addServeCommand(program, terminal, version());
  addClusterCommand(program, terminal);
  addRingCommands(program, terminal);
  addPushCommand(program, terminal);
  addQueryCommand(program, terminal);
  addTailCommand(program, terminal);
  addLabelsCommand(program, terminal);
  addChunkCommand(program, terminal);
  addWalCommand(program, terminal);
  addCopyCommand(program, terminal);
  addStoreCommand(program, terminal);
  addConfigCommand(program, terminal);
  inheritSettings(program);
  return program;
};

/** Commands made before exitOverride was set would end the process themselves. */
const inheritSettings = (command: Command): void => {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inheritSettings(child);
  }
};

/** A port that is taken, a folder that cannot be written: what the system says is enough. */
const isOfTheWorld = ({ name, syscall }: NodeJS.ErrnoException): boolean =>
  syscall !== undefined || name === 'RefusedError' || name === 'MembershipError';

const exitCodeOf = (error: unknown, terminal: Terminal): number => {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  // The configuration is loaded only by the commands that need it: its error is known by name.
  const isUsage = error instanceof UsageError || (error as Error).name === 'ConfigError';
  const isExpected = isUsage || error instanceof CommandError || isOfTheWorld(error as NodeJS.ErrnoException);
  const { message, stack } = error as Error;
  for (const line of (isExpected ? message : (stack ?? message)).split('\n')) {
    // What is indented belongs to the line before.
    if (line.trim() !== '') terminal.note(/^\s/.test(line) ? line : `ringlog: ${line}`);
  }
  if (error instanceof CommandError) return error.exitCode;
  return isUsage ? 2 : 1;
};

const main = async (): Promise<void> => {
  const terminal = processTerminal();
  try {
    await buildProgram(terminal).parseAsync();
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = exitCodeOf(error, terminal);
  }
};

await main();
