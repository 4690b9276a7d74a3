import { createHash } from 'node:crypto';
import { segmentName } from '../../../src/chunk/memory-format.ts';
import { EmbeddedStore } from '../../../src/cluster/membership/embedded-store.ts';
import { encodeMember, MemberKeys } from '../../../src/cluster/membership/member-keys.ts';
import { streamKey } from '../../../src/cluster/stream-key.ts';
import type { Config } from '../../../src/config.ts';
import { CallKind } from '../../../src/member/call-kinds.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { testConfig } from '../cluster.ts';
import { PowerLossFiles } from '../log/power-loss-files.ts';
import { SimNetwork } from './sim-network.ts';
import { calmMembership, SharedStores, SimMembership, slowFiles } from './sim-stores.ts';
import { inlineWorkers } from './sim-workers.ts';
import { ProcessClock, VirtualTime } from './virtual-time.ts';

export interface SimOptions {
  readonly chunkTargetSize: string;
  readonly linger: string;
}

export const LEASE = { ttlMs: 10_000, marginMs: 2_500 };
const PREFIX = 'sim';
const WORKERS = inlineWorkers();
const START_AGAIN_MS = 1_000;
const STOP_MS = 5_000;
/** A segment of some entries moves in several parts and messages. */
const MESSAGE_SIZES = { messageBytesMax: 400, messagePartsMax: 5, partBytesMax: 100 };

export interface SimProcess {
  readonly clock: ProcessClock;
  readonly membership: SimMembership;
  readonly number: number;
  /** Undefined while it starts. */
  node: RinglogNode | undefined;
  isStopping: boolean;
  /** Called once it has ended. */
  readonly onEnd: (() => void)[];
}

/** A place for a node: its disk, and one process after the other on it. */
export class SimMachine {
  readonly nodeId: string;
  #cluster: SimCluster;
  disk = new PowerLossFiles();
  diskUid: string;
  #incarnation = 0;
  process: SimProcess | undefined;
  /** It has left: nobody needs its disk. */
  isGone = true;
  isLeaving = false;
  /** Somebody wants it down. */
  isHeldDown = false;

  constructor(cluster: SimCluster, nodeId: string) {
    this.#cluster = cluster;
    this.nodeId = nodeId;
    this.diskUid = '';
  }

  /** Runs, and takes what it is asked. */
  get node(): RinglogNode | undefined {
    const { process } = this;
    return process && !process.isStopping && !process.clock.isDead ? process.node : undefined;
  }

  /** Starts and starts again until it is there or somebody wants it down. */
  start(): void {
    this.isHeldDown = false;
    if (this.process) return;
    const cluster = this.#cluster;
    const { time, network, stores } = cluster;
    if (this.isGone) {
      this.disk = new PowerLossFiles();
      this.diskUid = createHash('md5').update(`${this.nodeId} ${cluster.nextNumber()}`).digest('hex');
      this.#incarnation = 0;
      this.isGone = false;
    }
    this.#incarnation += 1;
    const clock = new ProcessClock(time);
    const { chance } = cluster;
    const membership = new SimMembership(clock, cluster.members, chance, cluster.membershipFaults, LEASE);
    const process: SimProcess = {
      clock,
      membership,
      number: cluster.nextNumber(),
      node: undefined,
      isStopping: false,
      onEnd: [],
    };
    this.process = process;
    const log = {
      info: (_fields: object, text: string) => cluster.say(`${this.nodeId}: ${text}`),
      warn: (fields: object, text: string) => cluster.problem(this.nodeId, text, fields),
      error: (fields: object, text: string) => cluster.problem(this.nodeId, text, fields),
    };
    startNode(cluster.configOf(this.nodeId), {
      clock,
      chance,
      chunks: stores.chunksFor(clock),
      index: stores.indexFor(clock),
      workers: WORKERS,
      log,
      logDisk: {
        files: slowFiles(clock, chance, this.disk.process()),
        identity: { uid: this.diskUid, incarnation: this.#incarnation },
      },
      members: membership,
      messageSizes: MESSAGE_SIZES,
      startPeers: network.starter(clock, (kind) => this.#acknowledges(process, kind)),
      onLost: (reason) => {
        cluster.say(`${this.nodeId} lost: ${reason}`);
        time.after(1, () => void this.restart(process));
      },
    }).then(
      (node) => {
        if (clock.isDead) return;
        process.node = node;
        cluster.say(`${this.nodeId} runs`);
      },
      (error: unknown) => {
        cluster.say(`${this.nodeId} did not start: ${(error as Error).message}`);
        if (!clock.isDead) this.#ended(process);
        this.#startLater();
      },
    );
  }

  /** The process ends in the middle of what it does. `isPowerLost`: and what its disk had not synced is there or not. */
  crash(isPowerLost: boolean): void {
    const { process } = this;
    if (!process) return;
    this.#ended(process);
    if (isPowerLost) this.disk.crash(this.#cluster.chance);
    else this.disk.kill();
  }

  /** Ends it in good order and starts it again, unless it is another by then. */
  async restart(process = this.process): Promise<void> {
    if (!process || process !== this.process || process.isStopping) return;
    await this.stop();
    if (!this.isHeldDown) this.#startLater();
  }

  async stop(): Promise<void> {
    const { process } = this;
    if (!process || process.isStopping) return;
    process.isStopping = true;
    if (process.node) {
      const stopped = process.node.stop({ deadlineMs: STOP_MS }).catch(() => undefined);
      await Promise.race([stopped, this.#cluster.time.sleep(2 * STOP_MS)]);
    }
    if (process === this.process) {
      this.#ended(process);
      this.disk.kill();
    }
  }

  /** @returns whether it has left for good */
  async leave(deadlineMs: number): Promise<boolean> {
    this.isLeaving = true;
    return await this.#leave(deadlineMs).finally(() => {
      this.isLeaving = false;
    });
  }

  async #leave(deadlineMs: number): Promise<boolean> {
    const { process } = this;
    const member = process?.node?.cluster;
    if (!process || !member || process.isStopping) return false;
    const isEmpty = await Promise.race([
      member.leave(deadlineMs).catch(() => false),
      new Promise<false>((resolve) => {
        process.onEnd.push(() => resolve(false));
      }),
    ]);
    if (process !== this.process) return false;
    const left = liveSegments(process.node as RinglogNode);
    if (isEmpty && left.length > 0)
      this.#cluster.broken(`I10: ${this.nodeId} left with ${left.join(', ')} on its disk`);
    await this.stop();
    if (isEmpty) this.isGone = true;
    return isEmpty;
  }

  #ended(process: SimProcess): void {
    process.clock.end();
    for (const tell of process.onEnd) tell();
    this.#cluster.network.drop(this.nodeId, process.clock);
    if (this.process === process) this.process = undefined;
  }

  #startLater(): void {
    this.#cluster.time.after(START_AGAIN_MS, () => {
      if (!this.isHeldDown && !this.isGone) this.start();
    });
  }

  /** I8. */
  #acknowledges({ membership }: SimProcess, kind: number): void {
    if (kind !== CallKind.APPEND && kind !== CallKind.ADOPT) return;
    if (membership.fenceMs <= this.#cluster.time.monotonicMs()) {
      this.#cluster.broken(`I8: ${this.nodeId} acknowledged a call of kind ${kind} after its fence time`);
    }
  }
}

export const liveSegments = ({ handOver }: RinglogNode): readonly string[] =>
  [...(handOver?.log.segments() ?? [])].map(({ id }) => segmentName(id));

export class SimCluster {
  readonly time = new VirtualTime();
  readonly chance: () => number;
  readonly network: SimNetwork;
  readonly stores: SharedStores;
  readonly members: EmbeddedStore;
  readonly membershipFaults = calmMembership();
  readonly machines: SimMachine[] = [];
  readonly history: string[] = [];
  readonly violations: string[] = [];
  readonly #options: SimOptions;
  readonly #configs = new Map<string, Config>();
  readonly #changedAt = new Map<number, number>();
  readonly #epochs = new Map<string, number>();
  #number = 0;

  private constructor(chance: () => number, options: SimOptions, time: VirtualTime, members: EmbeddedStore) {
    this.time = time;
    this.members = members;
    this.chance = chance;
    this.#options = options;
    this.network = new SimNetwork(this.time, chance);
    this.stores = new SharedStores(chance, () => this.time.nowMs());
  }

  static async open(chance: () => number, options: SimOptions): Promise<SimCluster> {
    const time = new VirtualTime();
    return new SimCluster(chance, options, time, await EmbeddedStore.open({ clock: time }));
  }

  nextNumber(): number {
    this.#number += 1;
    return this.#number;
  }

  say(text: string): void {
    this.history.push(`${(this.time.monotonicMs() / 1000).toFixed(3)} ${text}`);
  }

  problem(nodeId: string, text: string, fields: object): void {
    const { err, error } = fields as { readonly err?: Error; readonly error?: Error };
    this.say(`${nodeId}! ${text} ${(err ?? error)?.message ?? JSON.stringify(fields)}`);
  }

  broken(text: string): void {
    this.say(`BROKEN ${text}`);
    this.violations.push(text);
  }

  configOf(nodeId: string): Config {
    const name = `${nodeId} ${this.#options.chunkTargetSize} ${this.#options.linger}`;
    const known = configs.get(name) ?? configFor(nodeId, this.#options);
    configs.set(name, known);
    this.#configs.set(nodeId, known);
    return known;
  }

  /** Their share of the ring, as an operator sets it. */
  async setWeight(nodeId: string, weight: number): Promise<void> {
    const keys = new MemberKeys(PREFIX);
    const key = keys.member(nodeId);
    const { entries } = await this.members.range(key, 1000);
    const entry = entries.find((one) => one.key === key);
    const member = entry && keys.memberOf(entry);
    if (!entry || !member || entry.lease === undefined) return;
    const value = encodeMember({ ...member, weight }, member.incarnation);
    const guard = { type: 'unchanged', key, modRevision: entry.modRevision } as const;
    await this.members.transaction([guard], [{ type: 'put', key, value, lease: entry.lease }], 1000);
  }

  /** I7, and that epochs of custody only grow on a disk. */
  sample(): void {
    for (const machine of this.machines) {
      const { process, node } = machine;
      if (!process || !node?.cluster) continue;
      const { changedAt } = node.cluster.view;
      const before = this.#changedAt.get(process.number) ?? 0;
      if (changedAt < before) this.broken(`I7: the view of ${machine.nodeId} went from ${before} to ${changedAt}`);
      this.#changedAt.set(process.number, changedAt);
      for (const { id, epoch } of node.handOver?.log.segments() ?? []) {
        const name = `${machine.diskUid} ${segmentName(id)}`;
        const last = this.#epochs.get(name) ?? 0;
        if (epoch < last) this.broken(`I6: custody of ${name} went from ${last} to ${epoch}`);
        this.#epochs.set(name, epoch);
      }
    }
  }

  /** Why the cluster is not quiet; undefined: I6 holds. */
  unsettled(): string | undefined {
    const holders = new Map<string, string>();
    for (const { nodeId, node, isGone } of this.machines) {
      if (isGone) continue;
      if (!node?.cluster || !node.handOver) return `${nodeId} does not run`;
      const { ring } = node.cluster;
      if (!ring.members.some((member) => member.nodeId === nodeId)) return `${nodeId} is not on the ring`;
      for (const { id, header } of node.handOver.log.segments()) {
        const name = segmentName(id);
        const other = holders.get(name);
        if (other !== undefined) return `${name} is at ${other} and at ${nodeId}`;
        holders.set(name, nodeId);
        if (!header) return `${name} has no header`;
        const owner = ring.owner(streamKey(header.tenant, labelSetOf(header.labels).canonical))?.nodeId;
        if (owner !== nodeId) return `${name} is at ${nodeId} and belongs to ${owner}`;
      }
    }
    return undefined;
  }

  heal(): void {
    this.network.heal();
    this.stores.heal();
    Object.assign(this.membershipFaults, calmMembership());
    for (const { process, disk } of this.machines) {
      disk.clear();
      if (process?.clock.isPaused) process.clock.resume();
    }
  }
}

const configs = new Map<string, Config>();

const configFor = (nodeId: string, { chunkTargetSize, linger }: SimOptions): Config =>
  testConfig({
    ingester: {
      chunk_encoding: 'none',
      chunk_block_size: '1KB',
      chunk_target_size: chunkTargetSize,
      flush_backoff_min: '100ms',
      flush_backoff_max: '2s',
      wal: { file_size: '1MB', batch_size: '512KB', tidy_period: '1h' },
    },
    // Rules move no streams.
    ruler: { enabled: false },
    cluster: {
      enabled: true,
      node_id: nodeId,
      linger,
      unsafe_short_linger: true,
      membership: { prefix: PREFIX, lease_ttl: `${LEASE.ttlMs}ms`, lease_keep_alive: '2s' },
    },
  });
