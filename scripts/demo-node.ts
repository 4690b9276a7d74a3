/** A node and CLI calls as child processes, as a user would start them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { request } from 'undici';
import { freePort } from '../test/support/server-process.ts';

const CLI = path.join(import.meta.dirname, '../bin/ringlog.js');

/** stdout of `ringlog …args`; rejects with its stderr unless it exits with 0. */
export const runCli = async (args: readonly string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args], { timeout: 30_000, maxBuffer: 64e6 });
  return stdout;
};

export interface RunningCli {
  waitForLines(wanted: number, timeoutMs: number): Promise<readonly string[]>;
  end(): Promise<void>;
}

export const startCli = (args: readonly string[]): RunningCli => {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  const lines = (): string[] => text.split('\n').filter((line) => line !== '');
  return {
    async waitForLines(wanted, timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      while (lines().length < wanted && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return lines();
    },
    async end() {
      const exited = once(child, 'exit');
      child.kill('SIGINT');
      await exited;
    },
  };
};

/** Nodes that run and belong to this process. */
const running = new Set<ChildProcess>();

/** SIGKILL to every node that was neither stopped nor released; resolves once they are gone. */
export const killNodes = async (): Promise<void> => {
  const exits = [...running].map((child) => once(child, 'exit'));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(exits);
};

export class DemoNode {
  readonly url: string;
  readonly grpcAddress: string;
  readonly #child: ChildProcess;

  private constructor(url: string, grpcAddress: string, child: ChildProcess) {
    this.url = url;
    this.grpcAddress = grpcAddress;
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** `ringlog serve` on free ports of loopback; its log goes to node.log in `logDir`. */
  static async start(dataDir: string, logDir: string): Promise<DemoNode> {
    const http = `127.0.0.1:${await freePort()}`;
    const grpc = `127.0.0.1:${await freePort()}`;
    const log = openSync(path.join(logDir, 'node.log'), 'a');
    const args = ['serve', '--http-listen', http, '--grpc-listen', grpc, '--data-dir', dataDir];
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', log, log], detached: true });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const node = new DemoNode(`http://${http}`, grpc, child);
    await node.#untilReady();
    return node;
  }

  async getJson<T>(pathname: string, parameters: Record<string, string>): Promise<T> {
    const answer = await request(`${this.url}${pathname}?${new URLSearchParams(parameters)}`);
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${pathname}: ${answer.statusCode} ${text}`);
    return JSON.parse(text) as T;
  }

  /** A snappy-compressed PushRequest. */
  async push(body: Buffer): Promise<void> {
    const headers = { 'content-type': 'application/x-protobuf' };
    const answer = await request(`${this.url}/loki/api/v1/push`, { method: 'POST', headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 204) throw new Error(`push: ${answer.statusCode} ${text}`);
  }

  async flush(): Promise<void> {
    const answer = await request(`${this.url}/flush`, { method: 'POST' });
    await answer.body.dump();
    if (answer.statusCode !== 204) throw new Error(`flush: ${answer.statusCode}`);
  }

  /** Resolves once a tail is connected, by the node's own count. */
  async tailConnected(): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const answer = await request(`${this.url}/metrics`);
      const text = await answer.body.text();
      if (/^loki_querier_tail_active [1-9]/m.test(text)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('no tail connected within 10 s');
  }

  /** SIGKILL: no time to store anything. */
  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  /** SIGTERM; rejects unless the node ends with 0. */
  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code] = await exited;
    if (code !== 0) throw new Error(`the node ended with ${code}`);
  }

  /** Lets the node outlive this process. */
  release(): void {
    running.delete(this.#child);
    this.#child.unref();
  }

  async #untilReady(): Promise<void> {
    for (let attempt = 0; attempt < 400; attempt += 1) {
      if (this.#child.exitCode !== null) throw new Error(`the node ended with ${this.#child.exitCode}: see its log`);
      try {
        const answer = await request(`${this.url}/ready`);
        await answer.body.dump();
        if (answer.statusCode === 200) return;
      } catch {
        // not listening yet
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the node was not ready after 20 s');
  }
}
