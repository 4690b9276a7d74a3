/** Rules over HTTP, on one node: stored, evaluated, sent. */
import { expect } from 'chai';
import snappy from 'snappy';
import { parse as parseYaml } from 'yaml';
import { eventually } from '../../support/eventually.ts';
import { readWriteRequest } from '../../support/ruler/read-write-request.ts';
import { alertsOf, Receiver } from '../../support/ruler/receiver.ts';
import { type Answer, nowNs, TestServer } from '../http/test-server.ts';

const RULES = '/loki/api/v1/rules';
const ACCEPTED = { status: 'success', data: null, errorType: '', error: '' };
const STALE_BITS = 0x7ff0_0000_0000_0002n;

interface ShownRule {
  readonly name: string;
  readonly type: string;
  readonly state?: string;
  readonly health: string;
  readonly lastError: string;
  readonly lastEvaluation: string;
  readonly alerts?: readonly { readonly state: string; readonly value: string; readonly labels: object }[];
}

interface ShownGroup {
  readonly name: string;
  readonly file: string;
  readonly interval: number;
  readonly rules: readonly ShownRule[];
}

describe('rules on one node', function () {
  this.timeout(60_000);
  let server: TestServer;
  let alertmanager: Receiver;
  let second: Receiver;
  let prometheus: Receiver;

  before(async () => {
    [alertmanager, second, prometheus] = await Promise.all([Receiver.start(), Receiver.start(), Receiver.start()]);
    server = await TestServer.start({
      auth_enabled: true,
      limits: { ruler_max_rules_per_rule_group: 3 },
      overrides: { few: { ruler_max_rule_groups_per_tenant: 1 } },
      ruler: {
        external_url: 'https://grafana.example',
        datasource_uid: 'loki-1',
        external_labels: { cluster: 'test' },
        evaluation_interval: '1s',
        resend_delay: '1s',
        alertmanager_url: `${alertmanager.url}/am, ${second.url}`,
        remote_write: {
          enabled: true,
          client: { url: `${prometheus.url}/api/v1/write`, headers: { 'x-key': 'secret' } },
        },
      },
    });
  });
  after(async () => {
    await server.stop();
    await Promise.all([alertmanager, second, prometheus].map((receiver) => receiver.stop()));
  });

  const as = (tenant: string) => ({ 'x-scope-orgid': tenant });
  const ask = (tenant: string, path: string, method: 'GET' | 'POST' | 'DELETE' = 'GET', body?: string) =>
    server.ask(path, { method, headers: as(tenant), ...(body !== undefined && { body }) });
  const accepted = ({ status, text }: Answer): void => {
    expect(text).to.equal(JSON.stringify(ACCEPTED));
    expect(status).to.equal(202);
  };
  const refused = async (tenant: string, body: string, status: number, text: string): Promise<void> => {
    expect(await ask(tenant, `${RULES}/ns`, 'POST', body)).to.deep.equal({ status, text: `${text}\n` });
  };
  const groupsOf = async (tenant: string, query = ''): Promise<readonly ShownGroup[]> => {
    const { status, text } = await ask(tenant, `/prometheus/api/v1/rules${query}`);
    expect(status, text).to.equal(200);
    return JSON.parse(text).data.groups;
  };

  it('answers as Loki where there are none', async () => {
    expect(await ask('none', RULES)).to.deep.equal({ status: 404, text: 'no rule groups found\n' });
    expect(await ask('none', `${RULES}/ns`)).to.deep.equal({ status: 404, text: 'no rule groups found\n' });
    expect(await ask('none', `${RULES}/ns/g`)).to.deep.equal({ status: 404, text: 'group does not exist\n' });
    expect(await ask('none', `${RULES}/ns/g`, 'DELETE')).to.deep.equal({ status: 404, text: 'group does not exist\n' });
    expect(await ask('none', `${RULES}/ns`, 'DELETE')).to.deep.equal({
      status: 404,
      text: 'group namespace does not exist\n',
    });
    expect((await ask('none', '/prometheus/api/v1/rules')).text).to.equal(
      '{"status":"success","data":{"groups":[]},"errorType":"","error":""}',
    );
    expect((await ask('none', '/prometheus/api/v1/alerts')).text).to.equal(
      '{"status":"success","data":{"alerts":[]},"errorType":"","error":""}',
    );
  });

  it('wants a tenant', async () => {
    for (const path of [
      RULES,
      `${RULES}/ns`,
      `${RULES}/ns/g`,
      '/prometheus/api/v1/rules',
      '/prometheus/api/v1/alerts',
    ]) {
      expect(await server.ask(path), path).to.deep.equal({ status: 401, text: 'no org id\n' });
    }
  });

  it('refuses what is wrong, in Loki’s words', async () => {
    await refused('a', 'name: g\nrules: 5', 400, 'unable to decoded rule group');
    await refused('a', 'name: g\ninterval: soon', 400, 'unable to decoded rule group');
    await refused('a', '{', 400, 'unable to decoded rule group');
    await refused('a', 'rules: []', 400, 'group 0: Groupname must not be empty');
    await refused(
      'a',
      'name: bad\nrules: [{alert: A, expr: "sum("}, {record: r, expr: "sum("}]',
      400,
      "could not parse expression for alert 'A' in group 'bad': parse error at line 1, col 5: syntax error: unexpected $end, " +
        "could not parse expression for record 'r' in group 'bad': parse error at line 1, col 5: syntax error: unexpected $end",
    );
    const four = Array.from({ length: 4 }, (_, index) => `{record: r${index}, expr: vector(1)}`);
    await refused(
      'a',
      `{name: g, rules: [${four}]}`,
      400,
      'per-user rules per rule group limit (limit: 3 actual: 4) exceeded',
    );
    expect(await ask('a', RULES)).to.deep.equal({ status: 404, text: 'no rule groups found\n' });
  });

  it('bounds the groups of a tenant, and counts none twice', async () => {
    const group = (name: string): string => `{name: ${name}, rules: [{record: r, expr: vector(1)}]}`;
    accepted(await ask('few', `${RULES}/ns`, 'POST', group('one')));
    accepted(await ask('few', `${RULES}/ns`, 'POST', group('one')));
    await refused('few', group('two'), 400, 'per-user rule groups limit (limit: 1 actual: 2) exceeded');
    accepted(await ask('few', `${RULES}/ns`, 'DELETE'));
    accepted(await ask('few', `${RULES}/ns`, 'POST', group('two')));
    accepted(await ask('few', `${RULES}/ns/two`, 'DELETE'));
  });

  it('keeps groups under any name, each tenant’s its own, and over a restart', async () => {
    const namespace = 'team a/über %25.yaml';
    const text =
      'name: "g/1: two"\ninterval: 90s\nrules:\n  - record: job:lines:rate\n    expr: |\n      sum(rate({app="web"}[1m]))\n    labels: {severity: 1}\n';
    for (const prefix of [RULES, '/api/prom/rules']) {
      const path = `${prefix}/${encodeURIComponent(namespace)}`;
      accepted(await ask('names', path, 'POST', text));
      const wanted = {
        name: 'g/1: two',
        interval: '1m30s',
        rules: [{ record: 'job:lines:rate', expr: 'sum(rate({app="web"}[1m]))\n', labels: { severity: '1' } }],
      };
      await server.restart();
      expect(parseYaml((await ask('names', prefix)).text)).to.deep.equal({ [namespace]: [wanted] });
      expect(parseYaml((await ask('names', path)).text)).to.deep.equal({ [namespace]: [wanted] });
      const group = `${path}/${encodeURIComponent('g/1: two')}`;
      expect(parseYaml((await ask('names', group)).text)).to.deep.equal(wanted);
      expect((await ask('other', group)).status).to.equal(404);
      expect((await ask('other', group, 'DELETE')).status).to.equal(404);
      accepted(await ask('names', group, 'DELETE'));
      expect((await ask('names', group)).status).to.equal(404);
    }
  });

  it('has an alert fire, tells of it, and of its end', async () => {
    const lines = [-3n, -2n, -1n].map((index) => ({ timeNs: nowNs() + index * 1_000_000n, line: 'boom' }));
    await server.pushProto('{app="web"}', lines, as('alerts'));
    const rule = {
      alert: 'Boom',
      expr: 'sum by (app) (count_over_time({app="web"} |= "boom" [4s])) > 2',
      labels: { severity: 'page' },
      annotations: { summary: '{{ $labels.app }} boomed {{ $value }} times in {{ $externalLabels.cluster }}' },
    };
    accepted(await ask('alerts', `${RULES}/ns`, 'POST', JSON.stringify({ name: 'g', rules: [rule] })));
    const labels = { alertname: 'Boom', app: 'web', severity: 'page' };
    await eventually('the alert fires', async () => (await groupsOf('alerts'))[0]?.rules[0]?.state === 'firing');
    const [{ text }] = await Promise.all([ask('alerts', '/prometheus/api/v1/alerts')]);
    const [active] = JSON.parse(text).data.alerts;
    expect(active).to.deep.include({ labels, state: 'firing', value: '3e+00' });
    expect(active.annotations).to.deep.equal({ summary: 'web boomed 3 times in test' });
    for (const receiver of [alertmanager, second]) {
      await eventually('the alert is told of', () => alertsOf(receiver).length > 0);
      await eventually('its end is told of', () => alertsOf(receiver).some(({ isResolved }) => isResolved));
      const [first] = alertsOf(receiver);
      expect(first?.isResolved).to.equal(false);
      expect(first?.labels).to.deep.equal({ ...labels, cluster: 'test' });
      const query = { expr: rule.expr, queryType: 'range', datasource: { type: 'loki', uid: 'loki-1' } };
      const link = new URL(first?.generatorURL ?? '');
      expect(`${link.origin}${link.pathname}`).to.equal('https://grafana.example/explore');
      expect(JSON.parse(link.searchParams.get('left') ?? '')).to.deep.equal({ queries: [query] });
      expect(new Set(receiver.received.map(({ headers }) => headers['x-scope-orgid']))).to.deep.equal(
        new Set(['alerts']),
      );
    }
    expect(new Set(alertmanager.received.map(({ path }) => path))).to.deep.equal(new Set(['/am/api/v2/alerts']));
    await eventually('it is inactive', async () => (await groupsOf('alerts'))[0]?.rules[0]?.state === 'inactive');
    accepted(await ask('alerts', `${RULES}/ns`, 'DELETE'));
  });

  it('sends what it records, over failures of the receiver, and says when a series ends', async () => {
    prometheus.statuses.push(503, 429);
    const entries = [
      { timeNs: nowNs(), line: 'x' },
      { timeNs: nowNs() + 1n, line: 'y' },
    ];
    await server.pushProto('{app="api"}', entries, as('records'));
    const rule = {
      record: 'app:lines:count',
      expr: 'sum by (app) (count_over_time({app="api"}[3s]))',
      labels: { team: 'a' },
    };
    accepted(await ask('records', `${RULES}/ns`, 'POST', JSON.stringify({ name: 'g', rules: [rule] })));
    const series = () =>
      prometheus.received
        .filter(({ headers }) => headers['x-scope-orgid'] === 'records')
        .flatMap(({ body }) => readWriteRequest(snappy.uncompressSync(body) as Buffer));
    const samples = () => series().flatMap((one) => one.samples);
    await eventually('samples come', () => samples().some(({ value }) => value === 2));
    await eventually('the series ends', () => samples().some(({ bits }) => bits === STALE_BITS));
    expect(series()[0]?.labels).to.deep.equal([
      ['__name__', 'app:lines:count'],
      ['app', 'api'],
      ['team', 'a'],
    ]);
    for (const { timeMs } of samples()) expect(Math.abs(timeMs - Date.now())).to.be.below(30_000);
    const { headers, path } = prometheus.received[0] ?? {};
    expect(path).to.equal('/api/v1/write');
    expect(headers).to.include({
      'content-type': 'application/x-protobuf',
      'content-encoding': 'snappy',
      'x-prometheus-remote-write-version': '0.1.0',
      'x-key': 'secret',
    });
    expect(prometheus.statuses).to.deep.equal([]);
    accepted(await ask('records', `${RULES}/ns`, 'DELETE'));
  });

  it('shows how rules stand, those that fail too, and some of them if asked', async () => {
    const rules = [
      { alert: 'Lines', expr: '{app="web"}' },
      { record: 'one', expr: 'vector(1)' },
    ];
    accepted(await ask('shown', `${RULES}/b`, 'POST', JSON.stringify({ name: 'g', interval: '1s', rules })));
    accepted(await ask('shown', `${RULES}/a`, 'POST', JSON.stringify({ name: 'late', interval: '1h', rules })));
    const inB = (groups: readonly ShownGroup[]) => groups.find(({ file }) => file === 'b')?.rules ?? [];
    await eventually('they were evaluated', async () => inB(await groupsOf('shown'))[1]?.health === 'ok');
    const groups = await groupsOf('shown');
    expect(groups.map(({ file, name, interval }) => [file, name, interval])).to.deep.equal([
      ['a', 'late', 3600],
      ['b', 'g', 1],
    ]);
    const [failed, fine] = inB(groups);
    expect(failed).to.include({ name: 'Lines', type: 'alerting', state: 'inactive', health: 'err' });
    expect(failed?.lastError).to.equal('rule result is not a vector or scalar');
    expect(fine).to.include({ name: 'one', type: 'recording', health: 'ok', lastError: '' });
    expect(groups[0]?.rules[0]).to.include({ health: 'unknown', lastEvaluation: '0001-01-01T00:00:00Z' });
    const names = async (query: string) =>
      (await groupsOf('shown', query)).map((one) => [one.name, ...one.rules.map(({ name }) => name)]);
    expect(await names('?type=alert')).to.deep.equal([
      ['late', 'Lines'],
      ['g', 'Lines'],
    ]);
    expect(await names('?type=record&file=b')).to.deep.equal([['g', 'one']]);
    expect(await names('?rule_group[]=g&rule_name[]=one')).to.deep.equal([['g', 'one']]);
    expect(await names('?rule_name=two')).to.deep.equal([]);
    const { status, text } = await ask('shown', '/prometheus/api/v1/rules?type=x');
    expect([status, JSON.parse(text)]).to.deep.equal([
      400,
      { status: 'error', data: null, errorType: 'bad_data', error: 'not supported value "x"' },
    ]);
  });

  it('counts what it does', async () => {
    const { text } = await server.ask('/metrics');
    const value = (series: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')
          .at(-1),
      );
    const labels = '{user="shown",rule_group="b;g"}';
    expect(value(`loki_prometheus_rule_evaluations_total${labels}`)).to.be.at.least(2);
    expect(value(`loki_prometheus_rule_evaluation_failures_total${labels}`)).to.be.at.least(1);
    expect(value(`loki_prometheus_rule_group_rules${labels}`)).to.equal(2);
    expect(value(`loki_prometheus_notifications_sent_total{alertmanager="${second.url}"}`)).to.be.at.least(2);
    expect(value('loki_ruler_wal_prometheus_remote_storage_samples_total{remote_name="default"}')).to.be.at.least(2);
    expect(
      value('loki_ruler_wal_prometheus_remote_storage_samples_retried_total{remote_name="default"}'),
    ).to.be.at.least(2);
  });
});
