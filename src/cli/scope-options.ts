import type { Command } from 'commander';
import type { CopyScope } from '../copy/copy-scope.ts';
import { UsageError } from './cli-error.ts';
import { collect } from './shared-options.ts';
import { nowNs, parseDurationOption, parseTimeOption } from './time-options.ts';

export interface ScopeFlags {
  readonly tenant: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly since?: string;
}

const NS_PER_MS = 1_000_000n;

/** Which chunks of a store a command is about. */
export const addScopeOptions = (command: Command): Command =>
  command
    .option('--tenant <id>', 'only of this tenant; may be repeated', collect, [])
    .option('--from <time>', 'only chunks that end at this time or later: RFC 3339, unix seconds or nanoseconds')
    .option('--to <time>', 'only chunks that begin at this time or before')
    .option('--since <duration>', 'in place of --from: so long ago');

/** @throws UsageError */
export const scopeOf = ({ tenant, from, to, since }: ScopeFlags): CopyScope => {
  if (from !== undefined && since !== undefined) throw new UsageError('--from and --since exclude each other');
  const fromNs = since === undefined ? undefined : nowNs() - parseDurationOption(since, 'since');
  const startNs = from === undefined ? fromNs : parseTimeOption(from, 'from');
  const endNs = to === undefined ? undefined : parseTimeOption(to, 'to');
  if (startNs !== undefined && endNs !== undefined && startNs > endNs)
    throw new UsageError('--from is later than --to');
  const fromMs = startNs === undefined ? Number.NEGATIVE_INFINITY : Number(startNs / NS_PER_MS);
  return {
    tenants: tenant,
    fromMs,
    throughMs: endNs === undefined ? Number.POSITIVE_INFINITY : Number(endNs / NS_PER_MS),
  };
};
