/** A tenant's limits hold for `logproto.Querier` as they do over HTTP. Field numbers are those of Loki's proto. */
import { expect } from 'chai';
import { startGrpcServer } from '../../../src/http/grpc-server.ts';
import { callStream, callUnary } from '../../support/grpc-calls.ts';
import { integer, message, messages, number, text, texts, time, type Write } from '../../support/grpc-fields.ts';
import { LIMITS, StubServices, stubOptions } from './stub-services.ts';
import { nowNs, TestServer } from './test-server.ts';

const NS_PER_MS = 1_000_000n;
const HOUR_NS = 3_600_000n * NS_PER_MS;
const ALL = '{app=~".+"}';

describe('the limits of a tenant over gRPC', function () {
  this.timeout(60_000);
  let server: TestServer;
  const now = nowNs();
  const [longAgo, soon] = [now - 72n * HOUR_NS, now + HOUR_NS / 60n];

  before(async () => {
    server = await TestServer.start({
      auth_enabled: true,
      overrides: {
        length: { max_query_length: '1h' },
        lookback: { max_query_lookback: '1h' },
        entries: { max_entries_limit_per_query: 2 },
        blocked: { blocked_queries: [{ pattern: '.*secret.*', regex: true }] },
        range: { max_query_range: '5m' },
        labels: { required_labels: ['app'] },
        matchers: { max_streams_matchers_per_query: 1 },
      },
    });
    for (const tenant of ['free', 'lookback', 'entries']) {
      const headers = { 'x-scope-orgid': tenant };
      // On another day: the index tells of labels by days.
      const old = [{ timeNs: now - 50n * HOUR_NS, line: 'from=old' }];
      expect((await server.pushProto('{app="old"}', old, headers)).status).to.equal(204);
      expect((await server.pushProto('{app="new"}', [{ timeNs: now, line: 'from=new' }], headers)).status).to.equal(
        204,
      );
    }
    expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
  });
  after(async () => {
    await server.stop();
  });

  const streamed = (tenant: string, method: string, ...fields: readonly Write[]): Promise<Buffer[]> =>
    callStream(server.grpc, `/logproto.Querier/${method}`, message(...fields), tenant);
  const unary = (tenant: string, method: string, ...fields: readonly Write[]): Promise<Buffer> =>
    callUnary(server.grpc, `/logproto.Querier/${method}`, message(...fields), tenant);
  const errorOf = (asked: Promise<unknown>): Promise<string> =>
    asked.then(
      () => 'none',
      ({ details }) => details,
    );

  const query = async (tenant: string, selector = ALL, limit = 2, startNs = longAgo): Promise<number> => {
    const range = [time(3, startNs), time(4, soon)];
    const answers = await streamed(tenant, 'Query', text(1, selector), integer(2, limit), ...range);
    return answers.flatMap((answer) => messages(answer, 1)).length;
  };
  const samples = async (tenant: string, expression: string, startNs = longAgo): Promise<number> => {
    const answers = await streamed(tenant, 'QuerySample', text(1, expression), time(2, startNs), time(3, soon));
    return answers.flatMap((answer) => messages(answer, 1)).length;
  };
  /** Ends for a refusal alone. */
  const tail = (tenant: string, selector: string, limit = 2, startNs = now): Promise<Buffer[]> =>
    streamed(tenant, 'Tail', text(1, selector), integer(4, limit), time(5, startNs));
  /** How many of the two streams each method finds. */
  const found: Readonly<Record<string, (tenant: string, startNs: bigint) => Promise<number>>> = {
    Query: (tenant, startNs) => query(tenant, ALL, 2, startNs),
    QuerySample: (tenant, startNs) => samples(tenant, `count_over_time(${ALL}[1m])`, startNs),
    Label: async (tenant, startNs) =>
      texts(await unary(tenant, 'Label', text(1, 'app'), integer(2, 1), time(3, startNs), time(4, soon)), 1).length,
    Series: async (tenant, startNs) =>
      messages(await unary(tenant, 'Series', time(1, startNs), time(2, soon)), 1).length,
    GetChunkIDs: async (tenant, startNs) =>
      texts(await unary(tenant, 'GetChunkIDs', text(1, ALL), time(2, startNs), time(3, soon)), 1).length,
    GetStats: async (tenant, startNs) => number(await unary(tenant, 'GetStats', ...indexRange(startNs)), 1),
    GetVolume: async (tenant, startNs) => messages(await unary(tenant, 'GetVolume', ...indexRange(startNs)), 1).length,
    GetDetectedFields: async (tenant, startNs) => {
      const range = [time(1, startNs), time(2, soon), integer(4, 2)];
      const [field] = messages(await unary(tenant, 'GetDetectedFields', ...range, text(3, ALL)), 1);
      return field ? number(field, 3) : 0;
    },
    GetDetectedLabels: async (tenant, startNs) => {
      const [label] = messages(await unary(tenant, 'GetDetectedLabels', time(1, startNs), time(2, soon)), 1);
      return label ? messages(label, 2).flatMap((values) => texts(values, 1)).length : 0;
    },
  };
  const indexRange = (startNs: bigint): Write[] => [
    integer(1, startNs / NS_PER_MS),
    integer(2, soon / NS_PER_MS),
    text(3, ALL),
  ];

  for (const [method, ask] of Object.entries(found)) {
    it(`${method}: max_query_length refuses a longer range, and max_query_lookback hides what is older`, async () => {
      expect(await errorOf(ask('length', longAgo))).to.equal(
        'the query time range exceeds the limit (query length: 72h1m0s, limit: 1h)',
      );
      expect(await ask('length', soon - HOUR_NS), 'a range as long as the limit').to.equal(0);
      expect([await ask('free', longAgo), await ask('lookback', longAgo)]).to.deep.equal([2, 1]);
    });
  }

  it('max_query_lookback: a range that is older altogether has nothing', async () => {
    const range = [time(3, longAgo), time(4, now - 50n * HOUR_NS + 1n)];
    const asked = [text(1, ALL), integer(2, 2), ...range];
    expect((await streamed('free', 'Query', ...asked)).length).to.equal(1);
    expect(await streamed('lookback', 'Query', ...asked)).to.deep.equal([]);
  });

  it('max_entries_limit_per_query: refuses more entries, and a query that says no limit', async () => {
    const text = 'max entries limit per query exceeded, limit > max_entries_limit_per_query';
    expect(await errorOf(tail('entries', ALL, 3))).to.equal(`${text} (3 > 2)`);
    expect(await query('entries')).to.equal(2);
    expect(await errorOf(query('entries', ALL, 3))).to.equal(`${text} (3 > 2)`);
    expect(await errorOf(query('entries', ALL, 0))).to.equal(`${text} (none > 2)`);
    expect(await samples('entries', `count_over_time(${ALL}[1m])`)).to.equal(2);
  });

  it('a tail begins within max_query_lookback, and is refused beyond max_query_length', async () => {
    expect(await errorOf(tail('length', ALL, 2, longAgo))).to.match(/^the query time range exceeds the limit /);
    const services = new StubServices();
    const hourMs = 3_600_000;
    const stub = await startGrpcServer(services, {
      ...stubOptions({ nowMs: () => 2 * hourMs, limitsOf: () => ({ ...LIMITS, maxQueryLookbackMs: hourMs }) }),
      receiveBytesMax: 1024,
    });
    const asked = message(text(1, ALL), integer(4, 2), time(5, 60_000n * NS_PER_MS));
    await callStream(stub.address, '/logproto.Querier/Tail', asked).finally(() => stub.close());
    expect(services.tails.map(({ startNs }) => startNs)).to.deep.equal([HOUR_NS]);
  });

  it('blocked_queries, max_query_range, required_labels, max_streams_matchers_per_query: refuse what they refuse over HTTP', async () => {
    const cases = [
      ['blocked', '{app="secret"}'],
      ['range', 'count_over_time({app="a"}[10m])'],
      ['labels', '{pod="a"}'],
      ['matchers', '{app="a", pod="b"}'],
    ] as const;
    for (const [tenant, expression] of cases) {
      const search = new URLSearchParams({ query: expression });
      const { status, text } = await server.ask(`/loki/api/v1/query_range?${search}`, {
        headers: { 'x-scope-orgid': tenant },
      });
      const asked = expression.startsWith('{') ? query(tenant, expression) : samples(tenant, expression);
      expect([status, text], tenant).to.deep.equal([400, await errorOf(asked)]);
      if (tenant !== 'range') expect(await errorOf(tail(tenant, expression)), `tail of ${tenant}`).to.equal(text);
      expect(await query(tenant, '{app="a"}'), tenant).to.equal(0);
    }
  });
});
