import { expect } from 'chai';
import { request } from 'undici';
import { eventually } from '../../support/eventually.ts';
import { nowNs, TestServer } from '../http/test-server.ts';

const PATH = '/loki/api/v1/delete';

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly id: string | undefined;
}

const call = async (
  server: TestServer,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  parameters = {},
  tenant = 'a',
): Promise<Answer> => {
  const url = `http://${server.http}${PATH}?${new URLSearchParams(parameters)}`;
  const answer = await request(url, { method, headers: tenant === '' ? {} : { 'x-scope-orgid': tenant } });
  const id = answer.headers['x-delete-request-id'];
  return { status: answer.statusCode, text: await answer.body.text(), id: id?.toString() };
};

const seconds = (): number => Math.floor(Date.now() / 1000);

describe('the delete API', function () {
  this.timeout(60_000);
  let server: TestServer;

  before(async () => {
    server = await TestServer.start({
      auth_enabled: true,
      compactor: { retention_enabled: true, delete_request_cancel_period: '1h' },
      overrides: { off: { deletion_mode: 'disabled' } },
    });
  });
  after(() => server.stop());

  const start = (): string => `${seconds() - 3600}`;

  const REFUSED: readonly (readonly [Record<string, string>, string])[] = [
    [{}, 'query not set'],
    [{ query: '{a="b"}' }, 'start time not set'],
    [{ query: '{a="b"', start: '1700000000' }, 'invalid query expression'],
    [{ query: 'rate({a="b"}[1m])', start: '1700000000' }, 'invalid query expression'],
    // It would be part of each of the tenant's queries.
    [{ query: '{a="b"} |~ "("', start: '1700000000' }, 'invalid query expression'],
    [{ query: '{a="b"} | line_format "{{"', start: '1700000000' }, 'invalid query expression'],
    [{ query: '{a="b"}', start: '170000000' }, 'invalid start time: require unix seconds or RFC3339 format'],
    [{ query: '{a="b"}', start: '1700000000.5' }, 'invalid start time: require unix seconds or RFC3339 format'],
    [{ query: '{a="b"}', start: '1700000000', end: 'x' }, 'invalid end time: require unix seconds or RFC3339 format'],
    [{ query: '{a="b"}', start: '1700000000', end: '9700000000' }, 'deletes in the future are not allowed'],
    [
      { query: '{a="b"}', start: '1700000000', end: '1700000000' },
      "start time can't be greater than or equal to end time",
    ],
    [
      { query: '{a="b"} |= "x"', start: '1700000000', max_interval: '1d' },
      "invalid max_interval: valid time units are 's', 'm', 'h'",
    ],
    [
      { query: '{a="b"} |= "x"', start: '1700000000', max_interval: '25h' },
      "max_interval can't be greater than 24h0m0s",
    ],
    [
      { query: '{a="b"} |= "x"', start: '1700000000', end: '1700000060', max_interval: '2m' },
      "max_interval can't be greater than the interval to be deleted (1m0s)",
    ],
  ];

  for (const [parameters, text] of REFUSED) {
    it(`refuses ${JSON.stringify(parameters)}: ${text}`, async () => {
      expect(await call(server, 'POST', parameters)).to.include({ status: 400, text: `${text}\n` });
    });
  }

  it('takes a request, lists it as Loki does, and lets it be cancelled', async () => {
    const query = '{app="web"} |= "x" | json | level="error"';
    const taken = await call(server, 'PUT', { query, start: '2024-01-01T00:00:00Z', end: '1704153600' }, 'list');
    expect(taken).to.include({ status: 204, text: '' });
    expect(taken.id).to.match(/^[0-9a-f]{8}$/);
    const listed = JSON.parse((await call(server, 'GET', {}, 'list')).text) as Record<string, unknown>[];
    expect(listed.length).to.equal(1);
    expect(listed[0]?.['created_at']).to.be.within(seconds() - 10, seconds());
    expect(listed[0]).to.deep.include({
      request_id: taken.id,
      start_time: 1704067200,
      end_time: 1704153600,
      query,
      status: 'received',
      user_id: '',
    });
    expect((await call(server, 'GET', {}, 'nobody')).text).to.equal('[]\n');
    expect(await call(server, 'DELETE', { request_id: taken.id ?? '' }, 'nobody')).to.include({ status: 404 });
    expect(await call(server, 'DELETE', { request_id: taken.id ?? '' }, 'list')).to.include({ status: 204 });
    expect((await call(server, 'GET', {}, 'list')).text).to.equal('[]\n');
  });

  it('cancels nothing without an id, and nothing that is not there', async () => {
    await call(server, 'POST', { query: '{}', start: start() }, 'keep');
    const text = 'could not find delete request with given id\n';
    expect(await call(server, 'DELETE', {}, 'keep')).to.include({ status: 404, text });
    expect(await call(server, 'DELETE', { request_id: 'ffffffff' }, 'keep')).to.include({ status: 404, text });
    expect(JSON.parse((await call(server, 'GET', {}, 'keep')).text)).to.have.length(1);
  });

  it('is not there for a tenant whose deletes are disabled, and for nobody without a tenant', async () => {
    const disabled = { status: 403, text: 'deletion is not available for this tenant\n' };
    expect(await call(server, 'GET', {}, 'off')).to.include(disabled);
    expect(await call(server, 'POST', { query: '{}', start: start() }, 'off')).to.include(disabled);
    expect(await call(server, 'GET', {}, '')).to.include({ status: 401 });
    expect(await call(server, 'GET', {}, 'a|b')).to.include({ status: 400 });
  });

  it('hides entries from the moment it has answered, of its tenant alone', async () => {
    const body = JSON.stringify({
      streams: [{ stream: { app: 'web' }, values: [[`${nowNs() - 5_000_000_000n}`, 'gone']] }],
    });
    for (const tenant of ['hide', 'show']) {
      const headers = { 'content-type': 'application/json', 'x-scope-orgid': tenant };
      await request(`http://${server.http}/loki/api/v1/push`, { method: 'POST', headers, body });
    }
    expect(await call(server, 'POST', { query: '{app="web"}', start: start() }, 'hide')).to.include({ status: 204 });
    const found = async (tenant: string): Promise<boolean> => {
      const url = `http://${server.http}/loki/api/v1/query_range?query=${encodeURIComponent('{app="web"}')}`;
      return (await (await request(url, { headers: { 'x-scope-orgid': tenant } })).body.text()).includes('gone');
    };
    expect([await found('hide'), await found('show')]).to.deep.equal([false, true]);
  });

  it('counts requests as Loki does', async () => {
    await call(server, 'POST', { query: '{}', start: start() }, 'counted');
    const metrics = await (await request(`http://${server.http}/metrics`)).body.text();
    expect(metrics).to.include('loki_compactor_delete_requests_received_total{user="counted"} 1');
    expect(metrics).to.include('loki_compactor_pending_delete_requests_count 0');
  });

  it('is no path at all without retention', async () => {
    const other = await TestServer.start();
    const answer = await call(other, 'GET');
    await other.stop();
    expect(answer).to.include({ status: 404, text: '404 page not found\n' });
  });
});

describe('cancelling a delete request', function () {
  this.timeout(60_000);

  it('past its deadline is refused unless it is forced', async () => {
    const compactor = { retention_enabled: true, delete_request_cancel_period: '0s' };
    const server = await TestServer.start({ auth_enabled: true, compactor });
    try {
      const { id = '' } = await call(server, 'POST', { query: '{}', start: `${seconds() - 60}` });
      const takenMs = Date.now();
      await eventually('the clock has moved on', () => Date.now() > takenMs);
      expect(await call(server, 'DELETE', { request_id: id })).to.include({
        status: 400,
        text:
          'Cancellation of partially completed delete request or delete request past the deadline of 0s since its creation ' +
          'is not allowed. To force, use the ?force query parameter\n',
      });
      expect(await call(server, 'DELETE', { request_id: id, force: 'true' })).to.include({ status: 204 });
    } finally {
      await server.stop();
    }
  });
});
