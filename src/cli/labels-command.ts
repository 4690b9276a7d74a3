import type { Command } from 'commander';
import { formatLabels } from './label-text.ts';
import { LokiClient } from './loki-client.ts';
import { addRangeOptions, addServerOptions, type ServerFlags } from './shared-options.ts';
import type { Terminal } from './terminal.ts';
import { type RangeOptions, timeRangeOf } from './time-options.ts';

interface MetadataFlags extends ServerFlags, RangeOptions {
  readonly query?: string;
  readonly json?: boolean;
}

const rangeParameters = (flags: MetadataFlags): URLSearchParams => {
  const { startNs, endNs } = timeRangeOf(flags);
  return new URLSearchParams({ start: String(startNs), end: String(endNs) });
};

const runLabels = async (name: string | undefined, flags: MetadataFlags, terminal: Terminal): Promise<void> => {
  const parameters = rangeParameters(flags);
  if (flags.query !== undefined) parameters.set('query', flags.query);
  const texts = await new LokiClient({ addr: flags.addr, tenant: flags.tenant }).labels(name, parameters);
  if (flags.json) await terminal.line(JSON.stringify(texts));
  else for (const text of texts) await terminal.line(text);
};

const runSeries = async (selectors: readonly string[], flags: MetadataFlags, terminal: Terminal): Promise<void> => {
  const parameters = rangeParameters(flags);
  for (const selector of selectors) parameters.append('match[]', selector);
  const series = await new LokiClient({ addr: flags.addr, tenant: flags.tenant }).series(parameters);
  if (flags.json) await terminal.line(JSON.stringify(series));
  else for (const text of series.map(formatLabels).sort()) await terminal.line(text);
};

export const addLabelsCommand = (program: Command, terminal: Terminal): void => {
  const labels = program
    .command('labels')
    .argument('[name]', 'print the values of this label instead')
    .description('list label names, or the values of one label')
    .option('--query <selector>', 'only of streams that match')
    .option('--json', 'as a JSON array')
    .addHelpText('after', '\nExamples:\n  $ ringlog labels\n  $ ringlog labels app --query \'{env="prod"}\'');
  addRangeOptions(addServerOptions(labels)).action((name: string | undefined, flags: MetadataFlags) =>
    runLabels(name, flags, terminal),
  );
  const series = program
    .command('series')
    .argument('[selector...]', 'streams that match any of them (default: all)')
    .description('list the label sets of streams')
    .option('--json', 'as a JSON array')
    .addHelpText('after', '\nExample:\n  $ ringlog series --since 6h \'{app=~"web|api"}\'');
  addRangeOptions(addServerOptions(series)).action((selectors: readonly string[], flags: MetadataFlags) =>
    runSeries(selectors, flags, terminal),
  );
};
