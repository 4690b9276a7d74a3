import { PerformanceObserver } from 'node:perf_hooks';
import type { DecodedPush } from '../../../src/actors/node-services.ts';
import type { QueryResult } from '../../../src/query/query-messages.ts';
import { logRequest } from '../cluster.ts';
import { entryAt, pushOf, T0_NS } from '../entries.ts';
import { seededChance } from '../log/test-log.ts';
import { watchActorSystems } from './crashed-actors.ts';
import { ACTIONS, type Action, LEAVE_MS, ScheduleActions } from './schedule-actions.ts';
import { liveSegments, SimCluster, SimMachine } from './sim-cluster.ts';
import { SimOracle } from './sim-oracle.ts';

// Each node watches the garbage collector: time that is not the simulation's.
PerformanceObserver.prototype.observe = () => undefined;

/** calm: nodes come and go in good order, nothing fails, nothing is to be stored. flushing: and chunks are stored. strict: faults one at a time. wild: faults overlap. */
export type Profile = 'calm' | 'flushing' | 'strict' | 'wild';
const PROFILES: readonly Profile[] = ['calm', 'flushing', 'strict', 'wild'];

export interface Outcome {
  readonly seed: number;
  readonly profile: Profile;
  readonly violations: readonly string[];
  readonly history: readonly string[];
  readonly trace: number;
  readonly figures: Readonly<Record<string, number>>;
}

export interface RunOptions {
  readonly profile?: Profile;
  readonly linger?: string;
}

const APPS = ['a', 'b', 'c', 'd', 'e'];
const CLIENT_MS = 12_000;
const QUERY_MS = 40_000;
const WATCH_MS = 500;
/** Lease, linger, walks, sessions that must fail first. */
const SETTLE_MS = 150_000;
const FLUSH_AGAIN_MS = 10_000;
const FLUSH_MS = 120_000;
/** A push to nodes that are all there: a few messages and syncs. */
const PROMPT_MS = 1_500;

/** One seed is one schedule. */
export const runSchedule = async (seed: number, options: RunOptions = {}): Promise<Outcome> => {
  const forgetActorSystems = watchActorSystems();
  try {
    return await new ScheduleRun(seed, options).run();
  } finally {
    forgetActorSystems();
  }
};

class ScheduleRun {
  readonly #seed: number;
  readonly #profile: Profile;
  readonly #chance: () => number;
  readonly #options: RunOptions;
  readonly #oracle = new SimOracle();
  readonly #figures: Record<string, number> = {};
  #cluster!: SimCluster;
  #actions!: ScheduleActions;
  #pushNumber = 0;
  #running = 0;

  constructor(seed: number, options: RunOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#profile = options.profile ?? (PROFILES[seed % PROFILES.length] as Profile);
    this.#chance = seededChance(seed * 2_654_435_761);
  }

  async run(): Promise<Outcome> {
    this.#cluster = await SimCluster.open(this.#chance, {
      chunkTargetSize: this.#profile === 'calm' ? '1MB' : this.#oneOf(['1KB', '4KB', '1MB']),
      linger: this.#options.linger ?? '15s',
    });
    const cluster = this.#cluster;
    this.#actions = new ScheduleActions({
      cluster,
      profile: this.#profile,
      chance: this.#chance,
      addMachine: (number) => this.#addMachine(number),
      query: (machine) => this.#background(this.#query(machine)),
      push: (machine) => this.#background(this.#pushOne(machine)),
      background: (work) => this.#background(work),
      count: (action) => this.#count(action),
    });
    let error: unknown;
    try {
      await this.#schedule();
    } catch (thrown) {
      error = thrown;
    }
    for (const machine of cluster.machines) machine.process?.clock.end();
    await cluster.members.close();
    const violations = [
      ...cluster.violations,
      ...this.#oracle.broken,
      ...cluster.stores.broken,
      ...(error === undefined ? [] : [String((error as Error).stack)]),
    ];
    return {
      seed: this.#seed,
      profile: this.#profile,
      violations,
      history: cluster.history,
      trace: cluster.network.trace,
      figures: {
        ...this.#figures,
        acknowledged: this.#oracle.acknowledgedCount,
        answers: this.#oracle.checkedAnswers,
        messages: cluster.network.messages,
        virtualMs: cluster.time.monotonicMs(),
      },
    };
  }

  async #schedule(): Promise<void> {
    const cluster = this.#cluster;
    const { time } = cluster;
    // More nodes cost more and, most of the time, show no more.
    const count = 2 + Math.floor(this.#chance() ** 2 * 3);
    for (let number = 1; number <= count; number += 1) this.#addMachine(number).start();
    await this.#until('the cluster starts', () => cluster.unsettled() === undefined, 30_000);
    const steps = 6 + Math.floor(this.#chance() * 8);
    for (let step = 0; step < steps; step += 1) {
      await time.runUntil(() => false, this.#chance() < 0.5 ? this.#chance() * 50 : this.#chance() * 4_000);
      cluster.sample();
      this.#step();
      if (this.#cluster.violations.length + this.#oracle.broken.length > 0) return;
    }
    await this.#finish();
  }

  #addMachine(number: number): SimMachine {
    const machine = new SimMachine(this.#cluster, `n${number}`);
    this.#cluster.machines.push(machine);
    return machine;
  }

  #step(): void {
    for (let pushes = 1 + Math.floor(this.#chance() * 3); pushes > 0; pushes -= 1) this.#background(this.#push());
    if (this.#chance() < 0.6) this.#background(this.#query());
    const actions = ACTIONS[this.#profile];
    this.#actions.act(actions[Math.floor(this.#chance() * actions.length)] as Action);
    // Close to what was just begun, too.
    if (this.#chance() < 0.5) {
      this.#cluster.time.after(this.#chance() * 300, () => {
        this.#background(this.#push());
        this.#background(this.#query());
      });
    }
  }

  /** A client that tries until it is told yes, at one node after the other. */
  async #push(): Promise<void> {
    const cluster = this.#cluster;
    const { time } = cluster;
    this.#pushNumber += 1;
    const { payload, lines } = this.#payload(this.#pushNumber);
    for (const [app, line] of lines) this.#oracle.sent(app, line);
    const attempts = 1 + Math.floor(this.#chance() * 5);
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const machine = this.#oneOf(cluster.machines);
      if (await this.#pushTo(machine, payload, lines)) {
        // It never heard of it, and sends the same again.
        if (this.#chance() > 0.05) return;
      }
      await time.sleep(this.#chance() * 500);
    }
  }

  /** Of one stream, once: nobody else hears of it but its owner. */
  async #pushOne(machine: SimMachine): Promise<void> {
    this.#pushNumber += 1;
    const app = this.#oneOf(APPS);
    const line = `p${this.#pushNumber}-1`;
    this.#oracle.sent(app, line);
    await this.#pushTo(machine, pushOf({ [`{app="${app}"}`]: [entryAt(this.#pushNumber * 10, line)] }), [[app, line]]);
  }

  async #pushTo(
    machine: SimMachine,
    payload: DecodedPush,
    lines: readonly (readonly [string, string])[],
  ): Promise<boolean> {
    const cluster = this.#cluster;
    const { time } = cluster;
    const { process } = machine;
    if (!process || !machine.node) return false;
    const sentMs = time.monotonicMs();
    const isCalm = this.#profile === 'calm' || this.#profile === 'flushing';
    const isTaken = await new Promise<boolean>((resolve) => {
      time.after(CLIENT_MS, () => resolve(false));
      process.clock.after(0, () => {
        const { node } = machine;
        if (!node || process !== machine.process) return resolve(false);
        const startedMs = time.monotonicMs();
        node.services.push('tenant', payload).then(
          ({ refusal }) => {
            const tookMs = time.monotonicMs() - startedMs;
            if (isCalm && tookMs > PROMPT_MS)
              cluster.broken(`I12: a push waited ${Math.round(tookMs)} ms at ${machine.nodeId}`);
            if (!refusal && time.monotonicMs() - sentMs < CLIENT_MS) {
              const number = lines[0]?.[1] ?? '';
              this.#count('batches');
              cluster.say(`ack ${number.slice(0, 8)} ${lines.map(([app]) => app).join('')} at ${machine.nodeId}`);
              for (const [app, line] of lines) this.#oracle.acknowledged(app, line);
            }
            resolve(!refusal);
          },
          (error: unknown) => {
            cluster.say(`push failed at ${machine.nodeId}: ${(error as Error).message}`);
            resolve(false);
          },
        );
      });
    });
    if (!isTaken) this.#count('refused');
    return isTaken;
  }

  #payload(number: number): { payload: DecodedPush; lines: readonly (readonly [string, string])[] } {
    const streams: Record<string, ReturnType<typeof entryAt>[]> = {};
    const lines: (readonly [string, string])[] = [];
    const pad = this.#chance() < 0.2 ? 'x'.repeat(300) : '';
    for (let index = 1 + Math.floor(this.#chance() * 3); index > 0; index -= 1) {
      const app = this.#oneOf(APPS);
      const line = `p${number}-${index}${pad}`;
      lines.push([app, line]);
      const name = `{app="${app}"}`;
      streams[name] = [...(streams[name] ?? []), entryAt(number * 10, line)];
    }
    return { payload: pushOf(streams), lines };
  }

  async #query(machine = this.#oneOf(this.#cluster.machines)): Promise<boolean> {
    return await this.#queryAt(machine, this.#chance() < 0.6 ? 'log' : 'count', 'a query');
  }

  async #queryAt(machine: SimMachine, kind: 'log' | 'count', when: string): Promise<boolean> {
    const cluster = this.#cluster;
    const { time } = cluster;
    const { process } = machine;
    if (!process || !machine.node) return false;
    const name = `${when} (${kind}) at ${machine.nodeId}, ${(time.monotonicMs() / 1000).toFixed(3)} s`;
    return await new Promise<boolean>((resolve) => {
      let isOver = false;
      const end = (isAnswered: boolean): void => {
        isOver = true;
        resolve(isAnswered);
      };
      time.after(QUERY_MS, () => end(false));
      // What a process was asked that has ended since nobody answers.
      const watch = (): void => {
        if (isOver) return;
        if (process === machine.process) time.after(WATCH_MS, watch);
        else end(false);
      };
      time.after(WATCH_MS, watch);
      process.clock.after(0, () => {
        const { node } = machine;
        if (!node || process !== machine.process) return end(false);
        const must = this.#oracle.mark();
        const request = kind === 'log' ? logRequest('{app=~".+"}') : COUNT;
        node.services.queryAll(request, new AbortController().signal).then(
          (answer: QueryResult) => {
            this.#oracle.check(name, must, answer);
            end(true);
          },
          (error: unknown) => {
            cluster.say(`${name} failed: ${(error as Error).message}`);
            this.#count('failedQueries');
            end(false);
          },
        );
      });
    });
  }

  async #finish(): Promise<void> {
    const cluster = this.#cluster;
    const { time, stores } = cluster;
    await time.run(this.#chance() * 5_000);
    cluster.say('heal');
    cluster.heal();
    for (const machine of cluster.machines) if (!machine.isGone) machine.start();
    await this.#until('what was begun ends', () => this.#running === 0, LEAVE_MS + 80_000);
    for (const machine of cluster.machines) if (!machine.isGone) machine.start();
    await this.#until('I6: every segment is at its owner', () => cluster.unsettled() === undefined, SETTLE_MS);
    cluster.sample();
    if (this.#profile === 'calm' && stores.chunks.objects.size > 0) {
      cluster.broken(`${stores.chunks.objects.size} chunks were stored though nobody asked for any`);
    }
    await this.#checkAll('at the end');
    const isStored = (): boolean =>
      cluster.machines.every(({ node, isGone }) => isGone || (node && liveSegments(node).length === 0));
    const flush = (): void => {
      if (isStored()) return;
      for (const { node, process } of cluster.machines) {
        process?.clock.after(0, () => void node?.services.flush().catch(() => undefined));
      }
      // Asked again: what moves just then is nobody's to store.
      time.after(FLUSH_AGAIN_MS, flush);
    };
    flush();
    await this.#until('all is stored', isStored, FLUSH_MS);
    await this.#checkAll('when all is stored');
  }

  async #checkAll(when: string): Promise<void> {
    let asked = 0;
    let answered = 0;
    let isOver = false;
    const first = Math.floor(this.#chance() * 2);
    for (const [at, machine] of this.#cluster.machines.filter(({ isGone }) => !isGone).entries()) {
      asked += 1;
      const ask = async (): Promise<void> => {
        const kind = (at + first) % 2 === 0 ? 'log' : 'count';
        // As a client does: a node may have lost its lease in a fault, and start again only now.
        while (!isOver && !(await this.#queryAt(machine, kind, when))) await this.#pause(WATCH_MS);
        answered += 1;
      };
      this.#background(ask());
    }
    await this.#until(`questions ${when} are answered`, () => answered === asked, QUERY_MS);
    isOver = true;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#cluster.time.after(ms, resolve));
  }

  async #until(what: string, isOver: () => boolean, ms: number): Promise<void> {
    const cluster = this.#cluster;
    // Looking at every step would cost more than the steps.
    let nextMs = 0;
    const look = (): boolean => {
      const nowMs = cluster.time.monotonicMs();
      if (nowMs < nextMs) return false;
      nextMs = nowMs + 200;
      return isOver();
    };
    if (await cluster.time.runUntil(look, ms)) return;
    if (isOver()) return;
    for (const { nodeId, node } of cluster.machines) {
      const handover = node?.cluster?.handover;
      if (handover) cluster.say(`${nodeId} ${JSON.stringify(handover.figures)} ${handover.isSettled}`);
    }
    cluster.broken(`not within ${ms} ms: ${what}; ${cluster.unsettled() ?? 'settled'}; ${this.#running} run`);
  }

  #count(what: string): void {
    this.#figures[what] = (this.#figures[what] ?? 0) + 1;
  }

  #background(work: Promise<unknown>): void {
    this.#running += 1;
    work
      .catch((error: unknown) => this.#cluster.broken(`it failed: ${(error as Error).stack}`))
      .finally(() => {
        this.#running -= 1;
      });
  }

  #oneOf<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#chance() * items.length)] as Item;
  }
}

const HOUR_NS = 3_600_000_000_000n;
const AT_NS = T0_NS + 12n * HOUR_NS;
const COUNT = logRequest('sum by (app) (count_over_time({app=~".+"}[24h]))', {
  startNs: AT_NS,
  endNs: AT_NS,
  isInstant: true,
});
