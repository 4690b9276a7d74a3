/**
 * The chaos test: pushers and askers at any node of a cluster of processes, whose nodes join, leave, are killed, paused and cut off meanwhile.
 *
 *   faults, pushes, questions ──► all heals ──► all is acknowledged ──► everything is asked: at each node, after a flush, after a roll
 *
 * The oracle stands outside all retries: what was acknowledged is in every answer, once.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import type { ConfigInput } from '../../src/config.ts';
import { Asker } from '../soak/asker.ts';
import { FinalCheck } from '../soak/final-check.ts';
import { Findings } from '../soak/findings.ts';
import { Oracle } from '../soak/oracle.ts';
import { Pusher } from '../soak/pusher.ts';
import { Questions } from '../soak/questions.ts';
import type { ServedNode } from '../soak/served-node.ts';
import { SoakEntries, soakStreams } from '../soak/soak-entries.ts';
import { seededRandom } from '../support/corpus.ts';
import { buildNodes, SERVE } from '../support/node-process.ts';
import { PLAIN_LIMITS } from '../support/plain-limits.ts';
import { ALL_FAULTS, type ChaosFault, ChaosFaults } from './chaos-faults.ts';
import { ChaosNodes } from './chaos-nodes.ts';

export interface ChaosOptions {
  readonly seed: number;
  /** How long faults go on. */
  readonly seconds: number;
  readonly print: (line: string) => void;
}

export interface ChaosReport {
  readonly lines: readonly string[];
  readonly findings: Findings;
  /** Faults that were due and did not happen. */
  readonly missing: readonly string[];
  readonly sent: number;
  readonly acknowledged: number;
  readonly returned: number;
}

const NAMES = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5', 'node-6'];
const FIRST = 3;
const PUSHERS = 4;
const STREAMS_EACH = 12;
const ASKERS = 2;
const LEASE_MS = 3_000;
const PUSH_ATTEMPT_MS = 5_000;
const ASK_MS = 10_000;
/** Whoever retries for so long succeeds. */
const BUDGET_MS = 60_000;
const SETTLE_MS = 120_000;
/** A run of at least so long has every kind of fault, and so many changes of the ring. */
const FULL_SECONDS = 80;
const RING_CHANGES = 20;
const PRINT_MS = 10_000;
const PORTS_FROM = 20_000;
const PORTS = 10_000;

const SETTINGS: ConfigInput = {
  auth_enabled: true,
  log_level: 'info',
  ingester: {
    wal: { file_size: '1MB', batch_size: '512KB', compact_age: '5s', tidy_period: '500ms' },
    chunk_block_size: '8KB',
    chunk_target_size: '48KB',
    chunk_idle_period: '5s',
    max_chunk_age: '3m',
    flush_check_period: '500ms',
    flush_op_timeout: '5s',
    flush_backoff_min: '50ms',
    flush_backoff_max: '1s',
    stream_idle_period: '6s',
    cut_workers: 1,
  },
  querier: { max_concurrent: 32, scan_workers: 1 },
  limits: {
    ...PLAIN_LIMITS,
    ingestion_rate_mb: 10_000,
    ingestion_burst_size_mb: 10_000,
    per_stream_rate_limit: '10GB',
    per_stream_rate_limit_burst: '10GB',
    max_global_streams_per_user: 0,
    max_entries_limit_per_query: 0,
    max_query_series: 100_000,
  },
  cluster: {
    membership: { lease_ttl: `${LEASE_MS}ms`, lease_keep_alive: '500ms' },
    linger: '2s',
    unsafe_short_linger: true,
  },
};

export const runChaos = async (options: ChaosOptions): Promise<ChaosReport> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-chaos-'));
  const chaos = new Chaos(folder, options);
  try {
    return await chaos.run();
  } finally {
    await chaos.end();
    if (chaos.isFine) rmSync(folder, { recursive: true, force: true });
    else options.print(`data kept in ${folder}`);
  }
};

class Chaos {
  readonly #folder: string;
  readonly #options: ChaosOptions;
  readonly #findings: Findings;
  readonly #oracle: Oracle;
  readonly #questions: Questions;
  readonly #groups;
  readonly #startedMs = performance.now();
  #nodes: ChaosNodes | undefined;
  #areFaultsOver = false;
  #isAskingOver = false;
  #isDone = false;

  constructor(folder: string, options: ChaosOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#findings = new Findings(options.print);
    const streams = soakStreams(PUSHERS, STREAMS_EACH);
    this.#groups = Array.from({ length: PUSHERS }, (_, index) =>
      streams.slice(index * STREAMS_EACH, (index + 1) * STREAMS_EACH),
    );
    this.#oracle = new Oracle(new SoakEntries(options.seed), streams);
    this.#questions = new Questions(this.#oracle, ASK_MS);
  }

  get isFine(): boolean {
    return this.#isDone && this.#findings.count === 0;
  }

  async run(): Promise<ChaosReport> {
    const { seed, seconds, print } = this.#options;
    const nodes = await this.#open();
    await Promise.all(NAMES.slice(0, FIRST).map((name) => nodes.start(name)));
    const random = seededRandom(seed);
    const { pushers, askers } = this.#clients(nodes, random);
    const faults = new ChaosFaults({
      nodes,
      names: NAMES,
      random: seededRandom(seed + 1),
      leaseMs: LEASE_MS,
      wrong: (text) => this.#wrong(text),
      print: (line) => print(`${this.#seconds()} s: ${line}`),
    });
    const printing = setInterval(() => print(this.#progress()), PRINT_MS);
    try {
      const pushing = Promise.all(pushers.map((pusher) => pusher.run()));
      const asking = Promise.all(askers.map((asker) => asker.run()));
      await faults.run(() => performance.now() - this.#startedMs >= seconds * 1000 || this.#findings.count > 0);
      this.#areFaultsOver = true;
      await nodes.settled();
      await within(SETTLE_MS, pushing, 'all pushes to be acknowledged');
      this.#isAskingOver = true;
      await asking;
      this.#checkLogs();
      const returned = this.#findings.count > 0 ? 0 : await this.#finalCheck(nodes);
      const report = this.#report(faults, nodes, pushers, askers, returned);
      this.#isDone = report.missing.length === 0;
      return report;
    } finally {
      clearInterval(printing);
    }
  }

  async end(): Promise<void> {
    this.#areFaultsOver = true;
    this.#isAskingOver = true;
    await this.#nodes?.close();
  }

  async #open(): Promise<ChaosNodes> {
    const options = {
      command: [SERVE],
      folder: this.#folder,
      basePort: PORTS_FROM + Math.floor(Math.random() * PORTS),
      settings: SETTINGS,
      wrong: (text: string) => this.#wrong(text),
    };
    this.#nodes = await ChaosNodes.open(options, NAMES);
    return this.#nodes;
  }

  #clients(nodes: ChaosNodes, random: () => number) {
    // Any of them, another one each time: one that does not answer costs one attempt.
    const node = (): ServedNode | undefined => {
      const { serving } = nodes;
      return serving[Math.floor(random() * serving.length)];
    };
    const common = { oracle: this.#oracle, node, found: this.#findings.add, random, budgetMs: BUDGET_MS };
    const entries = new SoakEntries(this.#options.seed);
    const pushers = this.#groups.map(
      (streams) =>
        new Pusher({ ...common, entries, streams, isOver: () => this.#areFaultsOver, attemptMs: PUSH_ATTEMPT_MS }),
    );
    const asked = { questions: this.#questions, groups: this.#groups, isOver: () => this.#isAskingOver };
    return { pushers, askers: Array.from({ length: ASKERS }, () => new Asker({ ...common, ...asked })) };
  }

  /** At each node, after a flush, and once every node was replaced. @returns what was found in the end */
  async #finalCheck(nodes: ChaosNodes): Promise<number> {
    const { print } = this.#options;
    const common = { oracle: this.#oracle, questions: this.#questions, groups: this.#groups };
    const check = new FinalCheck({ ...common, found: this.#findings.add });
    for (const node of nodes.serving) {
      print(`in the end, at ${node.nodeId}: ${(await check.run(node)).returned} entries returned`);
    }
    for (const { url, agent } of nodes.serving) {
      await (await request(`${url}/flush`, { method: 'POST', dispatcher: agent })).body.dump();
    }
    for (const name of nodes.serving.map(({ nodeId }) => nodeId)) {
      const code = await nodes.leave(name, true);
      if (code !== 0) this.#wrong(`${name} ended with ${code} in the end`);
      await nodes.start(name);
    }
    const [last] = nodes.serving;
    if (!last) throw new Error('no node is left');
    const { returned } = await check.run(last);
    print(`after a roll of all nodes: ${returned} entries returned`);
    return returned;
  }

  /** What a program says of itself when it is wrong, whatever the network does. */
  #checkLogs(): void {
    for (const name of NAMES) {
      let text = '';
      try {
        text = readFileSync(path.join(this.#folder, `${name}.log`), 'utf8');
      } catch {
        continue;
      }
      for (const line of text.split('\n')) {
        if (BAD.some((bad) => bad.test(line))) this.#wrong(`${name} says ${line.slice(0, 500)}`);
      }
    }
  }

  #wrong(text: string): void {
    this.#findings.add({ kind: 'broken', text, entries: 1 });
  }

  #seconds(): number {
    return Math.round((performance.now() - this.#startedMs) / 1000);
  }

  #progress(): string {
    const { acknowledgedCount, sentCount } = this.#oracle;
    return (
      `${this.#seconds()} s: ${acknowledgedCount} of ${sentCount} entries acknowledged, ` +
      `${this.#questions.answers} answers with ${this.#questions.returned} entries, ${this.#findings.count} findings`
    );
  }

  #report(
    faults: ChaosFaults,
    nodes: ChaosNodes,
    pushers: readonly Pusher[],
    askers: readonly Asker[],
    returned: number,
  ): ChaosReport {
    const { seed, seconds } = this.#options;
    const { counts, ringChanges } = faults;
    const isFull = seconds >= FULL_SECONDS;
    const missing = ALL_FAULTS.filter((fault) => isFull && !counts.get(fault)).map(String);
    if (isFull && ringChanges < RING_CHANGES) missing.push(`${RING_CHANGES} changes of the ring`);
    if (isFull && nodes.lost === 0) missing.push('a lost lease');
    if (this.#questions.answers === 0) missing.push('answers');
    if (this.#questions.settledCounts === 0) missing.push('counts of settled ranges');
    const { sentCount: sent, acknowledgedCount: acknowledged } = this.#oracle;
    const most = (values: readonly number[]): number => Math.round(Math.max(...values));
    const findings = this.#findings;
    const lines = [
      `seed ${seed}, ${this.#seconds()} s`,
      `${ringChanges} ring changes, ${nodes.lost} leases lost, ${nodes.starts} starts: ${countsText(counts)}`,
      `${sent} entries sent, ${acknowledged} acknowledged, ${returned} returned in the end; ` +
        `${this.#questions.answers} answers checked, ${this.#questions.settledCounts} counts of settled ranges`,
      `slowest push with its retries ${most(pushers.map(({ figures }) => figures.slowestMs))} ms, longest without an answer ` +
        `${most(askers.map(({ longestGapMs }) => longestGapMs))} ms, slowest drain ${Math.round(nodes.slowestDrainMs)} ms`,
      `${findings.entries('lost')} lost, ${findings.entries('doubled')} doubled, ${findings.entries('invented')} invented, ` +
        `${findings.entries('miscounted')} miscounted, ${findings.entries('refused')} refused, ${findings.entries('broken')} broken`,
      ...reasonsText(
        'pushes',
        pushers.map(({ figures }) => figures.reasons),
      ),
      ...reasonsText(
        'questions',
        askers.map(({ reasons }) => reasons),
      ),
      ...missing.map((what) => `did not happen: ${what}`),
      findings.count === 0 && missing.length === 0 ? 'all is well' : `NOT WELL: seed ${seed}`,
    ];
    return { lines, findings, missing, sent, acknowledged, returned };
  }
}

const BAD = [/crashed/i, /TypeError/, /RangeError/, /something unknown/, /AssertionError/];

const REASONS = 8;

const reasonsText = (what: string, maps: readonly ReadonlyMap<string, number>[]): readonly string[] => {
  const sums = new Map<string, number>();
  for (const [reason, count] of maps.flatMap((map) => [...map])) sums.set(reason, (sums.get(reason) ?? 0) + count);
  const most = [...sums].sort(([, left], [, right]) => right - left).slice(0, REASONS);
  return most.map(([reason, count]) => `${what} tried again: ${count} × ${reason}`);
};

const countsText = (counts: ReadonlyMap<ChaosFault, number>): string =>
  [...counts].map(([fault, count]) => `${count} ${fault}`).join(', ');

const within = async <T>(ms: number, work: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
