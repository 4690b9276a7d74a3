import { UsageError } from './cli-error.ts';
import { formatLabels, withoutLabels } from './label-text.ts';
import type { Labels } from './loki-client.ts';
import { colored, colorFor, type Terminal } from './terminal.ts';

export interface PrintedEntry {
  readonly timeNs: bigint;
  readonly line: string;
  readonly labels: Labels;
}

export const OUTPUTS = ['default', 'raw', 'jsonl'] as const;
export type Output = (typeof OUTPUTS)[number];

export const parseOutput = (text: string): Output => {
  const output = OUTPUTS.find((known) => known === text);
  if (!output) throw new UsageError(`--output: ${JSON.stringify(text)} is not one of ${OUTPUTS.join(', ')}`);
  return output;
};

const withoutNewline = (line: string): string => line.replace(/\n$/, '');

/** RFC 3339 in UTC with milliseconds. */
export const formatTime = (timeNs: bigint): string => new Date(Number(timeNs / 1_000_000n)).toISOString();

/** Prints log entries as logcli does: time, the labels that tell streams apart, the line; or the bare line; or JSON. */
export class EntryPrinter {
  readonly #terminal: Terminal;
  readonly #output: Output;
  readonly #common: Labels;
  readonly #prefixes = new Map<Labels, string>();
  readonly #width: number;

  /** `common` labels are not repeated; `width` pads the others. */
  constructor(terminal: Terminal, output: Output, common: Labels = {}, width = 0) {
    this.#terminal = terminal;
    this.#output = output;
    this.#common = common;
    this.#width = width;
  }

  async print(entry: PrintedEntry): Promise<void> {
    await this.#terminal.line(this.#text(entry));
  }

  #text({ timeNs, line, labels }: PrintedEntry): string {
    switch (this.#output) {
      case 'raw':
        return withoutNewline(line);
      case 'jsonl':
        return JSON.stringify({ timestamp: formatTime(timeNs), timestampNs: String(timeNs), labels, line });
      case 'default':
        return `${formatTime(timeNs)} ${this.#prefix(labels)} ${withoutNewline(line)}`;
    }
  }

  /** Streams share their label objects: the text is made once for each. */
  #prefix(labels: Labels): string {
    let prefix = this.#prefixes.get(labels);
    if (prefix === undefined) {
      const text = formatLabels(withoutLabels(labels, this.#common)).padEnd(this.#width);
      prefix = colored(text, this.#terminal.isColored ? colorFor(text) : undefined);
      if (this.#prefixes.size > 10_000) this.#prefixes.clear();
      this.#prefixes.set(labels, prefix);
    }
    return prefix;
  }
}
