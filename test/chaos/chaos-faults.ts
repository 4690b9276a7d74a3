/** What happens to the nodes, in a seeded order, in two lanes at a time: changes of the ring, and what lasts only a while. */
import type { ChaosNodes } from './chaos-nodes.ts';

export interface ChaosFaultsDeps {
  readonly nodes: ChaosNodes;
  readonly names: readonly string[];
  readonly random: () => number;
  readonly leaseMs: number;
  readonly wrong: (text: string) => void;
  readonly print: (line: string) => void;
}

type RingFault = 'join' | 'leave' | 'roll' | 'kill' | 'long pause';
type LinkFault = 'short pause' | 'cut' | 'refuse' | 'silence' | 'delay';
export type ChaosFault = RingFault | LinkFault;

const RING_FAULTS: readonly RingFault[] = ['join', 'leave', 'roll', 'kill', 'long pause'];
const LINK_FAULTS: readonly LinkFault[] = ['short pause', 'cut', 'refuse', 'silence', 'delay'];
export const ALL_FAULTS: readonly ChaosFault[] = [...RING_FAULTS, ...LINK_FAULTS];

const NODES_MIN = 2;
const RING_LANES = 2;
const PAUSE_MS = 1_200;

export class ChaosFaults {
  readonly counts = new Map<ChaosFault, number>();
  /** Nodes that joined, left or were replaced. */
  ringChanges = 0;
  readonly #deps: ChaosFaultsDeps;
  /** Of nodes that something is happening to. */
  readonly #busy = new Set<string>();

  constructor(deps: ChaosFaultsDeps) {
    this.#deps = deps;
  }

  async run(isOver: () => boolean): Promise<void> {
    const lanes = Array.from({ length: RING_LANES }, () => this.#lane(RING_FAULTS, isOver));
    await Promise.all([...lanes, this.#lane(LINK_FAULTS, isOver)]);
  }

  async #lane(faults: readonly ChaosFault[], isOver: () => boolean): Promise<void> {
    const { random, names } = this.#deps;
    // All of them in turn, each turn in another order: a short run has each kind.
    let turn: ChaosFault[] = [];
    while (!isOver()) {
      if (turn.length === 0) turn = [...faults].sort(() => random() - 0.5);
      const fault = turn.pop() as ChaosFault;
      const nodeId = fault === 'join' ? this.#pick(names.filter((name) => !this.#isUp(name))) : this.#victim(fault);
      if (nodeId !== undefined) {
        this.#busy.add(nodeId);
        try {
          await this.#happen(fault, nodeId);
        } finally {
          this.#busy.delete(nodeId);
        }
      }
      await pause(random() * PAUSE_MS);
    }
  }

  #isUp(name: string): boolean {
    return this.#busy.has(name) || this.#deps.nodes.serving.some(({ nodeId }) => nodeId === name);
  }

  #victim(fault: ChaosFault): string | undefined {
    const free = this.#deps.nodes.serving.map(({ nodeId }) => nodeId).filter((nodeId) => !this.#busy.has(nodeId));
    if (LINK_FAULTS.some((one) => one === fault)) return this.#pick(free);
    return free.length > NODES_MIN ? this.#pick(free) : undefined;
  }

  #pick(from: readonly string[]): string | undefined {
    return from[Math.floor(this.#deps.random() * from.length)];
  }

  async #happen(fault: ChaosFault, nodeId: string): Promise<void> {
    const { nodes, random, leaseMs, print } = this.#deps;
    const startedMs = performance.now();
    const proxy = nodes.proxy(nodeId);
    switch (fault) {
      case 'join':
        await nodes.start(nodeId);
        break;
      case 'leave':
        await this.#leave(nodeId, false);
        break;
      case 'roll':
        await this.#leave(nodeId, true);
        await nodes.start(nodeId);
        break;
      case 'kill':
        await nodes.kill(nodeId);
        await pause(random() < 0.5 ? 0 : random() * leaseMs * 1.5);
        await nodes.start(nodeId);
        break;
      case 'long pause':
        await this.#paused(nodeId, leaseMs * (1.3 + random()));
        await nodes.ended(nodeId, leaseMs);
        await nodes.settled();
        break;
      case 'short pause':
        await this.#paused(nodeId, leaseMs * random() * 0.7);
        break;
      case 'cut':
        proxy.cut();
        break;
      case 'refuse':
        proxy.refuse();
        await pause(random() * leaseMs);
        proxy.resume();
        break;
      case 'silence':
        proxy.silence();
        await pause(random() * leaseMs * 1.5);
        proxy.resume();
        break;
      case 'delay':
        proxy.delay(20 + random() * 300);
        await pause(2_000);
        proxy.delay(0);
        break;
    }
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.ringChanges += { join: 1, leave: 1, roll: 2, kill: 1, 'long pause': 2 }[fault as RingFault] ?? 0;
    print(`${fault} of ${nodeId}: ${Math.round(performance.now() - startedMs)} ms`);
  }

  async #leave(nodeId: string, keepsDisk: boolean): Promise<void> {
    const code = await this.#deps.nodes.leave(nodeId, keepsDisk);
    if (code !== 0) this.#deps.wrong(`${nodeId} ended with ${code} when asked to leave`);
  }

  async #paused(nodeId: string, ms: number): Promise<void> {
    this.#deps.nodes.pause(nodeId);
    await pause(ms);
    this.#deps.nodes.continue(nodeId);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
