import type { Profile } from './run-schedule.ts';
import { LEASE, type SimCluster, type SimMachine } from './sim-cluster.ts';
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
  | 'crash-in-flush'
  | 'long-crash'
  | 'unheard-join'
  | 'back-and-forth'
  | 'pause'
  | 'partition'
  | 'cut-link'
  | 'bad-network'
  | 'store-outage'
  | 'disk-full'
  | 'members-outage'
  | 'members-bad';

const RESIZE: readonly Action[] = [
  'nothing',
  'join',
  'leave',
  'restart',
  'weight',
  'back-and-forth',
  'stall-transfers',
  'slow-queries',
];
const FAULTY: readonly Action[] = [
  'crash',
  'crash',
  'crash-in-flush',
  'long-crash',
  'unheard-join',
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
  /** A query begins, at any node or at this one. */
  readonly query: (machine?: SimMachine) => void;
  /** A push of one stream begins at this node. */
  readonly push: (machine: SimMachine) => void;
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
        for (let queries = 6; queries > 0; queries -= 1) time.after(chance() * actMs, () => query());
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
      case 'crash-in-flush': {
        // What is being stored is not stored yet, and the log is all that there is of it.
        if (!machine.node) return;
        did(machine.nodeId);
        const store = this.#oneOf([stores.chunkStore, stores.indexStore]);
        store.fault = this.#oneOf(['refuse', 'hang'] as const);
        store.share = 1;
        machine.process?.clock.after(0, () => void machine.node?.services.flush().catch(() => undefined));
        time.after(50 + chance() * 1_000, () => {
          if (!machine.process) return;
          machine.isHeldDown = true;
          machine.crash(chance() < 0.5);
        });
        later(() => {
          store.heal();
          machine.start();
        });
        return;
      }
      case 'long-crash': {
        // The others forget it, but not its disk.
        if (!machine.process) return;
        did(machine.nodeId);
        machine.isHeldDown = true;
        machine.crash(chance() < 0.5);
        const awayMs = LEASE.ttlMs + 2_000 + chance() * 4_000;
        for (let queries = 2; queries > 0; queries -= 1) time.after(awayMs - chance() * 2_000, () => query());
        time.after(awayMs, () => {
          cluster.say(`${action} is over`);
          machine.start();
          if (isStrict)
            time.after(12_000, () => {
              this.#isFaulty = false;
            });
        });
        return;
      }
      case 'unheard-join': {
        const free = cluster.machines.find(({ isGone }) => isGone);
        if (!free && cluster.machines.length >= MACHINES_MAX) {
          this.#isFaulty = false;
          return;
        }
        const joining = free ?? this.#deps.addMachine(cluster.machines.length + 1);
        did(joining.nodeId);
        membershipFaults.watchLagMs = 5_000;
        joining.start();
        // Each is asked, as soon as the new one has taken something that is its own.
        const ask = (tries: number): void => {
          if (!joining.node && tries > 0) return void time.after(20, () => ask(tries - 1));
          for (let pushes = 3; pushes > 0; pushes -= 1) this.#deps.push(joining);
          for (const other of cluster.machines)
            if (other !== joining) time.after(30 + chance() * 60, () => query(other));
        };
        ask(100);
        later(() => Object.assign(membershipFaults, { watchLagMs: 5 }));
        return;
      }
      case 'back-and-forth': {
        did(machine.nodeId);
        let atMs = 0;
        for (const weight of [3, 1, 3]) {
          time.after(atMs, () => background(cluster.setWeight(machine.nodeId, weight)));
          atMs += 200 + chance() * 2_500;
        }
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
