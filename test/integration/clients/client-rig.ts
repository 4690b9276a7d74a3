/** A served node behind addresses that stay when it is started again, and what it has stored. */
import type { ConfigInput } from '../../../src/config.ts';
import { eventually } from '../../support/eventually.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { TestServer } from '../http/test-server.ts';

/** An entry as a query gives it back. */
export interface StoredEntry {
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly timeNs: string;
  readonly line: string;
}

/** Lines that clients and servers like to get wrong. */
export const ODD_LINES: readonly string[] = [
  'first line\nsecond line\n\tthird "quoted" \\ line',
  'grüße 🚢 ✓ \u2028 ünïcödé',
  '{"json":"<b>&</b>","n":[1,2]}',
  ' blanks around ',
  'x'.repeat(20_000),
];

/** Exactly what was sent is looked for: no label and no metadata is added. */
export const AS_SENT: ConfigInput = { limits: { discover_service_name: [], discover_log_levels: false } };

export class ClientRig {
  readonly #server: TestServer;
  readonly #proxies: readonly TcpProxy[];

  private constructor(server: TestServer, proxies: readonly TcpProxy[]) {
    this.#server = server;
    this.#proxies = proxies;
  }

  static async start(): Promise<ClientRig> {
    const server = await TestServer.start(AS_SENT);
    const proxies = [await TcpProxy.start(() => server.http), await TcpProxy.start(() => server.grpc)];
    return new ClientRig(server, proxies);
  }

  get http(): string {
    return `http://${this.#proxies[0]?.address}`;
  }

  /** `host:port` */
  get grpc(): string {
    return this.#proxies[1]?.address ?? '';
  }

  /** The node is gone from here on. */
  goAway(): void {
    for (const proxy of this.#proxies) proxy.refuse();
  }

  /** A client has tried while the node was gone. */
  async wasTried(): Promise<void> {
    const refused = (): number => this.#proxies.reduce((sum, proxy) => sum + proxy.refused, 0);
    await eventually('a client to try', () => refused() > 0);
  }

  /** Started again, with what it has on its disk. */
  async comeBack(): Promise<void> {
    await this.#server.restart();
    for (const proxy of this.#proxies) proxy.resume();
  }

  /** In the order of their times. */
  async stored(query: string): Promise<readonly StoredEntry[]> {
    const headers = { 'x-loki-response-encoding-flags': 'categorize-labels' };
    const { result } = await this.#server.query({ query, direction: 'forward', limit: '5000' }, headers);
    const streams: { stream: Record<string, string>; values: [string, string, Categorized][] }[] = result;
    const entries = streams.flatMap(({ stream: labels, values }) =>
      values.map(([timeNs, line, { structuredMetadata: metadata = {} }]) => ({ labels, metadata, timeNs, line })),
    );
    return entries.sort((left, right) => (BigInt(left.timeNs) < BigInt(right.timeNs) ? -1 : 1));
  }

  async stop(): Promise<void> {
    for (const proxy of this.#proxies) await proxy.close();
    await this.#server.stop();
  }
}

interface Categorized {
  readonly structuredMetadata?: Record<string, string>;
}
