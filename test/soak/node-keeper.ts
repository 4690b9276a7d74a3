/** The one node of a soak test, whichever process it is at the moment. */
import { NodeProcess } from '../support/node-process.ts';
import type { Outage } from './faulty-stores.ts';
import type { NodeReport } from './node-report.ts';

/** What processes that are gone reported last, and the one that runs. */
export interface NodeTotals {
  readonly flushed: Readonly<Record<string, number>>;
  readonly removedFiles: number;
  readonly compactedFiles: number;
  readonly flushFailures: number;
}

export interface NodeKeeperOptions {
  readonly configFile: string;
  /** Whether the next process is one whose stores can fail. */
  readonly isFaulty: () => boolean;
  readonly onProblem: (text: string) => void;
}

export class NodeKeeper {
  readonly #options: NodeKeeperOptions;
  readonly #ended: NodeReport[] = [];
  #node: NodeProcess | undefined;
  #report: NodeReport | undefined;
  #starts = 0;
  #slowestReadyMs = 0;
  #slowestStopMs = 0;

  constructor(options: NodeKeeperOptions) {
    this.#options = options;
  }

  /** undefined while nobody listens. */
  get node(): NodeProcess | undefined {
    return this.#node?.url === undefined ? undefined : this.#node;
  }

  get report(): NodeReport | undefined {
    return this.#report;
  }

  get starts(): number {
    return this.#starts;
  }

  get slowestReadyMs(): number {
    return this.#slowestReadyMs;
  }

  get slowestStopMs(): number {
    return this.#slowestStopMs;
  }

  get totals(): NodeTotals {
    const reports = this.#report ? [...this.#ended, this.#report] : this.#ended;
    const flushed: Record<string, number> = {};
    for (const report of reports) {
      for (const [reason, count] of Object.entries(report.flushed)) flushed[reason] = (flushed[reason] ?? 0) + count;
    }
    const sum = (field: 'removedFiles' | 'compactedFiles' | 'flushFailures'): number =>
      reports.reduce((total, report) => total + report[field], 0);
    return {
      flushed,
      removedFiles: sum('removedFiles'),
      compactedFiles: sum('compactedFiles'),
      flushFailures: sum('flushFailures'),
    };
  }

  /** Starts a process and waits until it is ready, or was killed before. */
  async start(isFaulty = this.#options.isFaulty()): Promise<void> {
    const { configFile, onProblem } = this.#options;
    this.#starts += 1;
    const node = new NodeProcess({
      configFile,
      isFaulty,
      onProblem,
      onReport: (report) => {
        this.#report = report;
      },
    });
    this.#node = node;
    const readyMs = await node.ready();
    if (readyMs !== undefined) this.#slowestReadyMs = Math.max(this.#slowestReadyMs, readyMs);
  }

  async kill(): Promise<void> {
    await this.#node?.kill();
    this.#settle();
  }

  async stop(): Promise<void> {
    const stoppedMs = (await this.#node?.stop()) ?? 0;
    this.#slowestStopMs = Math.max(this.#slowestStopMs, stoppedMs);
    this.#settle();
  }

  /** False if the process at hand cannot have one. */
  outage(outage: Outage): boolean {
    if (!this.node?.isFaulty) return false;
    this.node.outage(outage);
    return true;
  }

  #settle(): void {
    if (this.#report) this.#ended.push(this.#report);
    this.#report = undefined;
    this.#node = undefined;
  }
}
