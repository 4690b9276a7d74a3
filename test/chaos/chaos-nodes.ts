/** The nodes of a chaos run: processes with a proxy before the address that the other nodes know. What ends by itself is started again. */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Agent } from 'undici';
import { LocalCluster, type LocalNodeProcess } from '../../src/cli/local-cluster.ts';
import type { ConfigInput } from '../../src/config.ts';
import type { ServedNode } from '../soak/served-node.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

export interface ChaosNodesOptions {
  readonly command: readonly string[];
  readonly folder: string;
  readonly basePort: number;
  readonly settings: ConfigInput;
  readonly wrong: (text: string) => void;
}

interface Running extends ServedNode {
  readonly nodeId: string;
  readonly process: LocalNodeProcess;
  url: string | undefined;
  /** Its end is somebody's doing. */
  isEnding: boolean;
}

const PEER_OFFSET = 2;
const PORTS_PER_NODE = 10;
const LOST = 'no member of the cluster any more';
/** Characters of a log: what a process says when it ends. */
const LOG_END = 4_000;
const START_TRIES = 5;

export class ChaosNodes {
  readonly #options: ChaosNodesOptions;
  readonly #cluster: LocalCluster;
  readonly #proxies = new Map<string, TcpProxy>();
  readonly #running = new Map<string, Running>();
  /** Ends and starts of a node one after another. */
  readonly #restarting = new Map<string, Promise<unknown>>();
  #isOver = false;
  /** Processes that ended because they had lost their lease. */
  lost = 0;
  starts = 0;
  slowestDrainMs = 0;

  private constructor(options: ChaosNodesOptions, cluster: LocalCluster, proxies: ReadonlyMap<string, TcpProxy>) {
    this.#options = options;
    this.#cluster = cluster;
    this.#proxies = new Map(proxies);
  }

  /** @param names of all nodes there will ever be; none runs yet */
  static async open(options: ChaosNodesOptions, names: readonly string[]): Promise<ChaosNodes> {
    const proxies = new Map<string, TcpProxy>();
    for (const name of names) {
      const port = options.basePort + PORTS_PER_NODE * Number(/\d+$/.exec(name)?.[0]) + PEER_OFFSET;
      proxies.set(name, await TcpProxy.start(`127.0.0.1:${port}`));
    }
    const cluster = await LocalCluster.open({
      ...options,
      ownCluster: (nodeId) => ({ advertise: proxies.get(nodeId)?.address ?? '' }),
    });
    return new ChaosNodes(options, cluster, proxies);
  }

  /** Those that take requests, or should. */
  get serving(): readonly Running[] {
    return [...this.#running.values()].filter(({ url, isEnding }) => url !== undefined && !isEnding);
  }

  proxy(nodeId: string): TcpProxy {
    return this.#proxies.get(nodeId) as TcpProxy;
  }

  /** Whoever starts a node that is being started again waits for that: its folder takes one process. */
  async start(nodeId: string): Promise<void> {
    await this.#restarting.get(nodeId);
    if (!this.#running.has(nodeId)) await this.#start(nodeId);
  }

  async #start(nodeId: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#startOnce(nodeId);
        return;
      } catch (error) {
        // Cut off from the membership store, or not let in yet: whoever runs nodes starts them again.
        if (this.#isOver) return;
        if (tries === START_TRIES) throw error;
      }
    }
  }

  /** Its process has ended by itself: then it is being started again. False if it goes on. */
  async ended(nodeId: string, withinMs: number): Promise<boolean> {
    const running = this.#running.get(nodeId);
    if (!running) return true;
    const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), withinMs));
    return await Promise.race([running.process.exited.then(() => true), late]);
  }

  /**
   * SIGTERM. With 0 its disk is deleted, as operators may do then. One that loses its lease meanwhile is started again: its disk is needed.
   * @returns its exit code
   */
  async leave(nodeId: string, keepsDisk: boolean): Promise<number | string> {
    const running = this.#running.get(nodeId);
    if (!running) return 0;
    running.isEnding = true;
    const startedMs = performance.now();
    running.process.kill('SIGTERM');
    const code = await running.process.exited;
    this.slowestDrainMs = Math.max(this.slowestDrainMs, performance.now() - startedMs);
    this.#gone(running);
    if (this.#isLost(running, code)) {
      this.lost += 1;
      await this.start(nodeId);
      return await this.leave(nodeId, keepsDisk);
    }
    if (code === 0 && !keepsDisk) rmSync(path.join(this.#options.folder, nodeId), { recursive: true, force: true });
    return code;
  }

  async kill(nodeId: string): Promise<void> {
    const running = this.#running.get(nodeId);
    if (!running) return;
    running.isEnding = true;
    running.process.kill('SIGKILL');
    await running.process.exited;
    this.#gone(running);
  }

  pause(nodeId: string): void {
    this.#running.get(nodeId)?.process.kill('SIGSTOP');
  }

  continue(nodeId: string): void {
    this.#running.get(nodeId)?.process.kill('SIGCONT');
  }

  /** Resolves once what ended by itself runs again. */
  async settled(): Promise<void> {
    while (this.#restarting.size > 0) await Promise.all(this.#restarting.values());
  }

  async close(): Promise<void> {
    this.#isOver = true;
    for (const { nodeId } of this.#running.values()) this.continue(nodeId);
    await this.#cluster.close();
    await this.settled().catch(() => undefined);
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }

  async #startOnce(nodeId: string): Promise<void> {
    this.starts += 1;
    const process = await this.#cluster.start(nodeId);
    const agent = new Agent({ connections: 64, headersTimeout: 60_000, bodyTimeout: 60_000 });
    const running: Running = { nodeId, process, agent, url: process.url, isEnding: false };
    this.#running.set(nodeId, running);
    void process.exited.then((code) => {
      if (!running.isEnding && !this.#isOver) this.#endedItself(running, code);
    });
  }

  #endedItself(running: Running, code: number | string): void {
    const { nodeId, process } = running;
    this.#gone(running);
    if (this.#isLost(running, code)) this.lost += 1;
    else this.#options.wrong(`${nodeId} ended by itself with ${code}: see ${process.logFile}`);
    const restart = this.#start(nodeId)
      .catch((error: unknown) =>
        this.#options.wrong(`${nodeId} could not be started again: ${(error as Error).message}`),
      )
      .finally(() => this.#restarting.delete(nodeId));
    this.#restarting.set(nodeId, restart);
  }

  #isLost({ process }: Running, code: number | string): boolean {
    return code === 1 && readFileSync(process.logFile, 'utf8').slice(-LOG_END).includes(LOST);
  }

  #gone(running: Running): void {
    running.url = undefined;
    if (this.#running.get(running.nodeId) === running) this.#running.delete(running.nodeId);
    void running.agent.destroy();
  }
}
