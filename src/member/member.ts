/**
 * A node as a member of a cluster: takes its place on the ring, follows the view, answers other members, hands over what is theirs. Composition
 * of what src/cluster decides and src/actors holds.
 */
import type { StreamAppend } from '../actors/append-router.ts';
import type { LocalNode } from '../actors/local-node.ts';
import type { ClusterWideMemory } from '../actors/local-node-options.ts';
import type { StreamMemory } from '../actors/memory-source.ts';
import type { GiverOptions } from '../cluster/handover/giver-state.ts';
import type { Membership } from '../cluster/membership/membership.ts';
import { Ring } from '../cluster/ring.ts';
import { PROTOCOL } from '../cluster/transport/handshake.ts';
import type { PeerHandler, PeerHandlers, Peers } from '../cluster/transport/peers.ts';
import type { Member, View } from '../cluster/view.ts';
import type { Clock } from '../protocol/clock.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import type { ScanPool } from '../query/query-context.ts';
import type { ScanPlace } from '../query/scan-places.ts';
import { decodeAppendRequest, encodeAppendReply } from './append-message.ts';
import { AppendRouting } from './append-routing.ts';
import { CallKind } from './call-kinds.ts';
import { ClusterMemory } from './cluster-memory.ts';
import { Handover } from './handover.ts';
import { MemoryServer } from './memory-server.ts';
import { RemoteScans } from './remote-scans.ts';
import { ScanServer } from './scan-server.ts';

export interface MemberDeps {
  readonly clock: Clock;
  readonly membership: Membership;
  readonly peers: Peers;
  readonly nodeId: string;
  /** Of a node of weight 1, the same on all nodes. */
  readonly virtualNodes: number;
  readonly scanPool: ScanPool;
  /** Threads of this node that scan: what others believe of themselves too. */
  readonly fetch: (key: string) => Promise<Uint8Array<ArrayBuffer> | undefined>;
  readonly giver: GiverOptions;
  readonly report: (problem: string, error: unknown, about?: object) => void;
  readonly info: (fields: object, text: string) => void;
}

/** A view that another member knows of is read within so long. */
const CATCH_UP_MS = 2_000;

export class ClusterMember {
  readonly #deps: MemberDeps;
  readonly routing: AppendRouting;
  #ring: Ring;
  #node: LocalNode | undefined;
  #memoryServer: MemoryServer | undefined;
  #scanServer: ScanServer | undefined;
  #handover: Handover | undefined;
  readonly #cancelChange: () => void;

  constructor(deps: MemberDeps) {
    this.#deps = deps;
    const { clock, membership, peers, nodeId } = deps;
    this.#ring = new Ring(membership.view, deps.virtualNodes);
    this.routing = new AppendRouting({
      clock,
      peers,
      nodeId,
      ring: () => this.#ring,
      changedAt: () => membership.view.changedAt,
      fence: () => this.#fence(),
      appendHere: (tenant, appends) => this.#appendHere(tenant, appends),
      sawView: (changedAt) => this.#sawView(changedAt),
    });
    this.#cancelChange = membership.onChange((view) => this.#changed(view));
  }

  get ring(): Ring {
    return this.#ring;
  }

  get view(): View {
    return this.#deps.membership.view;
  }

  get handover(): Handover {
    if (!this.#handover) throw new Error('the member has no node yet');
    return this.#handover;
  }

  /** For the node's queries. */
  readonly clusterMemory = (local: StreamMemory): ClusterWideMemory => {
    const { clock, peers, nodeId, membership } = this.#deps;
    return new ClusterMemory({ clock, peers, nodeId, local, freshView: (deadlineMs) => membership.freshView(deadlineMs) });
  };

  /** Other members that share the scans of this node's queries: those that speak exactly what it speaks. */
  readonly places = (): readonly ScanPlace[] => {
    const { peers, nodeId, scanPool } = this.#deps;
    return this.view.members
      .filter((member) => member.nodeId !== nodeId && member.state === 'ACTIVE' && member.protocol.max === PROTOCOL.max)
      .map((member) => new RemoteScans(peers, member, scanPool.size));
  };

  /** What other members may ask; until the node runs they are told to come again. */
  get handlers(): PeerHandlers {
    return new Map<number, PeerHandler>([
      [CallKind.APPEND, (body) => this.#append(body)],
      [CallKind.ADOPT, (body, call) => this.handover.adopt(body, call)],
      [CallKind.SELECT, (body, call) => this.#memory().select(body, call)],
      [CallKind.LOAD, (body, call) => this.#memory().load(body, call)],
      [CallKind.LABEL_SETS, (body) => this.#memory().labelSets(body)],
      [CallKind.SCAN, (body, call) => this.#scans().run(body, call)],
      [CallKind.STATUS, async () => [this.#status()]],
    ]);
  }

  /** The node runs: from now on it answers. */
  attach(node: LocalNode): void {
    const { scanPool, fetch } = this.#deps;
    this.#node = node;
    const memory = new MemoryServer({ memory: node.memory, viewSince: (changedAt) => this.#viewSince(changedAt) });
    this.#memoryServer = memory;
    this.#scanServer = new ScanServer({
      pool: scanPool,
      fetch,
      selected: (from, selection, place) => memory.selected(from, selection, place),
    });
  }

  /** Adopted segments and routed entries are acknowledged only while this is undefined. */
  #fence(): Refusal | undefined {
    if (this.#deps.membership.fenceRemainingMs > 0) return undefined;
    const text = 'this node has lost touch with the members of its cluster, try again later';
    return { code: 'OVERLOADED', text, retryAfterMs: 1000 };
  }

  /** This node's place in the view; undefined before and after. */
  get #self(): Member | undefined {
    return this.view.members.find(({ nodeId }) => nodeId === this.#deps.nodeId);
  }

  async #appendHere(tenant: string, appends: readonly StreamAppend[]): Promise<readonly AppendOutcome[]> {
    const outcomes = await this.#running().appendHere(tenant, appends);
    const refusal = this.#fence();
    if (refusal) throw new RefusedError(refusal);
    return outcomes;
  }

  /** APPEND. Whoever sent it may know an older ring or a newer one: what arrives is taken, and given to its owner later if that is another. */
  async #append(body: Uint8Array): Promise<readonly Uint8Array[]> {
    const { changedAt, tenant, streams } = decodeAppendRequest(body);
    this.#sawView(changedAt);
    if (this.#self?.state !== 'ACTIVE') throw notActive();
    const refusal = this.#fence();
    if (refusal) throw notActive();
    const outcomes = await this.#running().appendForwarded(tenant, streams, body.length);
    if (this.#fence()) throw notActive();
    return [encodeAppendReply({ changedAt: this.view.changedAt, outcomes })];
  }

  #changed(view: View): void {
    this.#ring = new Ring(view, this.#deps.virtualNodes);
    this.#handover?.changed(view, this.#ring);
  }

  /** Another member knows of more than this one. */
  #sawView(changedAt: number): void {
    if (changedAt <= this.view.changedAt) return;
    this.#viewSince(changedAt).catch((error: unknown) => this.#deps.report('the view of the cluster is behind', error));
  }

  async #viewSince(changedAt: number): Promise<number> {
    if (changedAt <= this.view.changedAt) return this.view.changedAt;
    return (await this.#deps.membership.catchUp(changedAt, CATCH_UP_MS)).changedAt;
  }

  #running(): LocalNode {
    if (!this.#node) throw notActive();
    return this.#node;
  }
}

/** The asker goes to the next node. */
const notActive = (): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'this node takes no entries now' });
