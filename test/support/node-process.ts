/** A node as a process of its own, that can be killed: `ringlog serve` as it is installed, or with stores that fail on command. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';
import type { Outage } from '../soak/faulty-stores.ts';
import type { NodeReport } from '../soak/node-report.ts';

const ROOT = path.join(import.meta.dirname, '../..');
export const SERVE = path.join(ROOT, 'dist/src/cli.js');
const FAULTY = path.join(ROOT, 'dist/test/soak/soak-node.js');

const newestMs = (folder: string): number =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).reduce(
    (newest, name) => Math.max(newest, statSync(path.join(ROOT, folder, name)).mtimeMs),
    0,
  );

/**
 * Compiles the sources and the node with failing stores: what is tested is what is installed. Leaves what is new enough as it is: a process of
 * another test may be about to load it.
 */
export const buildNodes = (): void => {
  const isBuilt = existsSync(FAULTY) && existsSync(SERVE);
  if (isBuilt && statSync(FAULTY).mtimeMs > Math.max(newestMs('src'), newestMs('test/soak'))) return;
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', path.join(ROOT, 'test/soak/tsconfig.json')], { stdio: 'inherit' });
};

export interface NodeProcessOptions {
  /** Has `data_dir`, port 0 of loopback as `http_listen`, a `log_level` of info. */
  readonly configFile: string;
  /** Its stores fail on command, and it reports. */
  readonly isFaulty: boolean;
  /** Lines of its log of level warn and above. */
  readonly onProblem?: (text: string) => void;
  readonly onReport?: (report: NodeReport) => void;
}

const WARN = 40;
const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 60_000;

interface LogLine {
  readonly level?: number;
  readonly msg?: string;
  readonly http?: string;
  readonly err?: { readonly message?: string };
}

const parsed = (text: string): LogLine => {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    // Not of the log: what node itself says when a process fails.
    return { level: WARN, msg: text };
  }
};

export class NodeProcess {
  /** Connections to this process, gone with it. */
  readonly agent = new Agent({ connections: 64, headersTimeout: 60_000, bodyTimeout: 60_000 });
  readonly isFaulty: boolean;
  readonly #child: ChildProcess;
  readonly #startedMs = performance.now();
  readonly #exited: Promise<unknown>;
  readonly #serving: Promise<string>;
  #url: string | undefined;
  #isGone = false;

  constructor({ configFile, isFaulty, onProblem, onReport }: NodeProcessOptions) {
    this.isFaulty = isFaulty;
    const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('RINGLOG_'));
    const args = isFaulty ? [FAULTY, configFile] : [SERVE, 'serve', '--config', configFile];
    this.#child = spawn(process.execPath, args, {
      env: Object.fromEntries(clean),
      stdio: isFaulty ? ['ignore', 'ignore', 'pipe', 'ipc'] : ['ignore', 'ignore', 'pipe'],
    });
    this.#exited = once(this.#child, 'exit').then(() => {
      this.#isGone = true;
    });
    this.#child.on('message', (report) => onReport?.(report as NodeReport));
    const lines = createInterface({ input: this.#child.stderr as NodeJS.ReadableStream });
    this.#serving = new Promise((resolve) => {
      lines.on('line', (text) => {
        const { level = 0, msg = '', http, err } = parsed(text);
        if (http !== undefined) resolve(`http://${http}`);
        if (level >= WARN) onProblem?.(err?.message ? `${msg}: ${err.message}` : msg);
      });
    });
  }

  /** undefined until it is ready, and once it is asked to end. */
  get url(): string | undefined {
    return this.#url;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** @returns ms from its start to its first 200 of /ready; undefined if it was killed before. @throws if it ends by itself */
  async ready(): Promise<number | undefined> {
    const url = await Promise.race([this.#serving, this.#exited, deadline(READY_DEADLINE_MS, 'a node to listen')]);
    if (typeof url !== 'string') return this.#endedEarly();
    while (!this.#isGone) {
      const answer = await request(`${url}/ready`, { dispatcher: this.agent }).catch(() => undefined);
      await answer?.body.dump();
      if (answer?.statusCode === 200) {
        if (!this.#child.killed) this.#url = url;
        return performance.now() - this.#startedMs;
      }
    }
    return this.#endedEarly();
  }

  outage(outage: Outage): void {
    if (this.isFaulty && !this.#isGone) this.#child.send(outage, () => undefined);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#url = undefined;
    this.#child.kill('SIGKILL');
    await this.#exited;
    await this.agent.destroy();
  }

  /** SIGTERM. @returns ms until it was gone. @throws unless it ends with 0 */
  async stop(): Promise<number> {
    const startedMs = performance.now();
    this.#url = undefined;
    this.#child.kill('SIGTERM');
    await Promise.race([this.#exited, deadline(STOP_DEADLINE_MS, 'a node to stop')]);
    await this.agent.destroy();
    if (this.#child.exitCode !== 0) throw new Error(`the node ended with ${this.#child.exitCode} when asked to stop`);
    return performance.now() - startedMs;
  }

  #endedEarly(): undefined {
    if (this.#child.killed) return undefined;
    throw new Error(`the node ended with ${this.#child.exitCode ?? this.#child.signalCode} before it was ready`);
  }
}

const deadline = (ms: number, what: string): Promise<never> =>
  new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms).unref();
  });
