import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { expect } from 'chai';
import { FLOW_WINDOW_BYTES, widenConnections, widenWindows } from '../../../src/cluster/transport/server-windows.ts';

const asIs = (bytes: Buffer): Buffer => bytes;
const METHOD = {
  path: '/test/Ask',
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

/** The windows of the one connection of a server. They are not public: a new grpc-js may move them, and this test says so. */
const windowsOf = (server: Server): readonly (number | undefined)[] => {
  const { sessions } = server as unknown as {
    sessions: Map<{ state: Record<string, number>; localSettings: Record<string, number> }, unknown>;
  };
  const [session] = sessions.keys();
  return [session?.localSettings['initialWindowSize'], session?.state['effectiveLocalWindowSize']];
};

describe('the HTTP/2 windows of a server', () => {
  it('are as wide as one part, for the stream and its connection', async () => {
    const server = new Server();
    widenWindows(server);
    let windows: readonly (number | undefined)[] = [];
    server.addService(
      { ask: METHOD },
      {
        ask: (_: unknown, answer: (error: null, body: Buffer) => void) => {
          widenConnections(server);
          windows = windowsOf(server);
          answer(null, Buffer.alloc(0));
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        METHOD.path,
        asIs,
        asIs,
        Buffer.alloc(0),
        { deadline: Date.now() + 5000 },
        (error, body) => (error ? reject(error) : resolve(body)),
      );
    });
    client.close();
    server.forceShutdown();
    expect(windows).to.deep.equal([FLOW_WINDOW_BYTES, FLOW_WINDOW_BYTES]);
  });
});
