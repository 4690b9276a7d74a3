/**
 * A node as a member of a cluster: takes its place on the ring, follows the view, answers other members, hands over what is theirs. Composition
 * of what src/cluster decides and src/actors holds.
 */
import type { StreamAppend } from '../actors/append-router.ts';
import type { LocalNode } from '../actors/local-node.ts';
import type { LoggedSegments } from '../actors/logged-segments.ts';
import type { StreamMemory } from '../actors/memory-source.ts';
import type { AppendOutcome } from '../actors/stream-state.ts';
import type { GiverOptions } from '../cluster/handover/giver-state.ts';
import type { Membership } from '../cluster/membership/membership.ts';
import type { Ring } from '../cluster/ring.ts';
import { RingKeeper } from '../cluster/ring-keeper.ts';
import { PROTOCOL } from '../cluster/transport/handshake.ts';
import type { IncomingCall, PeerHandler, PeerHandlers, Peers } from '../cluster/transport/peers.ts';
import type { Member, View } from '../cluster/view.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../protocol/clock.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import type { ScanPool } from '../query/query-context.ts';
import type { ScanPlace } from '../query/scan-places.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import { decodeAppendRequest, encodeAppendReply, ownCopy } from './append-message.ts';
import { AppendRouting } from './append-routing.ts';
import { CallKind } from './call-kinds.ts';
import { ClusterMemory } from './cluster-memory.ts';
import { ClusterRules } from './cluster-rules.ts';
import type { ClusterServices, MemberFigures } from './cluster-services.ts';
import { ClusterStatus } from './cluster-status.ts';
import { ClusterTails } from './cluster-tails.ts';
import { Handover } from './handover.ts';
import { type LeavingDeps, leaveCluster } from './leaving.ts';
import { MemoryServer } from './memory-server.ts';
import { NodeHoldings } from './node-holdings.ts';
import type { MessageSizes } from './offered-parts.ts';
import { RemoteScans } from './remote-scans.ts';
import { ScanServer } from './scan-server.ts';
import { encodeStatus } from './status-message.ts';
import { TailServer } from './tail-server.ts';

export interface MemberDeps {
  readonly clock: Clock;
  readonly membership: Membership;
  readonly peers: Peers;
  readonly nodeId: string;
  readonly scanPool: ScanPool;
  /** Threads of this node that scan: what others believe of themselves too. */
  readonly chunks: ChunkReader;
  readonly giver: GiverOptions;
  readonly messageSizes?: MessageSizes | undefined;
  readonly cpuWaitShare?: (() => number) | undefined;
  readonly report: (problem: string, error: unknown, about?: object) => void;
  readonly info: (fields: object, text: string) => void;
}

/** A view that another member knows of is read within so long. */
const CATCH_UP_MS = 2_000;
const ABANDON_MS = 4_000;

export class ClusterMember {
  readonly #deps: MemberDeps;
  readonly routing: AppendRouting;
  readonly rules: ClusterRules;
  readonly #rings: RingKeeper;
  #node: LocalNode | undefined;
  #log: Log | undefined;
  #memoryServer: MemoryServer | undefined;
  #scanServer: ScanServer | undefined;
  #handover: Handover | undefined;
  #clusterMemory: ClusterMemory | undefined;
  #isRegistered = false;

  constructor(deps: MemberDeps) {
    this.#deps = deps;
    const { clock, membership, peers, nodeId } = deps;
    this.#rings = new RingKeeper(clock, membership.view, () => this.#moveStreams());
    this.routing = new AppendRouting({
      clock,
      peers,
      nodeId,
      ring: () => this.ring,
      ringDigest: () => this.#rings.digest,
      changedAt: () => membership.view.changedAt,
      fence: () => this.#fence(),
      appendHere: (tenant, appends) => this.#appendHere(tenant, appends),
      look: () => this.handover.look(),
      sawView: (changedAt) => this.#sawView(changedAt),
    });
    this.rules = new ClusterRules({ peers, nodeId, ring: () => this.ring });
    membership.onChange((view) => this.#changed(view));
  }

  /** Of the view, or for a moment of one before it. */
  get ring(): Ring {
    return this.#rings.ring;
  }

  get view(): View {
    return this.#deps.membership.view;
  }

  get handover(): Handover {
    if (!this.#handover) throw new Error('the member has no node yet');
    return this.#handover;
  }

  /** For the node's queries. */
  readonly clusterMemory = (local: StreamMemory): ClusterMemory => {
    const { clock, peers, nodeId, membership, report } = this.#deps;
    const tails = new ClusterTails({
      clock,
      peers,
      nodeId,
      local,
      view: () => membership.view,
      onView: (listener) => membership.onChange(listener),
      report,
    });
    this.#clusterMemory = new ClusterMemory({
      clock,
      peers,
      nodeId,
      local,
      tails,
      freshView: (deadlineMs) => membership.freshView(deadlineMs),
    });
    return this.#clusterMemory;
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
      [CallKind.APPEND, (body, call) => this.#append(body, call)],
      [CallKind.ADOPT, (body, { from, bodyRead }) => this.handover.adopt(body, from, bodyRead)],
      [CallKind.SELECT, (body, call) => this.#memory().select(body, call)],
      [CallKind.LOAD, (body, call) => this.#memory().load(body, call)],
      [CallKind.LABEL_SETS, (body) => this.#memory().labelSets(body)],
      [CallKind.VOLUMES, (body) => this.#memory().volumes(body)],
      [CallKind.SCAN, (body, call) => this.#scans().run(body, call)],
      [CallKind.TAIL, (body, call) => new TailServer(this.#deps.clock, this.#running().memory).tail(body, call)],
      [CallKind.STATUS, async () => [encodeStatus(this.figures)]],
      [CallKind.RULES, (body) => this.rules.answer(body)],
    ]);
  }

  /** The node runs: from now on it answers. */
  attach(node: LocalNode, log: Log, logged: LoggedSegments): void {
    const { moves } = node;
    if (!moves) throw new Error('a member needs a log');
    const { scanPool, chunks, clock, peers, nodeId, giver, messageSizes, cpuWaitShare, report } = this.#deps;
    this.#node = node;
    this.#log = log;
    this.#handover = new Handover({
      clock,
      peers,
      log,
      holdings: new NodeHoldings(node, moves, (segment) => void logged.add(segment), clock, report),
      nodeId,
      giver,
      messageSizes,
      cpuWaitShare,
      view: () => this.view,
      ring: () => this.ring,
      refusal: () => (this.#self?.state === 'ACTIVE' ? this.#fence()?.text : 'this node is not an active member'),
      report,
    });
    const viewSince = (changedAt: number): Promise<number> => this.#viewSince(changedAt);
    const memory = new MemoryServer({ clock, memory: node.memory, viewSince });
    this.#memoryServer = memory;
    this.#scanServer = new ScanServer({
      pool: scanPool,
      chunks,
      selected: (from, selection, place) => memory.selected(from, selection, place),
    });
  }

  /** Why it should be sent nothing now. */
  notReady(): string | undefined {
    const state = this.#self?.state;
    if (state === undefined) return 'this node is no member of its cluster';
    if (state !== 'ACTIVE') return `this node is ${state}`;
    return this.#fence()?.text;
  }

  get figures(): MemberFigures {
    const { streams, unflushedBytes, recoveredSegments } = this.#running().figures;
    const { waiting, sending, given, bytesInFlight } = this.handover.figures;
    return {
      streams,
      unflushedBytes,
      loggedSegments: recoveredSegments,
      moving: waiting + sending,
      lingering: given,
      isSettled: this.handover.isSettled,
      movingBytes: bytesInFlight,
      fenceMs: Math.round(this.#deps.membership.fenceRemainingMs),
    };
  }

  /** For operators; `drain` is called when one asks for it. */
  services(drain: () => void): ClusterServices {
    const { peers, nodeId } = this.#deps;
    if (!this.#clusterMemory) throw new Error('the member has no node yet');
    return new ClusterStatus({ member: this, memory: this.#clusterMemory, peers, nodeId, drain });
  }

  async setWeight(weight: number): Promise<void> {
    await this.#deps.membership.setWeight(weight);
    await this.#rings.upToDate();
  }

  /** Takes its place on the ring, once it is registered. */
  async join(): Promise<void> {
    // It knows by now who is there: it takes its place with a ring that is ready.
    await this.#rings.upToDate();
    this.#isRegistered = true;
    await this.#deps.membership.become('ACTIVE');
    await this.#rings.upToDate();
  }

  /**
   * Gives up its place and hands everything over: see leaveCluster.
   * @throws MembershipError if the membership store does not answer in time
   */
  async leave(deadlineMs: number): Promise<boolean> {
    const { clock, membership, giver, info } = this.#deps;
    const node = this.#running();
    const leaving: LeavingDeps = {
      clock,
      membership,
      handover: this.handover,
      lingerMs: giver.lingerMs,
      ringUpToDate: () => this.#rings.upToDate(),
      isAlone: () => this.ring.members.length === 0,
      segmentCount: () => this.#log?.segmentCount ?? 0,
      isEmpty: () => this.#isEmpty(),
      flush: () => node.services.flush(),
      info,
    };
    return await leaveCluster(leaving, deadlineMs);
  }

  /** Stops without leaving: the others wait for this disk to come back. */
  stop(): void {
    this.#handover?.stop();
    this.#deps.membership.stop();
  }

  /** It could not join, or is no member any more: what its disk holds, if anything, is waited for. */
  async abandon(): Promise<void> {
    const { membership, info, report } = this.#deps;
    try {
      if (await membership.abandon(() => this.#isEmpty(), ABANDON_MS)) info({}, 'nothing is on this disk: forgotten');
    } catch (error) {
      report('the cluster could not be told that nothing is on this disk', error);
    }
  }

  /** Nor is anything on its way to the log, pushed or adopted: what is refused at the end lies there all the same. */
  #isEmpty(): boolean {
    const { appendBytesInFlight, pushesWaiting } = this.#running().figures;
    if (this.#handover?.isAdopting) return false;
    return appendBytesInFlight === 0 && pushesWaiting === 0 && (this.#log?.segmentCount ?? 0) === 0;
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
    // Somebody else's, as a rule. A walk that is over before they are taken does not see them.
    const outcomes = await this.#running()
      .appendHere(tenant, appends)
      .finally(() => this.handover.look());
    // Taken, but not to be acknowledged by this node.
    if (this.#fence()) throw notActive();
    return outcomes;
  }

  /** APPEND. Whoever sent it may know an older ring or a newer one: what arrives is taken, and given to its owner later if that is another. */
  async #append(body: Uint8Array, { deadlineMs, bodyRead }: IncomingCall): Promise<readonly Uint8Array[]> {
    const bytes = ownCopy(body);
    bodyRead?.();
    const { changedAt, tenant, isFallback, ringDigest, streams } = decodeAppendRequest(bytes);
    this.#sawView(changedAt);
    if (this.#self?.state !== 'ACTIVE' || this.#fence()) throw notActive();
    const landed = (): void => {
      if (isFallback || ringDigest !== this.#rings.digest) this.handover.look();
    };
    const outcomes = await this.#running().appendForwarded(tenant, streams, bytes.length, deadlineMs).finally(landed);
    // What was refused may be read yet.
    if (outcomes.every(({ refusal }) => refusal === undefined)) releaseMemory(bytes);
    if (this.#fence()) throw notActive();
    return [encodeAppendReply({ changedAt: this.view.changedAt, outcomes })];
  }

  #changed(view: View): void {
    this.#rings.follow(view);
    this.#moveStreams();
  }

  /** Until it has a place itself, all it has would seem to be others'. */
  #moveStreams(): void {
    if (this.#isRegistered) this.#handover?.changed(this.view);
  }

  /** Another member knows of more than this one. */
  #sawView(changedAt: number): void {
    if (changedAt <= this.#deps.membership.knownThrough) return;
    this.#viewSince(changedAt).catch((error: unknown) => this.#deps.report('the view of the cluster is behind', error));
  }

  async #viewSince(changedAt: number): Promise<number> {
    if (changedAt <= this.#deps.membership.knownThrough) return this.view.changedAt;
    return (await this.#deps.membership.catchUp(changedAt, CATCH_UP_MS)).changedAt;
  }

  #memory(): MemoryServer {
    if (!this.#memoryServer) throw notActive();
    return this.#memoryServer;
  }

  #scans(): ScanServer {
    if (!this.#scanServer) throw notActive();
    return this.#scanServer;
  }

  #running(): LocalNode {
    if (!this.#node) throw notActive();
    return this.#node;
  }
}

/** The asker goes to the next node. */
const notActive = (): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'this node takes no entries now' });
