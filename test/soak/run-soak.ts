/**
 * The soak test: pushers, askers and faults around one node at a time, and the oracle that compares.
 *
 *   faults, pushes, questions ──► a last kill and start ──► all is acknowledged ──► everything is asked: from log and store,
 *                                                                                 after a flush, after another restart
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import { seededRandom } from '../support/corpus.ts';
import { buildNodes } from '../support/node-process.ts';
import { Asker } from './asker.ts';
import { type FaultOptions, Faults } from './faults.ts';
import { FinalCheck, type FinalFigures } from './final-check.ts';
import { Findings } from './findings.ts';
import { writeNodeConfig } from './node-config.ts';
import { NodeKeeper, type NodeTotals } from './node-keeper.ts';
import { Oracle } from './oracle.ts';
import { Pusher } from './pusher.ts';
import { Questions } from './questions.ts';
import { SoakEntries, type SoakStream, soakStreams } from './soak-entries.ts';

export interface SoakOptions {
  readonly seed: number;
  /** How long faults go on … */
  readonly seconds: number;
  /** … or how many kills there are, if only they are wanted. */
  readonly kills?: number;
  readonly print: (line: string) => void;
}

export interface SoakReport {
  readonly seed: number;
  readonly seconds: number;
  readonly kills: number;
  readonly stops: number;
  readonly starts: number;
  readonly outages: number;
  readonly node: NodeTotals;
  readonly chunkObjects: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly final: FinalFigures;
  readonly answers: number;
  readonly settledCounts: number;
  readonly slowestReadyMs: number;
  readonly slowestStopMs: number;
  readonly findings: Findings;
  /** Faults that were due and did not happen, or too seldom. */
  readonly missing: readonly string[];
}

type FaultTimes = Omit<FaultOptions, 'untilBusy'>;

const PUSHERS = 5;
const STREAMS_EACH = 8;
const ASKERS = 2;
const PRINT_MS = 10_000;
const LONG_SECONDS = 120;
const DRAIN_MS = 120_000;
const FAULTS: FaultTimes = { pauseMsMin: 1_000, pauseMsMax: 4_000, isKillsOnly: false };
const KILLS: FaultTimes = { pauseMsMin: 0, pauseMsMax: 200, isKillsOnly: true };
const BUSY_DEADLINE_MS = 5_000;
const BUSY_POLL_MS = 10;

export const runSoak = async (options: SoakOptions): Promise<SoakReport> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-soak-'));
  const soak = new Soak(folder, options);
  try {
    return await soak.run();
  } finally {
    await soak.end();
    if (soak.isFine) rmSync(folder, { recursive: true, force: true });
    else options.print(`data kept in ${folder}`);
  }
};

/** All of one kind of chance: what one part draws does not change what another does. */
const chances = (seed: number): (() => () => number) => {
  let next = seed;
  return () => {
    next += 1;
    return seededRandom(Math.imul(next, 0x9e3779b1));
  };
};

class Soak {
  readonly #folder: string;
  readonly #options: SoakOptions;
  readonly #findings: Findings;
  readonly #streams = soakStreams(PUSHERS, STREAMS_EACH);
  readonly #groups: readonly (readonly SoakStream[])[];
  readonly #oracle: Oracle;
  readonly #questions: Questions;
  readonly #keeper: NodeKeeper;
  readonly #faults: Faults;
  readonly #pushers: readonly Pusher[];
  readonly #askers: readonly Asker[];
  readonly #startedMs = performance.now();
  #areFaultsOver = false;
  #isAskingOver = false;
  #isDone = false;

  constructor(folder: string, options: SoakOptions) {
    this.#folder = folder;
    this.#options = options;
    const entries = new SoakEntries(options.seed);
    const newChance = chances(options.seed);
    this.#findings = new Findings(options.print);
    this.#oracle = new Oracle(entries, this.#streams);
    this.#questions = new Questions(this.#oracle);
    this.#groups = Array.from({ length: PUSHERS }, (_, index) =>
      this.#streams.slice(index * STREAMS_EACH, (index + 1) * STREAMS_EACH),
    );
    const isFaultyChance = newChance();
    this.#keeper = new NodeKeeper({
      configFile: writeNodeConfig(folder),
      // The node as it is installed has its turn too.
      isFaulty: () => options.kills === undefined && isFaultyChance() < 0.8,
      onProblem: (text) => this.#findings.logged(text),
    });
    this.#faults = new Faults(this.#keeper, newChance(), {
      ...(options.kills === undefined ? FAULTS : KILLS),
      untilBusy: () => this.#untilBusy(),
    });
    const common = { oracle: this.#oracle, node: () => this.#keeper.node, found: this.#findings.add };
    this.#pushers = this.#groups.map(
      (streams) => new Pusher({ ...common, entries, streams, random: newChance(), isOver: () => this.#areFaultsOver }),
    );
    this.#askers = Array.from({ length: ASKERS }, () => {
      const asked = { questions: this.#questions, groups: this.#groups, random: newChance() };
      return new Asker({ ...common, ...asked, isOver: () => this.#isAskingOver });
    });
  }

  get isFine(): boolean {
    return this.#isDone && this.#findings.count === 0;
  }

  async run(): Promise<SoakReport> {
    await this.#keeper.start(this.#options.kills === undefined);
    const printing = setInterval(() => this.#options.print(this.#progress()), PRINT_MS);
    try {
      const pushing = Promise.all(this.#pushers.map((pusher) => pusher.run()));
      const asking = Promise.all(this.#askers.map((asker) => asker.run()));
      await this.#faults.run(() => this.#areEnoughFaults());
      this.#areFaultsOver = true;
      await this.#keeper.kill();
      await this.#keeper.start(true);
      await within(DRAIN_MS, pushing, 'all pushes to be acknowledged');
      this.#isAskingOver = true;
      await asking;
      const final = await this.#finalCheck();
      const report = this.#report(final);
      this.#isDone = true;
      return report;
    } finally {
      clearInterval(printing);
    }
  }

  async end(): Promise<void> {
    this.#areFaultsOver = true;
    this.#isAskingOver = true;
    await this.#keeper.kill();
  }

  async #untilBusy(): Promise<void> {
    const before = this.#oracle.acknowledgedCount;
    const deadlineMs = performance.now() + BUSY_DEADLINE_MS;
    while (this.#oracle.acknowledgedCount === before && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, BUSY_POLL_MS));
    }
  }

  #areEnoughFaults(): boolean {
    const { kills, seconds } = this.#options;
    if (kills !== undefined) return this.#faults.figures.kills >= kills;
    return performance.now() - this.#startedMs >= seconds * 1000;
  }

  async #finalCheck(): Promise<FinalFigures> {
    const { print } = this.#options;
    const check = new FinalCheck({
      oracle: this.#oracle,
      questions: this.#questions,
      groups: this.#groups,
      found: this.#findings.add,
    });
    const node = this.#runningNode();
    const atFirst = await check.run(node);
    print(`after the last restart: ${atFirst.returned} entries returned`);
    const flushed = await request(`${node.url}/flush`, { dispatcher: node.agent, method: 'POST' });
    await flushed.body.dump();
    if (flushed.statusCode !== 204)
      this.#findings.add({ kind: 'broken', text: `flush: ${flushed.statusCode}`, entries: 1 });
    await within(DRAIN_MS, this.#drained(), 'everything to be stored');
    print(`after a flush: ${(await check.run(node)).returned} entries returned`);
    await this.#keeper.stop();
    await this.#keeper.start(false);
    const last = await check.run(this.#runningNode());
    print(`after another restart: ${last.returned} entries returned`);
    return last;
  }

  #runningNode() {
    const { node } = this.#keeper;
    if (!node) throw new Error('no node is running');
    return node;
  }

  /** Nothing is left in memory or in the log of earlier processes. */
  async #drained(): Promise<void> {
    for (;;) {
      const { report } = this.#keeper;
      if (report && report.unflushedBytes === 0 && report.recoveredSegments === 0 && report.flushesPending === 0)
        return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #progress(): string {
    const { kills, stops } = this.#faults.figures;
    const { removedFiles, compactedFiles, flushed } = this.#keeper.totals;
    const seconds = Math.round((performance.now() - this.#startedMs) / 1000);
    return (
      `${seconds} s: ${this.#oracle.acknowledgedCount} of ${this.#oracle.sentCount} entries acknowledged, ` +
      `${this.#questions.answers} answers with ${this.#questions.returned} entries, ${kills} kills, ${stops} stops, ` +
      `${this.#faults.outageCount} outages, ${sumOf(flushed)} flushes, ${removedFiles} log files removed, ` +
      `${compactedFiles} compacted, ${this.#findings.count} findings`
    );
  }

  #report(final: FinalFigures): SoakReport {
    const { kills, stops } = this.#faults.figures;
    const { kills: onlyKills } = this.#options;
    const { totals } = this.#keeper;
    const report = {
      seed: this.#options.seed,
      seconds: Math.round((performance.now() - this.#startedMs) / 1000),
      kills,
      stops,
      starts: this.#keeper.starts,
      outages: this.#faults.outageCount,
      node: totals,
      chunkObjects: this.#chunkObjects(),
      sent: this.#oracle.sentCount,
      acknowledged: this.#oracle.acknowledgedCount,
      final,
      answers: this.#questions.answers,
      settledCounts: this.#questions.settledCounts,
      slowestReadyMs: Math.round(this.#keeper.slowestReadyMs),
      slowestStopMs: Math.round(this.#keeper.slowestStopMs),
      findings: this.#findings,
    };
    return { ...report, missing: onlyKills === undefined ? missingOf(report) : kills < onlyKills ? ['kills'] : [] };
  }

  #chunkObjects(): number {
    const files = readdirSync(path.join(this.#folder, 'data/chunks'), { recursive: true, withFileTypes: true });
    return files.filter((file) => file.isFile()).length;
  }
}

const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

/** What must have happened for the test to say anything. */
const missingOf = (report: Omit<SoakReport, 'missing'>): readonly string[] => {
  const { node } = report;
  const counts: Readonly<Record<string, number>> = {
    kills: report.kills,
    outages: report.outages,
    // In a short run on a busy machine no chunk may become full or idle.
    'flushes of full chunks': report.seconds < LONG_SECONDS ? 1 : (node.flushed['full'] ?? 0),
    'flushes of idle chunks': report.seconds < LONG_SECONDS ? 1 : (node.flushed['idle'] ?? 0),
    'flushes of what earlier processes left': node.flushed['recovered'] ?? 0,
    'log files removed': node.removedFiles,
    answers: report.answers,
    'settled counts': report.settledCounts,
    'entries acknowledged': report.acknowledged,
  };
  return Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [] : [name]));
};

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
