import type { Command } from 'commander';
import { WebSocket } from 'ws';
import { CommandError } from './cli-error.ts';
import { EntryPrinter, parseOutput } from './entry-printer.ts';
import { formatLabels } from './label-text.ts';
import { baseUrl, type Labels } from './loki-client.ts';
import { addServerOptions, parseCount, type ServerFlags } from './shared-options.ts';
import type { Terminal } from './terminal.ts';
import { nowNs, parseDurationOption } from './time-options.ts';

interface TailFlags extends ServerFlags {
  readonly limit: number;
  readonly since: string;
  readonly delayFor: number;
  readonly output: string;
  readonly json?: boolean;
}

interface TailFrameMessage {
  readonly streams: readonly { readonly stream: Labels; readonly values: readonly (readonly [string, string])[] }[];
  readonly dropped_entries?: readonly { readonly timestamp: string; readonly labels: Labels }[] | null;
}

/** The server pings every second: silence this long is a dead connection. */
const SILENCE_MS_MAX = 30_000;
const RECONNECTS_MAX = 5;
const LIFETIME_REASON = 'reached tail max duration limit';

const EXAMPLES = `
Examples:
  $ ringlog tail '{app="web"}'
  $ ringlog tail --output raw '{app="web"} |= "error"'`;

type TailEnd = 'again' | 'finished';

class Tail {
  readonly #flags: TailFlags;
  readonly #terminal: Terminal;
  readonly #printer: EntryPrinter;
  #lastNs: bigint;
  #seenAtLast = new Set<string>();

  constructor(flags: TailFlags, terminal: Terminal) {
    this.#flags = flags;
    this.#terminal = terminal;
    this.#printer = new EntryPrinter(terminal, flags.json ? 'jsonl' : parseOutput(flags.output));
    this.#lastNs = nowNs() - parseDurationOption(flags.since, 'since');
  }

  /** Follows until interrupted; a lost connection is taken up where it broke. */
  async run(query: string): Promise<void> {
    for (let failures = 0; failures < RECONNECTS_MAX; ) {
      const before = this.#lastNs;
      if ((await this.#connect(query)) === 'finished') return;
      failures = this.#lastNs === before ? failures + 1 : 0;
      this.#terminal.note('connection lost, connecting again');
      await new Promise((resolve) => setTimeout(resolve, 1000 * (failures + 1)));
    }
    throw new CommandError(`lost the connection to ${this.#flags.addr}`);
  }

  #connect(query: string): Promise<TailEnd> {
    const { addr, tenant, limit, delayFor } = this.#flags;
    const parameters = new URLSearchParams({
      query,
      limit: String(limit),
      start: String(this.#lastNs),
      delay_for: String(delayFor),
    });
    const url = `${baseUrl(addr).replace(/^http/, 'ws')}/loki/api/v1/tail?${parameters}`;
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      headers: tenant === undefined ? {} : { 'x-scope-orgid': tenant },
    });
    return new Promise((resolve, reject) => {
      let isOpen = false;
      let printing = Promise.resolve();
      let silence = setTimeout(() => socket.terminate(), SILENCE_MS_MAX);
      const onLife = (): void => {
        clearTimeout(silence);
        silence = setTimeout(() => socket.terminate(), SILENCE_MS_MAX);
      };
      const stop = (): void => socket.close(1000);
      process.once('SIGINT', stop);
      process.once('SIGTERM', stop);
      socket.on('open', () => {
        isOpen = true;
      });
      socket.on('ping', onLife);
      socket.on('message', (data) => {
        onLife();
        // A slow terminal must slow the server's sending, not fill our memory.
        socket.pause();
        printing = this.#print(JSON.parse(String(data)) as TailFrameMessage).then(() => socket.resume());
      });
      socket.on('unexpected-response', (_request, response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk;
        });
        response.on('end', () => reject(new CommandError(`${response.statusCode} from ${addr}: ${text.trim()}`)));
      });
      socket.on('error', (error) => {
        if (!isOpen) reject(new CommandError(`cannot reach ${addr}: ${error.message}`, { cause: error }));
      });
      socket.on('close', (code, reason) => {
        clearTimeout(silence);
        process.off('SIGINT', stop);
        process.off('SIGTERM', stop);
        const text = String(reason);
        printing.then(() => {
          if (code === 1000 || code === 1005) resolve('finished');
          else if (code === 1006 || code === 1001 || text === LIFETIME_REASON) resolve('again');
          else reject(new CommandError(text || `the server ended the tail (${code})`));
        }, reject);
      });
    });
  }

  async #print(frame: TailFrameMessage): Promise<void> {
    for (const { stream, values } of frame.streams) {
      for (const [time, line] of values) {
        const timeNs = BigInt(time);
        if (this.#isRepeated(timeNs, `${formatLabels(stream)} ${line}`)) continue;
        await this.#printer.print({ timeNs, line, labels: stream });
      }
    }
    const dropped = frame.dropped_entries?.length ?? 0;
    if (dropped > 0) this.#terminal.note(`${dropped} entries were dropped: this reader is too slow`);
  }

  /** After a reconnect the server sends the last instant once more. */
  #isRepeated(timeNs: bigint, identity: string): boolean {
    if (timeNs > this.#lastNs) {
      this.#lastNs = timeNs;
      this.#seenAtLast = new Set();
    }
    if (timeNs !== this.#lastNs) return false;
    if (this.#seenAtLast.has(identity)) return true;
    this.#seenAtLast.add(identity);
    return false;
  }
}

export const addTailCommand = (program: Command, terminal: Terminal): void => {
  const command = program
    .command('tail')
    .argument('<query>', 'LogQL log query')
    .description('follow the log lines that match, as they are pushed')
    .option('--since <duration>', 'begin with lines this old', '1h')
    .option('--limit <count>', 'lines to begin with', parseCount, 30)
    .option(
      '--delay-for <seconds>',
      'wait this long (0 to 5) for late lines, so that they come in order',
      parseCount,
      0,
    )
    .option('-o, --output <form>', 'default, raw (the bare lines) or jsonl', 'default')
    .option('--json', 'the same as --output jsonl')
    .addHelpText('after', EXAMPLES);
  addServerOptions(command).action((query: string, flags: TailFlags) => new Tail(flags, terminal).run(query));
};
