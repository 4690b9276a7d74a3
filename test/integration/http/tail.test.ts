import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import sinon from 'sinon';
import { type ClientOptions, WebSocket } from 'ws';
import type { TailFrame } from '../../../src/actors/node-services.ts';
import type { EdgeLimits } from '../../../src/http/edge-options.ts';
import { type RunningHttpServer, startHttpServer } from '../../../src/http/server.ts';
import { LIMITS, refused, StubServices, stubOptions } from './stub-services.ts';

const frame = (count: number, dropped: TailFrame['dropped'] = []): TailFrame => ({
  streams: [
    {
      labels: ['app', 'x'],
      entries: Array.from({ length: count }, (_, index) => ({ timeNs: BigInt(index), line: `line ${index}` })),
    },
  ],
  dropped,
});

async function* framesOf(...frames: readonly TailFrame[]): AsyncGenerator<TailFrame> {
  yield* frames;
  await new Promise(() => undefined);
}

describe('tail', () => {
  let services: StubServices;
  let server: RunningHttpServer;
  const open: WebSocket[] = [];

  const start = async (...[overrides]: Parameters<typeof stubOptions>) => {
    services = new StubServices();
    services.frames = framesOf();
    server = await startHttpServer(services, stubOptions(overrides));
  };
  const connect = (
    query: string,
    headers: Record<string, string> = {},
    options: ClientOptions = {},
    path = '/loki/api/v1/tail',
  ): WebSocket => {
    const socket = new WebSocket(`ws://${server.address}${path}?${query}`, {
      ...options,
      headers: { 'x-scope-orgid': 'a', ...headers },
    });
    open.push(socket);
    socket.on('error', () => undefined);
    return socket;
  };
  const log = `query=${encodeURIComponent('{app="x"}')}`;
  const closeOf = async (socket: WebSocket): Promise<readonly [number, string]> => {
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    return [code, String(reason)];
  };
  const refusalOf = async (socket: WebSocket): Promise<readonly [number | undefined, string]> => {
    const [, response] = await once(socket, 'unexpected-response');
    let text = '';
    for await (const chunk of response) text += chunk;
    return [response.statusCode, text];
  };

  beforeEach(() => start());
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.terminate();
    await server.close();
  });

  it('gives clients of the first API its frames, whatever else they ask for', async () => {
    services.frames = framesOf(frame(2, [{ timeNs: 7n, labels: ['app', 'y'] }]), frame(1));
    const headers = { 'x-loki-response-encoding-flags': 'categorize-labels' };
    const socket = connect(`${log}&regexp=a%22b`, headers, {}, '/api/prom/tail');
    const frames: unknown[] = [];
    await new Promise<void>((resolve) =>
      socket.on('message', (data) => {
        if (frames.push(JSON.parse(String(data))) === 2) resolve();
      }),
    );
    const streamOf = (ts: string, line: string) => ({ labels: '{app="x"}', entries: [{ ts, line }] });
    expect(frames[0]).to.deep.equal({
      streams: [streamOf('1970-01-01T00:00:00Z', 'line 0'), streamOf('1970-01-01T00:00:00.000000001Z', 'line 1')],
      dropped_entries: [{ timestamp: '1970-01-01T00:00:00.000000007Z', labels: '{app="y"}' }],
    });
    expect(frames[1]).to.deep.equal({ streams: [streamOf('1970-01-01T00:00:00Z', 'line 0')], dropped_entries: null });
    expect(services.tails[0]).to.include({ categorizeLabels: false, query: '{app="x"} |~ "a\\"b"' });
  });

  it('sends an element per entry, at most 100 a frame, and names what was dropped first', async () => {
    services.frames = framesOf(frame(150, [{ timeNs: 7n, labels: ['app', 'y'] }]));
    const socket = connect(`${log}&limit=5&start=3&delay_for=2`);
    const frames: { streams: unknown[]; dropped_entries?: unknown }[] = [];
    await new Promise<void>((resolve) =>
      socket.on('message', (data) => {
        if (frames.push(JSON.parse(String(data))) === 2) resolve();
      }),
    );
    expect(frames.map(({ streams }) => streams.length)).to.deep.equal([100, 50]);
    expect(frames[0]?.streams[0]).to.deep.equal({ stream: { app: 'x' }, values: [['0', 'line 0']] });
    expect(frames[0]?.dropped_entries).to.deep.equal([{ timestamp: '7', labels: { app: 'y' } }]);
    expect(frames[1]).not.to.have.property('dropped_entries');
    expect(services.tails[0]).to.include({
      tenant: 'a',
      query: '{app="x"}',
      limit: 5,
      startNs: 3_000_000_000n,
      delayMs: 2000,
    });
  });

  it('gives each value a third element with categorize-labels', async () => {
    services.frames = framesOf(frame(1));
    const socket = connect(log, { 'x-loki-response-encoding-flags': 'categorize-labels' });
    const [data] = await once(socket, 'message');
    expect(JSON.parse(String(data))).to.deep.equal({
      streams: [{ stream: { app: 'x' }, values: [['0', 'line 0', {}]] }],
      encodingFlags: ['categorize-labels'],
    });
    expect(services.tails[0]?.categorizeLabels).to.equal(true);
    await once(connect(log), 'open');
    expect(services.tails[1]?.categorizeLabels).to.equal(false);
  });

  describe('keeps an eye on its client', () => {
    let timers: sinon.SinonFakeTimers;
    beforeEach(() => {
      timers = sinon.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    });
    afterEach(() => timers.restore());

    it('with a ping every second', async () => {
      const socket = connect(log);
      await once(socket, 'open');
      for (let second = 1; second <= 3; second += 1) {
        timers.tick(1000);
        await once(socket, 'ping');
      }
    });

    it('and cuts it off when it has not answered for a minute', async () => {
      const socket = connect(log, {}, { autoPong: false });
      const pinged = sinon.spy();
      socket.on('ping', pinged);
      await once(socket, 'open');
      timers.tick(60_000);
      while (pinged.callCount < 60) await once(socket, 'ping');
      expect(socket.readyState).to.equal(WebSocket.OPEN);
      const closed = closeOf(socket);
      timers.tick(1000);
      expect((await closed)[0]).to.equal(1006);
      while (services.tailsCancelled === 0) await setImmediate();
      expect(timers.countTimers()).to.equal(0);
    });
  });

  it('stops the query when the client closes', async () => {
    const socket = connect(log);
    await once(socket, 'open');
    socket.close(1000);
    expect((await closeOf(socket))[0]).to.equal(1000);
    while (services.tailsCancelled === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('refuses before the upgrade what can be known then', async () => {
    expect(await refusalOf(connect(`${log}&delay_for=6`))).to.deep.equal([400, "delay_for can't be greater than 5"]);
    expect(await refusalOf(connect(log, { 'x-scope-orgid': 'a|b' }))).to.deep.equal([400, 'multiple org IDs present']);
    expect(await refusalOf(connect('query={'))).to.deep.equal([
      400,
      'parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }',
    ]);
    expect((await refusalOf(connect(log, { 'x-scope-orgid': '' })))[0]).to.equal(401);
  });

  it('closes with 1011 and the text for a metric query', async () => {
    const metric = `query=${encodeURIComponent('rate({app="x"}[1m])')}`;
    expect(await closeOf(connect(metric))).to.deep.equal([1011, 'only log selector is supported']);
  });

  it('closes with 1011 beyond the tenant’s number of tails, and counts those that ended out', async () => {
    const first = connect(log);
    await once(first, 'open');
    await once(connect(log), 'open');
    expect(await closeOf(connect(log))).to.deep.equal([
      1011,
      'max concurrent tail requests limit exceeded, count > limit (3 > 2)',
    ]);
    first.close();
    await closeOf(first);
    const later = connect(log);
    await once(later, 'ping');
    expect(later.readyState).to.equal(WebSocket.OPEN);
  });

  it('shows nothing that is older than max_query_lookback', async () => {
    await server.close();
    const nowMs = 7_200_000;
    await start({ nowMs: () => nowMs, limitsOf: () => ({ ...LIMITS, maxQueryLookbackMs: 3_600_000 }) });
    await once(connect(`${log}&start=60`), 'open');
    await once(connect(`${log}&start=7000`), 'open');
    expect(services.tails.map(({ startNs }) => startNs)).to.deep.equal([3_600_000_000_000n, 7_000_000_000_000n]);
  });

  it('closes with 1011 for what a log query of this text, start and limit would be refused for', async () => {
    await server.close();
    const blocked = { pattern: '{app="x"}', isRegex: false, hash: 0, types: [] };
    const refusals: readonly (readonly [Partial<EdgeLimits>, string])[] = [
      [{ blockedQueries: [blocked] }, 'query blocked by policy'],
      [
        { maxEntriesLimitPerQuery: 2 },
        'max entries limit per query exceeded, limit > max_entries_limit_per_query (3 > 2)',
      ],
      [{ maxQueryLengthMs: 60_000 }, 'the query time range exceeds the limit (query length: 1h0m0s, limit: 1m)'],
    ];
    for (const [limits, text] of refusals) {
      await start({ nowMs: () => 7_200_000, limitsOf: () => ({ ...LIMITS, ...limits }) });
      expect(await closeOf(connect(`${log}&limit=3`))).to.deep.equal([1011, text]);
      expect(services.tails).to.deep.equal([]);
      await once(connect(`query=${encodeURIComponent('{app="y"}')}&limit=2&start=7190`), 'ping');
      expect(services.tails).to.have.length(1);
      await server.close();
    }
    await start();
  });

  it('closes with the words loki-canary knows at the end of its life', async () => {
    await server.close();
    await start({ tailMaxDurationMs: 30 });
    expect(await closeOf(connect(log))).to.deep.equal([1011, 'reached tail max duration limit']);
  });

  it('closes with 1011 and the cut text when the query fails', async () => {
    services.frames = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(refused({ code: 'INTERNAL', text: 'ö'.repeat(200) })),
      }),
    };
    const [code, reason] = await closeOf(connect(log));
    expect([code, reason]).to.deep.equal([1011, 'ö'.repeat(61)]);
  });

  it('takes no more from the query than a slow client reads', async () => {
    let taken = 0;
    const line = 'x'.repeat(100_000);
    services.frames = (async function* () {
      for (;;) {
        taken += 1;
        yield { streams: [{ labels: ['a', 'b'], entries: [{ timeNs: 1n, line }] }], dropped: [] };
      }
    })();
    const socket = connect(log);
    await once(socket, 'open');
    socket.pause();
    let before = -1;
    while (before !== taken) {
      before = taken;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(taken).to.be.lessThan(500);
  });

  it('says going away when the server closes', async () => {
    const socket = connect(log);
    await once(socket, 'open');
    const closed = closeOf(socket);
    await server.close();
    expect((await closed)[0]).to.equal(1001);
    await start();
  });
});
