import { Client, credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { GrpcPeers } from '../../../src/cluster/transport/grpc-peers.ts';
import type { PeerHandlers } from '../../../src/cluster/transport/peers.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { sized } from '../bench-size.ts';

const MEGABYTE = 1 << 20;
const IN_FLIGHT = 8;
const SINK = 1;
const HANDLERS: PeerHandlers = new Map([[SINK, async () => []]]);

interface Measured {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
  readonly cpuMicrosPerRequest: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? 0;

/** Both sides are in this process: the CPU is that of sender and receiver. */
const measured = async (
  name: string,
  size: number,
  requests: number,
  ask: (body: Buffer) => Promise<unknown>,
): Promise<Measured> => {
  const body = Buffer.alloc(size, 'some log line ');
  const latencies: number[] = [];
  let left = requests;
  const asker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const start = performance.now();
      await ask(body);
      latencies.push(performance.now() - start);
    }
  };
  await ask(body);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, asker));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const gigabytes = (size * requests) / 2 ** 30;
  latencies.sort((left, right) => left - right);
  return {
    name,
    requestsPerSecond: requests / seconds,
    megabytesPerSecond: (gigabytes * 1024) / seconds,
    cpuSecondsPerGigabyte: (user + system) / 1e6 / gigabytes,
    cpuMicrosPerRequest: (user + system) / requests,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
};

const asIs = (bytes: Buffer): Buffer => bytes;
const BARE_PATH = '/bench.Bare/Sink';
const BARE: ServiceDefinition = {
  sink: {
    path: BARE_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

const withBare = async <Result>(
  work: (ask: (body: Buffer) => Promise<unknown>) => Promise<Result>,
): Promise<Result> => {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(BARE, {
    sink: (_: unknown, answer: (error: null, body: Buffer) => void) => answer(null, Buffer.alloc(0)),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    return await work(
      (body) =>
        new Promise((resolve, reject) => {
          client.makeUnaryRequest(BARE_PATH, asIs, asIs, body, { deadline: Date.now() + 10_000 }, (error, answer) =>
            error ? reject(error) : resolve(answer),
          );
        }),
    );
  } finally {
    client.close();
    server.forceShutdown();
  }
};

const startPeer = async (nodeId: string): Promise<GrpcPeers> => {
  const peers = await GrpcPeers.start({
    nodeId,
    listen: { host: '127.0.0.1', port: 0 },
    handlers: HANDLERS,
    clock: systemClock,
    report: (problem, error) => console.error(problem, error),
  });
  peers.register(1, 'bench');
  return peers;
};

const withLink = async <Result>(
  work: (ask: (body: Buffer, callClass?: 'append' | 'transfer') => Promise<unknown>) => Promise<Result>,
): Promise<Result> => {
  const [a, b] = [await startPeer('a'), await startPeer('b')];
  const to = { nodeId: 'b', incarnation: 1, address: b.address };
  try {
    return await work((body, callClass = 'append') =>
      a.request(to, SINK, [body], { class: callClass, deadlineMs: 10_000 }),
    );
  } finally {
    await Promise.all([a.close({ deadlineMs: 1000 }), b.close({ deadlineMs: 1000 })]);
  }
};

const show = (title: string, results: readonly Measured[]): void => {
  console.log(`\n${title}`);
  for (const result of results) {
    console.log(
      `  ${result.name.padEnd(40)} ${result.requestsPerSecond.toFixed(0).padStart(7)}/s ` +
        `${result.megabytesPerSecond.toFixed(0).padStart(5)} MB/s ${result.cpuSecondsPerGigabyte.toFixed(2).padStart(7)} CPU s/GB ` +
        `${result.cpuMicrosPerRequest.toFixed(0).padStart(5)} µs CPU   p50 ${result.p50Ms.toFixed(2)} ms  p99 ${result.p99Ms.toFixed(2)} ms`,
    );
  }
};

/** A link against a bare unary gRPC call, over loopback, both sides in one process. */
export const registerBenches = async (): Promise<void> => {
  for (const [size, count] of [
    [1 << 10, 30_000],
    [64 << 10, 12_000],
    [MEGABYTE, 1_000],
  ] as const) {
    const requests = sized(count, 10);
    // Twice: the first warms up.
    for (const isShown of [false, true]) {
      const share = isShown ? requests : Math.ceil(requests / 10);
      const results = [
        await withLink((ask) => measured('link', size, share, ask)),
        await withBare((ask) => measured('bare unary call', size, share, ask)),
      ];
      if (isShown) show(`${IN_FLIGHT} requests of ${size} bytes in flight`, results);
    }
  }
  await withLink(async (ask) => {
    const alone = await measured('alone', 1 << 10, sized(5_000, 10), ask);
    let isOn = true;
    const transfer = (async () => {
      const body = Buffer.alloc(sized(40, 1) * MEGABYTE);
      while (isOn) await ask(body, 'transfer');
    })();
    const beside = await measured('beside transfers of 40 MB', 1 << 10, sized(5_000, 10), ask);
    isOn = false;
    await transfer;
    show('appends of 1 KiB', [alone, beside]);
  });
};
