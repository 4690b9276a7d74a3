import { type Command, InvalidArgumentError, Option } from 'commander';

export interface ServerFlags {
  readonly addr: string;
  readonly tenant?: string;
}

/** A whole number, 0 or more. */
export const parseCount = (text: string): number => {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError('want a whole number.');
  return Number(text);
};

export const collect = (text: string, earlier: readonly string[]): readonly string[] => [...earlier, text];

export const addTenantOption = (command: Command): Command =>
  command.addOption(new Option('--tenant <id>', 'whose logs (X-Scope-OrgID)').env('RINGLOG_TENANT'));

export const addServerOptions = (command: Command): Command =>
  addTenantOption(
    command.addOption(
      new Option('--addr <url>', 'HTTP address of a node').env('RINGLOG_ADDR').default('http://127.0.0.1:3100'),
    ),
  );

export const addRangeOptions = (command: Command): Command =>
  command
    .option('--since <duration>', 'how far to look back', '1h')
    .option('--from <time>', 'start of the range: RFC 3339, unix seconds or nanoseconds')
    .option('--to <time>', 'end of the range (default: now)');
