import net from 'node:net';

/** A TCP proxy whose network the test breaks: silence, cuts, delay. */
export class TcpProxy {
  readonly #server: net.Server;
  readonly #pairs = new Set<readonly [client: net.Socket, upstream: net.Socket]>();
  readonly #held: (() => void)[] = [];
  #isSilent = false;
  #isRefusing = false;
  #delayMs = 0;
  /** Connections accepted so far. */
  connections = 0;
  /** Connections reset because of `refuse` so far. */
  refused = 0;

  private constructor(target: () => { host: string; port: number }) {
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => {
      if (this.#isRefusing) {
        this.refused += 1;
        client.destroy();
        return;
      }
      this.connections += 1;
      const upstream = net.connect({ ...target(), allowHalfOpen: true });
      const pair = [client, upstream] as const;
      this.#pairs.add(pair);
      this.#forward(client, upstream, pair);
      this.#forward(upstream, client, pair);
    });
  }

  /** @param target `host:port`, asked for at each connection: it may move */
  static async start(target: string | (() => string)): Promise<TcpProxy> {
    const proxy = new TcpProxy(() => {
      const address = typeof target === 'string' ? target : target();
      const colon = address.lastIndexOf(':');
      return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
    });
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy is closed');
    return `127.0.0.1:${address.port}`;
  }

  /** Black hole: connections stay, nothing passes, also on new ones. Not lost: it passes after `resume`, as TCP would send it again. */
  silence(): void {
    this.#isSilent = true;
  }

  resume(): void {
    this.#isSilent = false;
    this.#isRefusing = false;
    for (const pass of this.#held.splice(0)) pass();
  }

  /** Resets what is connected; new connections are taken. */
  cut(): void {
    for (const [client, upstream] of [...this.#pairs]) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    this.#held.length = 0;
  }

  /** Resets what is connected and every new connection, until `resume`. */
  refuse(): void {
    this.#isRefusing = true;
    this.cut();
  }

  /** What comes from now on passes so much later. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #forward(from: net.Socket, to: net.Socket, pair: readonly [net.Socket, net.Socket]): void {
    const pass = (act: () => void): void => {
      const now = (): void => {
        if (this.#isSilent) this.#held.push(act);
        else act();
      };
      if (this.#delayMs > 0) setTimeout(now, this.#delayMs);
      else now();
    };
    from.on('data', (bytes) => {
      from.pause();
      pass(() => {
        if (to.destroyed || to.write(bytes)) from.resume();
        else to.once('drain', () => from.resume());
      });
    });
    from.on('end', () => pass(() => to.end()));
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#pairs.delete(pair);
      pass(() => to.destroy());
    });
  }
}
