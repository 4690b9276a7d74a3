import { type Command, InvalidArgumentError } from 'commander';
import { CommandError } from './cli-error.ts';
import { parseCount } from './shared-options.ts';
import type { Terminal } from './terminal.ts';

interface ClusterFlags {
  readonly nodes: number;
  readonly basePort: number;
  readonly dataDir: string;
  readonly etcd?: string;
}

const HELP = `
Node n listens on base port + 10 n for HTTP, one more for pushes over gRPC, two more for the other nodes. Logs go to files in the data
folder. Ctrl-C hands everything over, node by node; the last one stores what is left. A second one ends them at once, with 1: start it
again with the same folder. Any node takes any push and any query.

Example:
  $ ringlog cluster --nodes 3 --base-port 4100 --data-dir ./cluster
  $ ringlog ring --watch --addr http://127.0.0.1:4110`;

export const addClusterCommand = (program: Command, terminal: Terminal): void => {
  program
    .command('cluster')
    .description('run a cluster on this machine')
    .option('--nodes <count>', 'how many', parseNodes, 3)
    .option('--base-port <port>', 'first of its ports', parseCount, 4100)
    .option('--data-dir <folder>', 'where the nodes keep everything', './ringlog-cluster')
    .option('--etcd <url>', 'keep the members in etcd instead of this process')
    .addHelpText('after', HELP)
    .action((flags: ClusterFlags) => runCluster(flags, terminal));
};

const parseNodes = (text: string): number => {
  const count = parseCount(text);
  if (count < 1 || count > 50) throw new InvalidArgumentError('want 1 to 50.');
  return count;
};

const runCluster = async ({ nodes, basePort, dataDir, etcd }: ClusterFlags, terminal: Terminal): Promise<void> => {
  const { LocalCluster } = await import('./local-cluster.ts');
  const entry = process.argv[1] as string;
  const cluster = await LocalCluster.open({ command: [entry], folder: dataDir, basePort, etcd });
  const interrupted = untilInterrupted(() => {
    terminal.note('not waiting any longer: what is unflushed stays on the disks');
    cluster.kill();
  });
  const startAll = async (): Promise<void> => {
    for (let number = 1; number <= nodes && !interrupted.isDone(); number += 1) {
      const { nodeId, url, pid, logFile } = await cluster.start(`node-${number}`);
      terminal.note(`${nodeId} serves at ${url} (pid ${pid}, log ${logFile})`);
    }
  };
  try {
    const started = startAll();
    // Once interrupted, a node that ends while it starts is no failure.
    started.catch(() => undefined);
    await Promise.race([started, interrupted.done]);
    if (!interrupted.isDone()) terminal.note('Ctrl-C hands everything over and ends');
    await interrupted.done;
    const codes = await cluster.drainAll();
    for (const [nodeId, code] of codes) terminal.note(`${nodeId} ended with ${code}`);
    if ([...codes.values()].some((code) => code !== 0)) throw new CommandError('not all nodes could be drained');
  } finally {
    await cluster.close();
    interrupted.stop();
  }
};

interface Interruption {
  readonly done: Promise<void>;
  isDone(): boolean;
  stop(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** By the first signal; `again` is called at each one after it. */
const untilInterrupted = (again: () => void): Interruption => {
  let isDone = false;
  let resolveDone: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    resolveDone = resolve;
  });
  const onSignal = (): void => {
    if (isDone) again();
    isDone = true;
    resolveDone();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    done,
    isDone: () => isDone,
    stop: () => {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
};
