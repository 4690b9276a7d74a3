import type { Command } from 'commander';
import { CommandError } from './cli-error.ts';
import { EntryPrinter, type Output, type PrintedEntry, parseOutput } from './entry-printer.ts';
import { commonLabels, formatLabels, withoutLabels } from './label-text.ts';
import { LokiClient, type QueryAnswer } from './loki-client.ts';
import { printMatrix, printVector } from './metric-printer.ts';
import { addRangeOptions, addServerOptions, parseCount, type ServerFlags } from './shared-options.ts';
import type { Terminal } from './terminal.ts';
import { nowNs, parseTimeOption, type RangeOptions, type TimeRange, timeRangeOf } from './time-options.ts';

interface QueryFlags extends ServerFlags, RangeOptions {
  readonly limit: number;
  readonly batch: number;
  readonly forward?: boolean;
  readonly step?: string;
  readonly interval?: string;
  readonly output: string;
  readonly json?: boolean;
  readonly instant?: boolean;
  readonly stats?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Examples:
  $ ringlog query '{app="web"} |= "error"'
  $ ringlog query --since 15m --limit 1000 --output raw '{app="web"} | json | status >= 500'
  $ ringlog query --since 6h 'sum by (app) (rate({env="prod"}[5m]))'
  $ ringlog query --instant 'topk(3, sum by (app) (count_over_time({env="prod"}[1h])))'`;

const entryOf = (labels: PrintedEntry['labels'], [timeNs, line]: readonly [string, string]): PrintedEntry => ({
  timeNs: BigInt(timeNs),
  line,
  labels,
});

/** All entries of an answer in the asked direction; equal times stay in the answer's order. */
export const orderedEntries = (
  answer: Extract<QueryAnswer, { resultType: 'streams' }>,
  isForward: boolean,
): PrintedEntry[] => {
  const entries = answer.result.flatMap(({ stream, values }) => values.map((value) => entryOf(stream, value)));
  const sign = isForward ? 1 : -1;
  return entries.sort((left, right) => (left.timeNs === right.timeNs ? 0 : left.timeNs < right.timeNs ? -sign : sign));
};

const identityOf = ({ timeNs, line, labels }: PrintedEntry): string => `${timeNs} ${formatLabels(labels)} ${line}`;

const rangeParameters = (query: string, range: TimeRange, flags: QueryFlags, limit: number): URLSearchParams => {
  const parameters = new URLSearchParams({
    query,
    start: String(range.startNs),
    end: String(range.endNs),
    limit: String(limit),
    direction: flags.forward ? 'forward' : 'backward',
  });
  if (flags.step !== undefined) parameters.set('step', flags.step);
  if (flags.interval !== undefined) parameters.set('interval', flags.interval);
  return parameters;
};

class LogQuery {
  readonly #client: LokiClient;
  readonly #terminal: Terminal;
  readonly #flags: QueryFlags;
  readonly #output: Output;
  #printer: EntryPrinter | undefined;

  constructor(client: LokiClient, terminal: Terminal, flags: QueryFlags) {
    this.#client = client;
    this.#terminal = terminal;
    this.#flags = flags;
    this.#output = parseOutput(flags.output);
  }

  /** Prints the lines as they come. */
  async run(query: string, wholeRange: TimeRange): Promise<void> {
    const metric = await this.#read(query, wholeRange, (entries) => this.#print(entries));
    if (metric) await printMetric(metric, this.#terminal, this.#flags);
  }

  /** The data of all pages as one document. */
  async runJson(query: string, wholeRange: TimeRange): Promise<void> {
    const streams = new Map<string, { readonly stream: PrintedEntry['labels']; readonly values: [string, string][] }>();
    const metric = await this.#read(query, wholeRange, async (entries) => {
      for (const { timeNs, line, labels } of entries) {
        const key = formatLabels(labels);
        const known = streams.get(key) ?? { stream: labels, values: [] };
        streams.set(key, known);
        known.values.push([String(timeNs), line]);
      }
    });
    await this.#terminal.line(JSON.stringify(metric ?? { resultType: 'streams', result: [...streams.values()] }));
  }

  /**
   * Pages through the range: the next page starts where the last one ended, entries seen at that time are left out. Gives the answer of a
   * metric query, which has no pages.
   */
  async #read(
    query: string,
    wholeRange: TimeRange,
    take: (entries: readonly PrintedEntry[]) => Promise<void>,
  ): Promise<QueryAnswer | undefined> {
    const { limit, batch, forward = false } = this.#flags;
    let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
    let range = wholeRange;
    let seen = new Set<string>();
    while (left > 0) {
      const pageSize = Math.min(left + seen.size, batch);
      const answer = await this.#client.query('query_range', rangeParameters(query, range, this.#flags, pageSize));
      if (answer.resultType !== 'streams') return answer;
      const page = orderedEntries(answer, forward);
      const fresh = page.filter((entry) => !seen.has(identityOf(entry))).slice(0, left);
      await take(fresh);
      left -= fresh.length;
      const last = page.at(-1);
      if (!last || page.length < pageSize) return undefined;
      if (fresh.length === 0) throw new CommandError(`more than ${batch} entries have one time: use a larger --batch`);
      seen = new Set(page.filter(({ timeNs }) => timeNs === last.timeNs).map(identityOf));
      range = forward ? { ...range, startNs: last.timeNs } : { ...range, endNs: last.timeNs + 1n };
    }
    return undefined;
  }

  async #print(entries: readonly PrintedEntry[]): Promise<void> {
    this.#printer ??= this.#openPrinter(entries);
    for (const entry of entries) await this.#printer.print(entry);
  }

  #openPrinter(entries: readonly PrintedEntry[]): EntryPrinter {
    const sets = [...new Set(entries.map(({ labels }) => labels))];
    const common = this.#output === 'default' && sets.length > 0 ? commonLabels(sets) : {};
    if (Object.keys(common).length > 0 && !this.#flags.quiet) {
      this.#terminal.note(`Common labels: ${formatLabels(common)}`);
    }
    const width = sets.reduce((most, labels) => Math.max(most, formatLabels(withoutLabels(labels, common)).length), 0);
    return new EntryPrinter(this.#terminal, this.#output, common, Math.min(width, 60));
  }
}

const printMetric = async (answer: QueryAnswer, terminal: Terminal, flags: QueryFlags): Promise<void> => {
  switch (answer.resultType) {
    case 'matrix':
      if (flags.output === 'jsonl') for (const series of answer.result) await terminal.line(JSON.stringify(series));
      else await printMatrix(terminal, answer.result);
      return;
    case 'vector':
      if (flags.output === 'jsonl') for (const series of answer.result) await terminal.line(JSON.stringify(series));
      else await printVector(terminal, answer.result);
      return;
    case 'scalar':
      await terminal.line(answer.result[1]);
      return;
    case 'streams':
      return;
  }
};

const runQuery = async (query: string, flags: QueryFlags, terminal: Terminal): Promise<void> => {
  const client = new LokiClient({ addr: flags.addr, tenant: flags.tenant });
  if (flags.instant) {
    const timeNs = flags.to === undefined ? nowNs() : parseTimeOption(flags.to, 'to');
    const answer = await client.query('query', new URLSearchParams({ query, time: String(timeNs) }));
    if (flags.json) await terminal.line(JSON.stringify(answer));
    else await printMetric(answer, terminal, flags);
    return;
  }
  const range = timeRangeOf(flags);
  const logQuery = new LogQuery(client, terminal, flags);
  if (flags.json) await logQuery.runJson(query, range);
  else await logQuery.run(query, range);
};

export const addQueryCommand = (program: Command, terminal: Terminal): void => {
  const command = program
    .command('query')
    .argument('<query>', 'LogQL')
    .description('run a LogQL query over a time range and print its log lines, or plot its samples')
    .option('--limit <count>', 'log lines to print; 0 = all', parseCount, 30)
    .option('--batch <count>', 'log lines to fetch at a time', parseCount, 1000)
    .option('--forward', 'oldest first')
    .option('--step <duration>', 'distance of the points of a metric query (default: a 250th of the range)')
    .option('--interval <duration>', 'of a log query: skip lines closer together than this')
    .option('--instant', 'evaluate a metric query once, at --to')
    .option('-o, --output <form>', 'default, raw (the bare lines) or jsonl', 'default')
    .option('--json', "print the answer's data as one JSON document")
    .option('-q, --quiet', 'no line with the common labels')
    .addHelpText('after', EXAMPLES);
  addRangeOptions(addServerOptions(command)).action((query: string, flags: QueryFlags) =>
    runQuery(query, flags, terminal),
  );
};
