/** What a tenant's queries are held to holds for what reads or measures its streams without being a query itself. */
import { expect } from 'chai';
import { type Answer, nowNs, TestServer } from './test-server.ts';

const MINUTE_NS = 60_000_000_000n;
const LINE_SIZE = 1000;

describe('the limits of queries, for what is no query itself', function () {
  this.timeout(60_000);
  let server: TestServer;
  let now: bigint;
  /** Longer than max_query_length, of which max_query_lookback leaves less. */
  let range: { readonly start: string; readonly end: string };

  before(async () => {
    // Not as the file is loaded: many others may run before it.
    now = nowNs();
    range = { start: `${now - 180n * MINUTE_NS}`, end: `${now}` };
    server = await TestServer.start({
      auth_enabled: true,
      overrides: {
        lookback: { max_query_lookback: '45m', max_query_length: '2h' },
        blocked: { blocked_queries: [{ pattern: '{app="a"}' }] },
      },
    });
    const entries = [now - 90n * MINUTE_NS, now].map((timeNs, index) => ({
      timeNs,
      line: `from=${index} `.padEnd(LINE_SIZE, 'x'),
    }));
    for (const tenant of ['free', 'lookback']) {
      expect((await server.pushProto('{app="a"}', entries, { 'x-scope-orgid': tenant })).status).to.equal(204);
    }
  });
  after(() => server.stop());

  const ask = (tenant: string, path: string, parameters: Record<string, string> = {}): Promise<Answer> => {
    const search = new URLSearchParams({ query: '{app="a"}', ...range, end: `${now + 1n}`, ...parameters });
    return server.ask(`/loki/api/v1/${path}?${search}`, { headers: { 'x-scope-orgid': tenant } });
  };
  const told = async (tenant: string, path: string, parameters: Record<string, string> = {}) => {
    const { status, text } = await ask(tenant, path, parameters);
    expect(status, text).to.equal(200);
    return JSON.parse(text);
  };

  it('fields and patterns: a query is refused where it is blocked, and reads no more than it may by itself', async () => {
    for (const path of ['detected_fields', 'detected_field/from/values', 'patterns']) {
      const { status, text } = await ask('blocked', path);
      expect([status, text], path).to.deep.equal([400, 'query blocked by policy']);
    }
    const valuesOf = async (tenant: string): Promise<string[]> =>
      (await told(tenant, 'detected_field/from/values')).values.sort();
    expect(await valuesOf('free')).to.deep.equal(['0', '1']);
    expect(await valuesOf('lookback')).to.deep.equal(['1']);
  });

  it('statistics and volumes: of what lies across max_query_lookback the share that may be read', async () => {
    const { bytes, ...counts } = await told('lookback', 'index/stats');
    expect(counts).to.deep.equal({ streams: 1, chunks: 1, entries: 1 });
    // Half of a range of 90 minutes: seconds of the test itself are a thousandth of it.
    expect(bytes).to.be.within(0.95 * LINE_SIZE, 1.05 * LINE_SIZE);
    expect((await told('free', 'index/stats')).bytes).to.be.within(1.95 * LINE_SIZE, 2.05 * LINE_SIZE);
    const [volume] = (await told('lookback', 'index/volume')).data.result;
    expect(Number(volume.value[1])).to.be.within(0.95 * LINE_SIZE, 1.05 * LINE_SIZE);
  });

  it('volumes over time: buckets as they were asked for, those that are too old empty', async () => {
    const bucketsOf = async (tenant: string): Promise<[number, string][]> =>
      (await told(tenant, 'index/volume_range', { step: '15m' })).data.result[0].values;
    const [all, some] = [await bucketsOf('free'), await bucketsOf('lookback')];
    const times = all.map(([timeSeconds]) => timeSeconds);
    expect(some.map(([timeSeconds]) => timeSeconds)).to.deep.equal(times.slice(-some.length));
    expect(some.length).to.be.within(3, 5);
    const sum = some.reduce((total, [, value]) => total + Number(value), 0);
    expect(sum).to.be.within(0.95 * LINE_SIZE, 1.05 * LINE_SIZE);
  });
});
