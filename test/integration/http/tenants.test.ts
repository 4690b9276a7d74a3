/** Several tenants in one query (X-Scope-OrgID: a|b). */
import { expect } from 'chai';
import { TestServer } from './test-server.ts';

const NOW_MS = Date.now();
const at = (offsetMs: number): bigint => BigInt(NOW_MS - 60_000 + offsetMs) * 1_000_000n;
const RANGE = { start: `${at(-1000)}`, end: `${at(60_000)}` };
const BOTH = { 'x-scope-orgid': 't2|t1|t2' };

describe('a query about several tenants', function () {
  this.timeout(60_000);
  let server: TestServer;

  const start = async (isAllowed: boolean): Promise<void> => {
    server = await TestServer.start({
      auth_enabled: true,
      querier: { scan_workers: 1, multi_tenant_queries_enabled: isAllowed },
      overrides: { t2: { max_entries_limit_per_query: 7 } },
    });
    for (const [tenant, offset] of [
      ['t1', 0],
      ['t2', 1],
    ] as const) {
      const headers = { 'x-scope-orgid': tenant };
      const entries = [0, 1, 2].map((index) => ({ timeNs: at(2 * index + offset), line: `${tenant} ${index}` }));
      expect((await server.pushProto('{app="m"}', entries, headers)).status).to.equal(204);
      expect((await server.pushProto(`{app="o", __tenant_id__="x"}`, entries, headers)).status).to.equal(204);
    }
  };
  const ask = async (path: string, parameters: Record<string, string>, headers = BOTH) =>
    await server.ask(`/loki/api/v1/${path}?${new URLSearchParams({ ...RANGE, ...parameters })}`, { headers });
  const answer = async (path: string, parameters: Record<string, string>, headers = BOTH) => {
    const { status, text } = await ask(path, parameters, headers);
    expect(status, text).to.equal(200);
    return JSON.parse(text);
  };
  const linesOf = async (query: string, limit = '7') => {
    const { data } = await answer('query_range', { query, limit, direction: 'forward' });
    return data.result.map(({ stream, values }: { stream: object; values: string[][] }) => [
      stream,
      values.map(([, line]) => line),
    ]);
  };

  describe('where that is allowed', () => {
    before(() => start(true));
    after(() => server.stop());

    for (const from of ['memory', 'the store']) {
      it(`says whose the streams are, from ${from}`, async () => {
        if (from === 'the store') expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
        expect(await linesOf('{app="m"}')).to.deep.equal([
          [{ __tenant_id__: 't1', app: 'm' }, ['t1 0', 't1 1', 't1 2']],
          [{ __tenant_id__: 't2', app: 'm' }, ['t2 0', 't2 1', 't2 2']],
        ]);
        expect(await linesOf('{app="o", __tenant_id__=~".*2"}')).to.deep.equal([
          [{ __tenant_id__: 't2', original___tenant_id__: 'x', app: 'o' }, ['t2 0', 't2 1', 't2 2']],
        ]);
      });
    }

    it('takes the first entries of all of them together', async () => {
      expect(await linesOf('{app="m"}', '3')).to.deep.equal([
        [{ __tenant_id__: 't1', app: 'm' }, ['t1 0', 't1 1']],
        [{ __tenant_id__: 't2', app: 'm' }, ['t2 0']],
      ]);
    });

    it('groups by them, and adds them up', async () => {
      const time = `${at(60_000)}`;
      const vector = async (query: string) =>
        (await answer('query', { query, time })).data.result.map(
          ({ metric, value }: { metric: object; value: unknown[] }) => [metric, value[1]],
        );
      expect(await vector('sum by (__tenant_id__) (count_over_time({app="m"}[5m]))')).to.deep.equal([
        [{ __tenant_id__: 't1' }, '3'],
        [{ __tenant_id__: 't2' }, '3'],
      ]);
      expect(await vector('sum(count_over_time({app="m"}[5m]))')).to.deep.equal([[{}, '6']]);
      expect(await vector('count_over_time({app="m", __tenant_id__="t1"}[5m])')).to.deep.equal([
        [{ __tenant_id__: 't1', app: 'm' }, '3'],
      ]);
      expect(await vector('sum(count_over_time({app="m", __tenant_id__="t3"}[5m]))')).to.deep.equal([]);
    });

    it('shows them among labels, values and series', async () => {
      expect((await answer('labels', {})).data).to.deep.equal(['__tenant_id__', 'app']);
      expect((await answer('label/__tenant_id__/values', {})).data).to.deep.equal(['t1', 't2']);
      expect((await answer('series', { match: '{app="m", __tenant_id__="t2"}' })).data).to.deep.equal([
        { __tenant_id__: 't2', app: 'm' },
      ]);
    });

    it('adds up what they hold', async () => {
      expect(await answer('index/stats', { query: '{app="m"}' })).to.include({ streams: 2, entries: 6 });
    });

    it('is bound by the strictest limits of them', async () => {
      const { status, text } = await ask('query_range', { query: '{app="m"}', limit: '8' });
      expect(`${status} ${text}`).to.equal(
        '400 max entries limit per query exceeded, limit > max_entries_limit_per_query (8 > 7)',
      );
    });

    it('is like any other where they are one', async () => {
      const { data } = await answer('query_range', { query: '{app="m"}' }, { 'x-scope-orgid': 't1|t1|' });
      expect(data.result.map(({ stream }: { stream: object }) => stream)).to.deep.equal([{ app: 'm' }]);
    });

    it('pushes to none of them', async () => {
      const { status, text } = await server.pushProto('{app="m"}', [{ timeNs: at(0), line: 'x' }], BOTH);
      expect(`${status} ${text}`).to.equal('400 multiple org IDs present\n');
    });
  });

  describe('where that is not allowed', () => {
    before(() => start(false));
    after(() => server.stop());

    it('is refused', async () => {
      const { status, text } = await ask('query_range', { query: '{app="m"}' });
      expect(`${status} ${text}`).to.equal('400 multiple org IDs present');
    });
  });
});
