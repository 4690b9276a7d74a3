/** Where output goes: results to stdout, everything about them to stderr; colours only where a person looks. */
import { once } from 'node:events';

export interface Terminal {
  /** A line of results. Resolves when there is room for the next. */
  line(text: string): Promise<void>;
  raw(text: string): Promise<void>;
  /** A line about the results. */
  note(text: string): void;
  readonly isColored: boolean;
  /** stderr is a terminal: progress may be drawn. */
  readonly isInteractive: boolean;
  readonly columns: number;
}

const write = async (stream: NodeJS.WriteStream, text: string): Promise<void> => {
  if (!stream.write(text)) await once(stream, 'drain');
};

/** A closed pipe (`| head`) ends the program quietly. */
const endOnClosedPipe = (stream: NodeJS.WriteStream): void => {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
};

export const processTerminal = (): Terminal => {
  endOnClosedPipe(process.stdout);
  endOnClosedPipe(process.stderr);
  return {
    line: (text) => write(process.stdout, `${text}\n`),
    raw: (text) => write(process.stdout, text),
    note: (text) => {
      process.stderr.write(`${text}\n`);
    },
    isColored: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined,
    isInteractive: process.stderr.isTTY === true,
    columns: process.stdout.columns ?? 80,
  };
};

/** ANSI foreground colours that read well on light and dark. */
export const SERIES_COLORS = [
  '\u001b[36m',
  '\u001b[33m',
  '\u001b[32m',
  '\u001b[35m',
  '\u001b[34m',
  '\u001b[31m',
] as const;
const RESET = '\u001b[0m';

export const colored = (text: string, color: string | undefined): string =>
  color === undefined ? text : `${color}${text}${RESET}`;

/** The same text always gets the same colour. */
export const colorFor = (text: string): string => {
  let hash = 0;
  for (let index = 0; index < text.length; index += 1) hash = (hash * 31 + text.charCodeAt(index)) | 0;
  return SERIES_COLORS[Math.abs(hash) % SERIES_COLORS.length] ?? SERIES_COLORS[0];
};
