/** Makes a node a member of a cluster: opens the membership store, listens for the other nodes; registers when the node can answer. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Membership } from '../cluster/membership/membership.ts';
import type { MembershipStore } from '../cluster/membership/membership-store.ts';
import { StoreClient } from '../cluster/membership/store-client.ts';
import { VIRTUAL_NODES } from '../cluster/tokens.ts';
import { GrpcPeers, type GrpcPeersOptions } from '../cluster/transport/grpc-peers.ts';
import { PROTOCOL } from '../cluster/transport/handshake.ts';
import type { PeerHandler, PeerHandlers, Peers } from '../cluster/transport/peers.ts';
import type { Config } from '../config.ts';
import { parseListenAddress } from '../config-values.ts';
import type { NodeIdentity } from '../node-identity.ts';
import type { Clock } from '../protocol/clock.ts';
import { replaceFile } from '../protocol/durable-files.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { ScanPool } from '../query/query-context.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import { CallKind } from './call-kinds.ts';
import { ClusterMember } from './member.ts';
import type { MessageSizes } from './offered-parts.ts';

export interface StartMemberDeps {
  readonly clock: Clock;
  readonly chance: () => number;
  readonly identity: NodeIdentity;
  /** In place of the one that the configuration names. */
  readonly store?: MembershipStore | undefined;
  /** In place of gRPC. */
  readonly startPeers?: StartPeers | undefined;
  readonly messageSizes?: MessageSizes | undefined;
  readonly cpuWaitShare?: (() => number) | undefined;
  readonly scanPool: ScanPool;
  readonly chunks: ChunkReader;
  readonly report: (problem: string, error: unknown, about?: object) => void;
  readonly info: (fields: object, text: string) => void;
  /** Others no longer count this process in: it must end, and may be started again. */
  readonly onLost: (reason: string) => void;
}

/** Listens for the other nodes; links once it is registered. */
export type StartPeers = (options: GrpcPeersOptions) => Promise<RegisteredPeers>;

export type RegisteredPeers = Peers & Pick<GrpcPeers, 'address' | 'register'>;

export interface StartedMember {
  readonly member: ClusterMember;
  /**
   * Registers and takes its place on the ring: last, when all else has started. Where it fails, a disk that holds nothing is forgotten.
   * @throws MembershipError
   */
  join(httpAddress: string): Promise<void>;
  close(): Promise<void>;
}

const UID_FILE = 'cluster-uid';
/**
 * A session is read at once, and sent in messages: the segments of a node have their records all over its log, so that few of them at a time are a read for each record, or
 * the whole log for some. More would be turns of the event loop of over 10 ms.
 */
const SESSION_BYTES = 2 << 20;
const SESSION_SEGMENTS_MAX = 500;
/** Sessions beside each other: only so does a node in a hurry have several messages on their way. */
const TARGET_BYTES_MAX = 8 << 20;
const TARGETS_MAX = 2;
const RETRY_MS = 500;
const CLOSE_MS = 2_000;

/** Listening, and no member yet. @throws an error of the system if the address is taken */
export const startMember = async (
  config: Pick<Config, 'cluster' | 'data_dir' | 'ruler'>,
  deps: StartMemberDeps,
): Promise<StartedMember> => {
  const { cluster } = config;
  const { clock, chance, identity, report, onLost } = deps;
  const listen = parseListenAddress(cluster.listen);
  if (!listen) throw new Error('cluster.listen: a member needs an address for the other nodes');
  // A store that is given has no cluster that outlives it.
  const uidFile = deps.store ? undefined : path.join(config.data_dir, UID_FILE);
  const store = deps.store ?? (await openStore(config, deps));
  const membership = new Membership({
    store,
    clock,
    cluster: cluster.membership.prefix,
    clusterUid: uidFile && (await knownUid(uidFile)),
    newClusterUid: identity.uid,
    config: JSON.stringify({ ring: 'md5', virtualNodes: VIRTUAL_NODES, copies: 1 }),
    random: chance,
    onProblem: (text) => report(text, undefined),
    ttlMs: cluster.membership.lease_ttl,
    keepAliveMs: cluster.membership.lease_keep_alive,
    fenceMarginMs: Math.min(FENCE_MARGIN_MS, cluster.membership.lease_ttl / FENCE_MARGIN_SHARE),
  });
  let member: ClusterMember | undefined;
  const peers = await startPeersOf(config, deps, listen, () => member?.handlers).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  let isLost = false;
  membership.onLost((reason) => {
    isLost = true;
    onLost(reason);
  });
  const giver = {
    sessionBytes: SESSION_BYTES,
    sessionSegmentsMax: SESSION_SEGMENTS_MAX,
    targetBytesMax: TARGET_BYTES_MAX,
    targetsMax: TARGETS_MAX,
    lingerMs: cluster.linger,
    retryMs: RETRY_MS,
  };
  const { node_id: nodeId } = cluster;
  member = new ClusterMember({ ...deps, membership, peers, nodeId, giver });
  const started = member;
  const register = async (httpAddress: string): Promise<void> => {
    const { incarnation, clusterUid } = await membership.register({
      nodeId,
      address: peers.address,
      httpAddress,
      zone: cluster.zone,
      weight: cluster.weight,
      state: 'JOINING',
      diskId: identity.uid,
      protocol: PROTOCOL,
      evaluatesRules: config.ruler.enabled,
    });
    if (uidFile) await replaceFile(uidFile, `${clusterUid}\n`);
    peers.register(incarnation, clusterUid);
  };
  return {
    member: started,
    join: async (httpAddress) => {
      try {
        await register(httpAddress);
        await started.join();
      } catch (error) {
        await started.abandon();
        throw error;
      }
    },
    close: async () => {
      if (isLost) await started.abandon();
      started.stop();
      await peers.close({ deadlineMs: CLOSE_MS });
      await store.close();
    },
  };
};

const startPeersOf = async (
  config: Pick<Config, 'cluster'>,
  { startPeers = GrpcPeers.start, clock, report }: StartMemberDeps,
  listen: GrpcPeersOptions['listen'],
  handlers: () => PeerHandlers | undefined,
): Promise<RegisteredPeers> => {
  const { node_id: nodeId, advertise } = config.cluster;
  return await startPeers({
    nodeId,
    listen,
    ...(advertise !== '' && { advertise }),
    ...tlsOf(config),
    handlers: lateHandlers(handlers),
    clock,
    report,
  });
};

/** What the clock, the event loop and replies under way may lose: of a short lease not all of it. */
const FENCE_MARGIN_MS = 5_000;
const FENCE_MARGIN_SHARE = 4;

const openStore = async (
  { cluster }: Pick<Config, 'cluster'>,
  { clock, chance }: StartMemberDeps,
): Promise<MembershipStore> => {
  const { store, socket, etcd_endpoints } = cluster.membership;
  if (store === 'etcd') {
    // A hundred modules, with which only those that have an etcd should start.
    const { EtcdStore } = await import('../cluster/membership/etcd-store.ts');
    return new EtcdStore({ clock, hosts: etcd_endpoints, random: chance });
  }
  return new StoreClient({ clock, address: { path: socket }, random: chance });
};

const tlsOf = ({ cluster }: Pick<Config, 'cluster'>) => {
  const { ca_file: caFile, cert_file: certFile, key_file: keyFile, server_name: serverName } = cluster.tls;
  if (caFile === '' && certFile === '' && keyFile === '') return {};
  if (caFile === '' || certFile === '' || keyFile === '') {
    throw new Error('cluster.tls: want ca_file, cert_file and key_file, or none of them');
  }
  return { tls: { caFile, certFile, keyFile, ...(serverName !== '' && { serverName }) } };
};

const knownUid = async (file: string): Promise<string | undefined> => {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/** The handlers stand before the member does: until then others are told to come again. A Buffer's slice would be no copy. */
const lateHandlers = (find: () => PeerHandlers | undefined): PeerHandlers =>
  new Map(
    Object.values(CallKind).map((kind): [number, PeerHandler] => [
      kind,
      (body, call) => {
        const handler = find()?.get(kind);
        if (!handler) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'this node is starting' });
        return handler(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), call);
      },
    ]),
  );
