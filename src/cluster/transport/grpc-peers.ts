import { Client, Server, type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import type { Clock } from '../../protocol/clock.ts';
import type { Hello } from './frame.ts';
import { GrpcPipe } from './grpc-pipe.ts';
import { awaitHello, PROTOCOL, refusalOfHello, type Self, sendHello } from './handshake.ts';
import { Link, type LinkDeps, type LinkListener, windowsOf } from './link.ts';
import { type LinkFigures, noFigures } from './link-figures.ts';
import { DEFAULT_LINK_OPTIONS, type LinkOptions } from './link-options.ts';
import { PeerLinks } from './peer-links.ts';
import { type CallOptions, type PeerAddress, PeerError, type PeerHandlers, type Peers } from './peers.ts';
import { FLOW_WINDOW_BYTES, widenConnections, widenWindows } from './server-windows.ts';
import { clientCredentials, serverCredentials, type TlsFiles } from './tls.ts';

export interface GrpcPeersOptions {
  readonly nodeId: string;
  /** 0: any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` at which others reach the listener; without it, where it listens. */
  readonly advertise?: string;
  readonly tls?: TlsFiles;
  readonly handlers: PeerHandlers;
  readonly clock: Clock;
  readonly links?: Partial<LinkOptions>;
  report(problem: string, error: unknown): void;
}

const LINK_PATH = '/ringlog.v1.Peer/Link';

const asIs = (bytes: Buffer): Buffer => bytes;

const SERVICE: ServiceDefinition = {
  link: {
    path: LINK_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

/** A packet is one part and what was gathered before it. */
const packetBytesMax = (options: LinkOptions): number => options.partBytesMax + (1 << 20);

const channelOptions = (options: LinkOptions, tls: TlsFiles | undefined) => ({
  // A link is one call over one connection: nothing is shared, and nothing sent twice.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': packetBytesMax(options),
  'grpc.keepalive_time_ms': options.silenceMsMax * 5,
  'grpc.keepalive_timeout_ms': options.silenceMsMax,
  'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
  ...(tls?.serverName === undefined
    ? {}
    : { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
});

const bind = (server: Server, { listen, tls }: GrpcPeersOptions): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(`${listen.host}:${listen.port}`, serverCredentials(tls), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });

/**
 * Peers over gRPC: one bidirectional stream a pair of nodes. It listens at once, and refuses links and calls until `register` has said
 * which incarnation this process is.
 */
export class GrpcPeers implements Peers {
  readonly figures: LinkFigures = noFigures();
  readonly #options: GrpcPeersOptions;
  readonly #linkOptions: LinkOptions;
  readonly #server: Server;
  readonly #peers = new Map<string, PeerLinks>();
  /** The newest incarnation of each node that a hello told of. */
  readonly #newest = new Map<string, number>();
  readonly #whenClosed: Set<() => void> = new Set();
  #address = '';
  #incarnation: number | undefined;
  #clusterUid = '';
  #isClosing = false;

  private constructor(options: GrpcPeersOptions) {
    this.#options = options;
    this.#linkOptions = { ...DEFAULT_LINK_OPTIONS, ...options.links };
    this.#server = new Server({
      'grpc.max_receive_message_length': packetBytesMax(this.#linkOptions),
      'grpc.keepalive_time_ms': this.#linkOptions.silenceMsMax * 5,
      'grpc.keepalive_timeout_ms': this.#linkOptions.silenceMsMax,
    });
    widenWindows(this.#server);
    this.#server.addService(SERVICE, { link: (stream: ServerDuplexStream<Buffer, Buffer>) => this.#accept(stream) });
  }

  static async start(options: GrpcPeersOptions): Promise<GrpcPeers> {
    const peers = new GrpcPeers(options);
    const port = await bind(peers.#server, options);
    peers.#address = options.advertise ?? `${options.listen.host}:${port}`;
    return peers;
  }

  /** Where others reach this node. */
  get address(): string {
    return this.#address;
  }

  /** Those that are ending too. */
  get linkCount(): number {
    let count = 0;
    for (const { links } of this.#peers.values()) count += links.size;
    return count;
  }

  /** What the members know this process by, and of which cluster: from now on it links. */
  register(incarnation: number, clusterUid: string): void {
    this.#incarnation = incarnation;
    this.#clusterUid = clusterUid;
  }

  async request(to: PeerAddress, kind: number, body: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array> {
    try {
      const open = this.#openLink(to, options);
      if (open) return this.#counted(await open.request(kind, body, options));
      const startMs = this.#options.clock.monotonicMs();
      const link = await this.#peerFor(to).whenOpen(to, options);
      const leftMs = options.deadlineMs - (this.#options.clock.monotonicMs() - startMs);
      return this.#counted(await link.request(kind, body, { ...options, deadlineMs: Math.max(0, leftMs) }));
    } catch (error) {
      throw this.#countedError(error);
    }
  }

  async *stream(
    to: PeerAddress,
    kind: number,
    body: readonly Uint8Array[],
    options: CallOptions,
  ): AsyncGenerator<Uint8Array, void> {
    try {
      const link = this.#openLink(to, options) ?? (await this.#peerFor(to).whenOpen(to, options));
      yield* link.stream(kind, body, options);
      this.figures.requests.ANSWERED += 1;
    } catch (error) {
      throw this.#countedError(error);
    }
  }

  /** The node left: its links close when what is under way has ended. */
  forget(nodeId: string): void {
    this.#newest.delete(nodeId);
    for (const [key, peer] of this.#peers) {
      if (peer.address.nodeId !== nodeId) continue;
      peer.close('it left the cluster');
      this.#peers.delete(key);
    }
  }

  async close({ deadlineMs }: { readonly deadlineMs: number } = { deadlineMs: 5000 }): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const peer of this.#peers.values()) peer.close('this node is closing');
    await this.#linksClosed(deadlineMs);
    for (const peer of this.#peers.values()) peer.break(new Error('this node is closing'));
    // Connections without a link too, which would otherwise hold the port.
    this.#server.forceShutdown();
  }

  #linksClosed(deadlineMs: number): Promise<void> {
    return new Promise((resolve) => {
      const stopTimer = this.#options.clock.after(deadlineMs, resolve);
      const check = (): void => {
        if ([...this.#peers.values()].some(({ links }) => links.size > 0)) return;
        stopTimer();
        this.#whenClosed.delete(check);
        resolve();
      };
      this.#whenClosed.add(check);
      check();
    });
  }

  #counted(answer: Uint8Array): Uint8Array {
    this.figures.requests.ANSWERED += 1;
    return answer;
  }

  #countedError(error: unknown): unknown {
    if (error instanceof PeerError) this.figures.requests[error.code] += 1;
    return error;
  }

  /** @throws PeerError UNREACHABLE if it makes no sense to look for a link */
  #openLink({ nodeId, incarnation }: PeerAddress, { signal }: CallOptions): Link | undefined {
    if (signal?.aborted) throw new PeerError('UNREACHABLE', `${nodeId}: the caller gave up`, { cause: signal.reason });
    if (this.#isClosing) throw new PeerError('UNREACHABLE', 'this node is closing');
    if (this.#incarnation === undefined) throw new PeerError('UNREACHABLE', 'this node is not registered yet');
    const newest = this.#newest.get(nodeId) ?? 0;
    if (incarnation < newest) {
      throw new PeerError('UNREACHABLE', `${nodeId} was restarted: it is incarnation ${newest}, not ${incarnation}`);
    }
    return this.#peers.get(`${nodeId}/${incarnation}`)?.openLink();
  }

  #peerFor(to: PeerAddress): PeerLinks {
    const key = `${to.nodeId}/${to.incarnation}`;
    const known = this.#peers.get(key);
    if (known) return known;
    const peer = new PeerLinks(to, this.#options.nodeId, {
      clock: this.#options.clock,
      options: this.#linkOptions,
      connect: (address) => this.#connect(address, peer),
    });
    this.#peers.set(key, peer);
    return peer;
  }

  #connect(to: PeerAddress, peer: PeerLinks): void {
    const failed = (error: unknown): void => {
      this.figures.connectFailures += 1;
      peer.connectFailed(error instanceof Error ? error : new Error(String(error)));
      this.#forgetIfUnused(peer);
    };
    try {
      this.#openStream(to, peer, failed);
    } catch (error) {
      // Certificates that cannot be read, or an address that is none.
      failed(error);
    }
  }

  #openStream(to: PeerAddress, peer: PeerLinks, failed: (error: Error) => void): void {
    const { tls, clock } = this.#options;
    const timeoutMs = this.#linkOptions.connectTimeoutMs;
    const client = new Client(to.address, clientCredentials(tls), channelOptions(this.#linkOptions, tls));
    const stream = client.makeBidiStreamRequest<Buffer, Buffer>(LINK_PATH, asIs, asIs);
    const pipe = new GrpcPipe(stream, () => stream.cancel());
    const giveUp = (error: Error): void => {
      stopTimer();
      stream.cancel();
      client.close();
      failed(error);
    };
    const onHello = (hello: Hello): void => {
      const refused = this.#refusal(hello) ?? (peer.isClosed ? 'it left the cluster' : undefined);
      if (refused !== undefined || hello.nodeId !== to.nodeId || hello.incarnation !== to.incarnation) {
        giveUp(new Error(refused ?? `it says it is ${hello.nodeId}, incarnation ${hello.incarnation}`));
        return;
      }
      stopTimer();
      this.figures.linksOpened += 1;
      if (peer.hadLink) this.figures.reconnects += 1;
      this.#linked(pipe, hello, true, () => client.close());
    };
    const attempt = awaitHello(pipe, onHello, giveUp);
    const stopTimer = clock.after(timeoutMs, () => attempt.cancel(new Error(`no connection within ${timeoutMs} ms`)));
    sendHello(pipe, this.#hello(to));
  }

  #accept(stream: ServerDuplexStream<Buffer, Buffer>): void {
    widenConnections(this.#server);
    const pipe = new GrpcPipe(stream, () => {
      stream.emit('error', { code: status.UNAVAILABLE, details: 'the link was cut' });
    });
    const refuse = (why: string): void => {
      this.figures.linksRefused += 1;
      stream.emit('error', { code: status.FAILED_PRECONDITION, details: why });
    };
    const stopTimer = this.#options.clock.after(this.#linkOptions.connectTimeoutMs, () =>
      attempt.cancel(new Error('no hello came')),
    );
    const attempt = awaitHello(
      pipe,
      (hello) => {
        stopTimer();
        const refused = this.#refusal(hello);
        if (refused !== undefined) {
          refuse(refused);
          return;
        }
        this.figures.linksAccepted += 1;
        sendHello(pipe, this.#hello(hello));
        this.#linked(pipe, hello, false, () => undefined);
      },
      (error) => {
        stopTimer();
        refuse(error.message);
      },
    );
  }

  #refusal(hello: Hello): string | undefined {
    if (this.#isClosing) return 'this node is closing';
    if (this.#incarnation === undefined) return 'this node is not registered yet';
    const newest = this.#newest.get(hello.nodeId) ?? 0;
    if (hello.incarnation < newest) return `${hello.nodeId} has incarnation ${newest} by now`;
    return refusalOfHello(hello, this.#self(this.#incarnation));
  }

  #linked(pipe: GrpcPipe, hello: Hello, isOpener: boolean, hangUp: () => void): void {
    this.#newerIncarnation(hello);
    const peer = this.#peerFor(hello);
    const deps: LinkDeps = {
      clock: this.#options.clock,
      options: this.#linkOptions,
      handlers: this.#options.handlers,
      figures: this.figures,
      report: (problem, error) => this.#options.report(problem, error),
    };
    const listener: LinkListener = {
      retired: (link) => peer.retired(link),
      closed: (link, error) => {
        hangUp();
        peer.closed(link, error);
        for (const check of [...this.#whenClosed]) check();
      },
    };
    peer.linked(new Link(pipe, hello, isOpener, deps, listener));
  }

  /** What is left of earlier processes of the node will not answer any more. */
  #newerIncarnation({ nodeId, incarnation }: Hello): void {
    if (incarnation <= (this.#newest.get(nodeId) ?? 0)) return;
    this.#newest.set(nodeId, incarnation);
    for (const [key, peer] of this.#peers) {
      if (peer.address.nodeId !== nodeId || peer.address.incarnation >= incarnation) continue;
      peer.break(new Error(`${nodeId} was restarted`));
      this.#peers.delete(key);
    }
  }

  #forgetIfUnused(peer: PeerLinks): void {
    const key = `${peer.address.nodeId}/${peer.address.incarnation}`;
    if (peer.isForgettable && this.#peers.get(key) === peer && !this.#isClosing) this.#peers.delete(key);
  }

  #self(incarnation: number): Self {
    return { nodeId: this.#options.nodeId, clusterUid: this.#clusterUid, incarnation };
  }

  #hello(to: { readonly nodeId: string; readonly incarnation: number }): Hello {
    return {
      ...this.#self(this.#incarnation ?? 0),
      protocolMin: PROTOCOL.min,
      protocolMax: PROTOCOL.max,
      address: this.#address,
      toNodeId: to.nodeId,
      toIncarnation: to.incarnation,
      windows: windowsOf(this.#linkOptions),
    };
  }
}
