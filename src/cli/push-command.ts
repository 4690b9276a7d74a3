import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { BatchOutcome } from '../http/push-client.ts';
import { CommandError, UsageError } from './cli-error.ts';
import { parseLabelOptions } from './label-text.ts';
import { PushProgress } from './push-progress.ts';
import { addTenantOption, collect } from './shared-options.ts';
import type { Terminal } from './terminal.ts';

interface PushFlags {
  readonly addr: string;
  readonly tenant?: string;
  readonly labels: readonly string[];
  readonly json?: boolean;
}

/** A line longer than this is a file that holds no lines. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

const EXAMPLES = `
Lines get the current time, each a nanosecond more than the one before at least.

Examples:
  $ ringlog push --labels app=web --labels env=dev /var/log/web.log
  $ ringlog push --labels '{app="web", env="dev"}' *.log
  $ journalctl -f -o cat | ringlog push --labels job=journal`;

/** Splits a stream of bytes into lines without their newline; the bytes given are valid until the next one. */
export async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > LINE_BYTES_MAX) throw new CommandError(`a line is longer than ${LINE_BYTES_MAX} bytes`);
  }
  if (rest.length > 0) yield rest;
}

/** Now, but always later than before: lines keep their order. */
class IncreasingClock {
  #last = 0n;

  nextNs(): bigint {
    const now = BigInt(Date.now()) * 1_000_000n;
    this.#last = now > this.#last ? now : this.#last + 1n;
    return this.#last;
  }
}

const sizeOf = async (file: string): Promise<number> => {
  const found = await stat(file).catch((error: Error) => {
    throw new UsageError(`cannot read ${file}: ${error.message}`, { cause: error });
  });
  if (found.isDirectory()) throw new UsageError(`cannot read ${file}: it is a folder; name the files in it`);
  return found.size;
};

const runPush = async (files: readonly string[], flags: PushFlags, terminal: Terminal): Promise<void> => {
  const labels = parseLabelOptions(flags.labels);
  const sizes = await Promise.all(files.map(sizeOf));
  const progress = new PushProgress(
    terminal,
    files.length > 0 ? sizes.reduce((sum, size) => sum + size, 0) : undefined,
  );
  const gone = new AbortController();
  const onBatch = (outcome: BatchOutcome): void => {
    progress.settled(outcome);
    if (outcome.refusal?.status === 0) gone.abort();
  };
  const { PushClient } = await import('../http/push-client.ts');
  const client = new PushClient({ address: flags.addr, ...(flags.tenant && { tenant: flags.tenant }), onBatch });
  const clock = new IncreasingClock();
  const sources =
    files.length > 0 ? files.map((file) => createReadStream(file, { highWaterMark: 256 * 1024 })) : [process.stdin];
  progress.start();
  try {
    for (const source of sources) {
      for await (const line of linesOf(source)) {
        if (gone.signal.aborted) break;
        progress.read(line.length + 1);
        if (!client.push(labels, clock.nextNs(), line)) await client.room();
      }
    }
  } finally {
    await client.close();
    progress.stop();
  }
  const { acceptedLines, acceptedBytes, refusedLines } = client.totals;
  if (flags.json) await terminal.line(JSON.stringify({ acceptedLines, acceptedBytes, refusedLines }));
  else await terminal.line(progress.summary(client.totals));
  if (refusedLines > 0) throw new CommandError(`${refusedLines} lines were not all taken: ${progress.firstRefusal}`);
};

export const addPushCommand = (program: Command, terminal: Terminal): void => {
  const command = program
    .command('push')
    .argument('[file...]', 'files to push (default: standard input)')
    .description('push the lines of files, or of standard input, over gRPC')
    .addOption(
      new Option('-l, --labels <labels>', 'labels of the stream: {name="value"} or name=value; may be repeated')
        .argParser(collect)
        .default([], 'none')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--addr <address>', 'gRPC address of a node').env('RINGLOG_GRPC_ADDR').default('127.0.0.1:9095'),
    )
    .option('--json', 'print the totals as JSON')
    .addHelpText('after', EXAMPLES);
  addTenantOption(command).action((files: readonly string[], flags: PushFlags) => runPush(files, flags, terminal));
};
