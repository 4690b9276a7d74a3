import type { Profile } from './run-schedule.ts';
import type { SimCluster, SimMachine } from './sim-cluster.ts';
import { CALM } from './sim-network.ts';

export type Action =
  | 'nothing'
  | 'join'
  | 'leave'
  | 'restart'
  | 'weight'
  | 'flush'
  | 'stall-transfers'
  | 'slow-queries'
  | 'crash'
  | 'pause'
  | 'partition'
  | 'cut-link'
  | 'bad-network'
  | 'store-outage'
  | 'disk-full'
  | 'members-outage'
  | 'members-bad';

const RESIZE: readonly Action[] = ['nothing', 'join', 'leave', 'restart', 'weight', 'stall-transfers', 'slow-queries'];
const FAULTY: readonly Action[] = [
  'crash',
  'crash',
  'pause',
  'partition',
  'cut-link',
  'bad-network',
  'store-outage',
  'disk-full',
  'members-outage',
  'members-bad',
];
export const FAULTS: ReadonlySet<Action> = new Set(FAULTY);
/** What a step of a schedule chooses from. */
export const ACTIONS: Readonly<Record<Profile, readonly Action[]>> = {
  calm: RESIZE,
  flushing: [...RESIZE, 'flush', 'flush'],
  strict: [...RESIZE, 'flush', ...FAULTY],
  wild: [...RESIZE, 'flush', ...FAULTY, ...FAULTY],
};

const MACHINES_MAX = 4;
export const LEAVE_MS = 120_000;

export interface ScheduleActionsDeps {
  readonly cluster: SimCluster;
  readonly profile: Profile;
  readonly chance: () => number;
  readonly addMachine: (number: number) => SimMachine;
  /** A query begins. */
  readonly query: () => void;
  /** It must not fail, and the schedule does not end before it. */
  readonly background: (work: Promise<unknown>) => void;
  /** How often each action was done. */
  readonly count: (action: Action) => void;
}

/** What happens to the nodes of a schedule, and to all that they need. */
export class ScheduleActions {
  readonly #deps: ScheduleActionsDeps;
  #isFaulty = false;

  constructor(deps: ScheduleActionsDeps) {
    this.#deps = deps;
  }

  act(action: Action): void {
    const { cluster, profile, chance, background, query } = this.#deps;
    const { time, network, stores, membershipFaults } = cluster;
    const machine = this.#oneOf(cluster.machines);
    const isStrict = profile === 'strict';
    const lastMs = 500 + chance() * (chance() < 0.3 ? 16_000 : 4_000);
    if (FAULTS.has(action)) {
      if (isStrict && this.#isFaulty) return;
      this.#isFaulty = true;
    }
    const later = (end: () => void): void => {
      time.after(lastMs, () => {
        cluster.say(`${action} is over`);
        end();
        if (isStrict)
          time.after(12_000, () => {
            this.#isFaulty = false;
          });
      });
    };
    const did = (text: string): void => {
      this.#deps.count(action);
      cluster.say(`${action} ${text}`);
    };
    switch (action) {
      case 'nothing':
        return;
      case 'join': {
        const free = cluster.machines.find(({ isGone }) => isGone);
        if (!free && cluster.machines.length >= MACHINES_MAX) return;
        const joining = free ?? this.#deps.addMachine(cluster.machines.length + 1);
        did(joining.nodeId);
        joining.start();
        return;
      }
      case 'leave': {
        const staying = cluster.machines.filter((one) => one.node && !one.isLeaving);
        // A node that leaves while the only other one starts again stores what it has.
        if (!staying.includes(machine) || staying.length < (profile === 'calm' ? 3 : 2)) return;
        did(machine.nodeId);
        background(
          machine.leave(profile === 'calm' || chance() < 0.7 ? LEAVE_MS : 20_000).then((isGone) => {
            cluster.say(`${machine.nodeId} has left: ${isGone}`);
            if (!isGone && !machine.isHeldDown) machine.start();
          }),
        );
        return;
      }
      case 'restart':
        if (!machine.node) return;
        did(machine.nodeId);
        background(machine.restart());
        return;
      case 'weight':
        did(machine.nodeId);
        background(cluster.setWeight(machine.nodeId, 1 + Math.floor(chance() * 3)));
        return;
      case 'flush':
        if (!machine.node || profile === 'calm') return;
        did(machine.nodeId);
        machine.process?.clock.after(0, () => void machine.node?.services.flush().catch(() => undefined));
        return;
      case 'slow-queries': {
        did('');
        network.faults = { ...CALM, slowShare: 0.5, slowMs: 1_500, slowClass: 'query' };
        // Most of them are under way when something happens to what they ask for.
        const actMs = 400 + chance() * 300;
        for (let queries = 6; queries > 0; queries -= 1) time.after(chance() * actMs, query);
        time.after(actMs, () => this.act(this.#oneOf(['weight', 'join', 'leave', 'flush', 'flush', 'flush'] as const)));
        later(() => {
          if (network.faults.slowClass) network.faults = CALM;
        });
        return;
      }
      case 'stall-transfers':
        did('');
        network.holdTransfers();
        later(() => network.releaseTransfers());
        return;
      case 'crash': {
        if (!machine.process) return;
        const isPowerLost = chance() < 0.6;
        did(`${machine.nodeId}${isPowerLost ? ', power lost' : ''}`);
        machine.isHeldDown = true;
        machine.crash(isPowerLost);
        later(() => machine.start());
        return;
      }
      case 'pause':
        if (!machine.process) return;
        did(machine.nodeId);
        machine.process.clock.pause();
        {
          const { clock } = machine.process;
          later(() => clock.resume());
        }
        return;
      case 'partition': {
        const [some, others] = [cluster.machines.slice(0, 1), cluster.machines.slice(1)];
        const names = (machines: readonly SimMachine[]) => machines.map(({ nodeId }) => nodeId);
        did(names(some).join());
        network.partition(names(some), names(others));
        later(() => network.heal());
        return;
      }
      case 'cut-link': {
        const other = this.#oneOf(cluster.machines);
        did(`${machine.nodeId} to ${other.nodeId}`);
        network.cut(machine.nodeId, other.nodeId);
        later(() => network.heal());
        return;
      }
      case 'bad-network':
        did('');
        network.faults = { lossShare: chance() * 0.3, slowShare: 0.2, slowMs: 4_000, latencyMs: 30 };
        later(() => network.heal());
        return;
      case 'store-outage': {
        const store = this.#oneOf([stores.chunkStore, stores.indexStore]);
        store.fault = this.#oneOf(['refuse', 'hang', 'lose-answer'] as const);
        store.share = this.#oneOf([1, 0.4]);
        did(`${store === stores.chunkStore ? 'chunks' : 'index'} ${store.fault}`);
        later(() => store.heal());
        return;
      }
      case 'disk-full': {
        const { disk } = machine;
        did(machine.nodeId);
        disk.inject({ step: 'write', code: 'ENOSPC' });
        later(() => disk.clear());
        return;
      }
      case 'members-outage':
        did('');
        membershipFaults.isAway = true;
        later(() => {
          membershipFaults.isAway = false;
        });
        return;
      case 'members-bad':
        did('');
        // Some will know of it, and others not.
        time.after(chance() * 1_000, () => this.act(this.#oneOf(['join', 'join', 'leave', 'restart'] as const)));
        membershipFaults.lossShare = 0.3;
        membershipFaults.watchLagMs = 5_000;
        membershipFaults.silentWatchShare = chance() < 0.5 ? 0.5 : 0;
        later(() => Object.assign(membershipFaults, { lossShare: 0, watchLagMs: 5, silentWatchShare: 0 }));
        return;
    }
  }

  #oneOf<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#deps.chance() * items.length)] as Item;
  }
}
