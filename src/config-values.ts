/** Values of the configuration as people write them: sizes, durations, addresses. Each names itself when it is refused. */
import { z } from 'zod';
import { parseDuration, parseSize } from './protocol/limit-values.ts';

/** How a number of bytes or milliseconds is bounded; texts are for the refusal. */
interface Bounds {
  readonly min: string;
  readonly max: string;
}

const bounded = (
  parse: (input: unknown) => number | undefined,
  what: string,
  { min, max }: Bounds,
): z.ZodType<number, unknown> => {
  const lowest = parse(min) ?? 0;
  const highest = parse(max) ?? Number.POSITIVE_INFINITY;
  const message = `want ${what} from ${min} to ${max}`;
  return z.unknown().transform((input, context) => {
    const value = parse(input);
    if (value !== undefined && value >= lowest && value <= highest) return value;
    context.addIssue({ code: 'custom', message, input });
    return z.NEVER;
  });
};

export const size = (bounds: Bounds) => bounded(parseSize, 'a size (bytes, or a number with KB, MB, GB)', bounds);

export const duration = (bounds: Bounds) => bounded(parseDuration, 'a duration (such as 500ms, 30s, 1h30m)', bounds);

/** A whole number; numbers in the environment come as text. */
export const wholeNumber = (min: number, max: number): z.ZodType<number, unknown> =>
  z.unknown().transform((input, context) => {
    const value = typeof input === 'string' && /^-?[0-9]+$/.test(input) ? Number(input) : input;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    context.addIssue({ code: 'custom', message: `want a whole number from ${min} to ${max}`, input });
    return z.NEVER;
  });

export const flag = (): z.ZodType<boolean, unknown> =>
  z.unknown().transform((input, context) => {
    if (input === true || input === 'true') return true;
    if (input === false || input === 'false') return false;
    context.addIssue({ code: 'custom', message: 'want true or false', input });
    return z.NEVER;
  });

export const text = (wanted: string, pattern: RegExp): z.ZodType<string, unknown> =>
  z.unknown().transform((input, context) => {
    if (typeof input === 'string' && pattern.test(input)) return input;
    context.addIssue({ code: 'custom', message: `want ${wanted}`, input });
    return z.NEVER;
  });

export const oneOf = <const Choice extends string>(choices: readonly Choice[]): z.ZodType<Choice, unknown> =>
  z.unknown().transform((input, context) => {
    const choice = choices.find((known) => known === input);
    if (choice !== undefined) return choice;
    context.addIssue({ code: 'custom', message: `want one of ${choices.join(', ')}`, input });
    return z.NEVER;
  });

/** `127.0.0.1:3100`, `[::1]:3100`, `:3100`, or `off`. Port 0 takes a free one. */
export const listenAddress = (): z.ZodType<string, unknown> =>
  z.unknown().transform((input, context) => {
    if (typeof input === 'string' && (input === 'off' || parseListenAddress(input))) return input;
    context.addIssue({ code: 'custom', message: 'want an address as host:port, port 0 to 65535, or off', input });
    return z.NEVER;
  });

export interface ListenAddress {
  /** Empty = all interfaces. */
  readonly host: string;
  readonly port: number;
}

/** undefined for `off` and for what is no address. */
export const parseListenAddress = (address: string): ListenAddress | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})$/.exec(address);
  const port = Number(match?.[3] ?? Number.NaN);
  return match && port <= 65_535 ? { host: match[1] ?? match[2] ?? '', port } : undefined;
};
