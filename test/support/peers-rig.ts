import { GrpcPeers, type GrpcPeersOptions } from '../../src/cluster/transport/grpc-peers.ts';
import type { CallOptions, PeerAddress, PeerError, PeerHandler } from '../../src/cluster/transport/peers.ts';
import { systemClock } from '../../src/system-clock.ts';

/** Kinds of requests in the tests of links. */
export const ECHO = 1;
export const HANG = 2;
export const REFUSE = 3;
export const THROW = 4;
export const COUNT = 5;

export const WITHIN: CallOptions = { deadlineMs: 10_000, class: 'append' };

export interface RigNode {
  readonly peers: GrpcPeers;
  readonly problems: { readonly problem: string; readonly error: unknown }[];
  /** As the others see it. */
  address(): PeerAddress;
}

export const CLUSTER = 'test-cluster';

/** Starts nodes on loopback and closes them after the test. */
export class PeersRig {
  readonly #nodes: RigNode[] = [];

  async start(
    nodeId: string,
    handlers: Readonly<Record<number, PeerHandler>> = {},
    {
      incarnation = 1,
      clusterUid = CLUSTER,
      ...options
    }: Partial<GrpcPeersOptions> & { readonly incarnation?: number; readonly clusterUid?: string } = {},
  ): Promise<RigNode> {
    const problems: { problem: string; error: unknown }[] = [];
    const peers = await GrpcPeers.start({
      nodeId,
      listen: { host: '127.0.0.1', port: 0 },
      handlers: new Map([
        [ECHO, async (body) => [body]] as [number, PeerHandler],
        ...Object.entries(handlers).map(([kind, handler]): [number, PeerHandler] => [Number(kind), handler]),
      ]),
      clock: systemClock,
      report: (problem, error) => problems.push({ problem, error }),
      ...options,
    });
    peers.register(incarnation, clusterUid);
    const node = { peers, problems, address: () => ({ nodeId, incarnation, address: peers.address }) };
    this.#nodes.push(node);
    return node;
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.splice(0).map(({ peers }) => peers.close({ deadlineMs: 200 })));
  }
}

/** What a call was rejected with. @throws if it was answered */
export const failureOf = async (call: Promise<unknown>): Promise<PeerError> => {
  const outcome = await call.then(
    () => undefined,
    (error: PeerError) => error,
  );
  if (!outcome) throw new Error('it was answered');
  return outcome;
};

/** A promise and what settles it. */
export const signal = (): { readonly promise: Promise<void>; readonly fire: () => void } => {
  let fire = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    fire = resolve;
  });
  return { promise, fire: () => fire() };
};

export const bytes = (text: string): Uint8Array[] => [Buffer.from(text)];

export const textOf = (body: Uint8Array): string => Buffer.from(body).toString();
