/** A cluster on one machine: a process a node, the members kept by this one. Used by `ringlog cluster`, the demo and tests of whole processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { request } from 'undici';
import { stringify } from 'yaml';
import { EmbeddedStore } from '../cluster/membership/embedded-store.ts';
import { type StoreServer, serveStore } from '../cluster/membership/store-server.ts';
import type { ConfigInput } from '../config.ts';
import { systemClock } from '../system-clock.ts';
import { CommandError } from './cli-error.ts';

export interface LocalClusterOptions {
  /** Arguments after node's own that run the command line: the file, and what it needs before. */
  readonly command: readonly string[];
  readonly folder: string;
  /** Node n has base + 10 n for HTTP, one more for pushes over gRPC, two more for the other nodes. 0: any free ports. */
  readonly basePort: number;
  /** In place of the members kept by this process. */
  readonly etcd?: string | undefined;
  /** Settings of all nodes. */
  readonly settings?: ConfigInput;
  /** Settings of a node's `cluster` that the others do not have. */
  readonly ownCluster?: (nodeId: string) => ConfigInput;
  /** A node that has not ended so long after it was asked to is killed. */
  readonly drainMs?: number;
}

export interface LocalNodeProcess {
  readonly nodeId: string;
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** Exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
}

/** One that runs or still starts. */
interface Child {
  readonly nodeId: string;
  readonly exited: Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
}

const READY_MS = 60_000;
/** A node ends by itself soon after `graceful_shutdown_timeout`, which is 30 s; what takes longer hangs. */
const DRAIN_MS = 60_000;
const POLL_MS = 50;
/** What `serve` ends with when its disk is needed. */
const NOT_DRAINED = 3;
const PORTS_PER_NODE = 10;
/** Unix sockets have short names: longer folders are reached over a shorter way. */
const SOCKET_NAME_MAX = 100;

export class LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #nodes = new Map<string, LocalNodeProcess>();
  /** They have a process group of their own: whatever ends this process ends them. Where nothing can (SIGKILL), they see their standard input end. */
  readonly #children = new Set<Child>();
  readonly #onExit = (): void => this.kill();
  readonly #closeMembers: () => Promise<void>;
  readonly #socket: string;

  private constructor(options: LocalClusterOptions, socket: string, closeMembers: () => Promise<void>) {
    this.#options = options;
    this.#socket = socket;
    this.#closeMembers = closeMembers;
    process.on('exit', this.#onExit);
  }

  /** Keeps the members; no node runs yet. */
  static async open(options: LocalClusterOptions): Promise<LocalCluster> {
    mkdirSync(path.join(options.folder, 'store'), { recursive: true });
    const socket = path.resolve(options.folder, 'members.sock');
    if (options.etcd !== undefined) return new LocalCluster(options, socket, async () => undefined);
    if (socket.length > SOCKET_NAME_MAX)
      throw new CommandError(`the name of the folder is too long for a socket in it: ${socket}`);
    const store = await EmbeddedStore.open({ clock: systemClock, file: path.join(options.folder, 'members.json') });
    const server: StoreServer = await serveStore(store, { path: socket });
    return new LocalCluster(options, socket, async () => {
      await server.close();
      await store.close();
    });
  }

  /** Those that run. */
  get nodes(): readonly LocalNodeProcess[] {
    return [...this.#nodes.values()];
  }

  node(nodeId: string): LocalNodeProcess | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Starts a node, or starts it again, and waits until it is ready. @throws if it ends instead */
  async start(nodeId: string): Promise<LocalNodeProcess> {
    const { folder, command } = this.#options;
    const nodeFolder = path.join(folder, nodeId);
    mkdirSync(nodeFolder, { recursive: true });
    const configFile = path.join(nodeFolder, 'ringlog.yaml');
    writeFileSync(configFile, stringify(this.#settingsOf(nodeId)));
    const logFile = path.join(folder, `${nodeId}.log`);
    const output = openSync(logFile, 'a');
    const { size: seen } = fstatSync(output);
    const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('RINGLOG_'));
    const child = spawn(process.execPath, [...command, 'serve', '--until-stdin-ends', '--config', configFile], {
      env: Object.fromEntries(clean),
      // What it says goes into the file without this process: it has more to say once that is gone.
      stdio: ['pipe', 'ignore', output],
      // Ctrl-C is for this process: it drains them one after the other.
      detached: true,
    });
    closeSync(output);
    child.stdin?.on('error', () => undefined);
    const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
    const kill = (signal: NodeJS.Signals): void => {
      child.kill(signal);
    };
    const running = { nodeId, exited, kill };
    this.#children.add(running);
    void exited.then(() => this.#children.delete(running));
    const http = await addressIn(logFile, seen, exited);
    if (http === undefined) throw new CommandError(`${nodeId} ended with ${await exited}: see ${logFile}`);
    const node = { ...running, url: `http://${http}`, pid: child.pid as number, logFile };
    this.#nodes.set(nodeId, node);
    void node.exited.then(() => {
      if (this.#nodes.get(nodeId) === node) this.#nodes.delete(nodeId);
    });
    await ready(node);
    return node;
  }

  /** Asks a node to hand everything over and end. @returns its exit code, or the signal that ended it */
  async drain(nodeId: string): Promise<number | string> {
    const node = this.#nodes.get(nodeId);
    return node ? await this.#drain(node) : 0;
  }

  /** Drains one node after the other; the last one stores what is left. One that still starts ends first. @returns their exit codes */
  async drainAll(): Promise<ReadonlyMap<string, number | string>> {
    const codes = new Map<string, number | string>();
    const running = new Set(this.nodes.map(({ nodeId }) => nodeId));
    const children = [...this.#children].sort((a, b) => Number(running.has(a.nodeId)) - Number(running.has(b.nodeId)));
    for (const child of children) {
      const code = await this.#drain(child);
      // Its disk is as it was, if it never served.
      if (running.has(child.nodeId) || code === NOT_DRAINED) codes.set(child.nodeId, code);
    }
    return codes;
  }

  /** Ends them all at once, those that start too: what is on their disks stays there. */
  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    const children = [...this.#children];
    this.kill();
    await Promise.all(children.map(({ exited }) => exited));
    process.off('exit', this.#onExit);
    await this.#closeMembers();
  }

  async #drain(child: Child): Promise<number | string> {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), this.#options.drainMs ?? DRAIN_MS);
    const code = await child.exited;
    clearTimeout(late);
    return code;
  }

  #settingsOf(nodeId: string): ConfigInput {
    const { folder, basePort, etcd, settings = {} } = this.#options;
    const number = Number(/\d+$/.exec(nodeId)?.[0] ?? 0);
    const port = (offset: number): string =>
      `127.0.0.1:${basePort === 0 ? 0 : basePort + PORTS_PER_NODE * number + offset}`;
    const membership =
      etcd === undefined
        ? { store: 'embedded', socket: this.#socket }
        : { store: 'etcd', etcd_endpoints: etcd.split(',') };
    const own = {
      http_listen: port(0),
      grpc_listen: basePort === 0 ? 'off' : port(1),
      data_dir: path.resolve(folder, nodeId, 'data'),
      store_dir: path.resolve(folder, 'store'),
    };
    const shared = { ...(settings['cluster'] as object), ...this.#options.ownCluster?.(nodeId) };
    const cluster = { ...shared, enabled: true, node_id: nodeId, listen: port(2) };
    const of = { ...((settings['cluster'] as { membership?: object } | undefined)?.membership ?? {}), ...membership };
    return { ...settings, ...own, cluster: { ...cluster, membership: of } };
  }
}

/** Where it says, from byte `from` of its log on, that it serves HTTP; undefined once it has ended without. */
const addressIn = async (logFile: string, from: number, exited: Promise<unknown>): Promise<string | undefined> => {
  let isGone = false;
  void exited.then(() => {
    isGone = true;
  });
  const log = await open(logFile);
  try {
    for (let text = ''; ; ) {
      const wasGone = isGone;
      text += await readOn(log, from + Buffer.byteLength(text));
      const http = /"http":"([^"]+)"/.exec(text)?.[1];
      if (http !== undefined || wasGone) return http;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    await log.close();
  }
};

/** Whole lines from there on: nothing is cut within a character. */
const readOn = async (log: FileHandle, position: number): Promise<string> => {
  const { size } = await log.stat();
  const bytes = Buffer.alloc(Math.max(0, size - position));
  const { bytesRead } = await log.read(bytes, 0, bytes.length, position);
  return bytes.subarray(0, bytes.subarray(0, bytesRead).lastIndexOf(0x0a) + 1).toString();
};

const ready = async ({ nodeId, url, exited, logFile }: LocalNodeProcess): Promise<void> => {
  const deadlineMs = performance.now() + READY_MS;
  let isGone = false;
  void exited.then(() => {
    isGone = true;
  });
  for (;;) {
    if (isGone) throw new CommandError(`${nodeId} ended before it was ready: see ${logFile}`);
    if (performance.now() > deadlineMs) throw new CommandError(`${nodeId} was not ready in time: see ${logFile}`);
    const answer = await request(`${url}/ready`).catch(() => undefined);
    await answer?.body.dump();
    if (answer?.statusCode === 200) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
};
