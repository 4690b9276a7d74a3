/** What a ruler sends to: an HTTP server that keeps what it gets, and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly atMs: number;
}

export class Receiver {
  readonly received: Received[] = [];
  /** The statuses of the next answers; 200 when there is none left. */
  readonly statuses: number[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on('request', (request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { url: path = '', headers } = request;
        receiver.received.push({ path, headers, body: Buffer.concat(parts), atMs: Date.now() });
        response.writeHead(receiver.statuses.shift() ?? 200);
        response.end('so it is');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface PostedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL: string;
  /** It had ended when it was sent. */
  readonly isResolved: boolean;
}

export const alertsOf = ({ received }: Receiver): readonly PostedAlert[] =>
  received.flatMap(({ body, atMs }) => {
    const posted = JSON.parse(body.toString()) as Omit<PostedAlert, 'isResolved'>[];
    return posted.map((alert) => ({ ...alert, isResolved: Date.parse(alert.endsAt) <= atMs }));
  });
