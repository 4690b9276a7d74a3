/** The calls of Grafana's Loki data source, in Explore and in Logs Drilldown, as it makes them (the API specification, 9.4). */
import { once } from 'node:events';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { type Answer, type Frame, GrafanaSource, type Row, streamFrame } from '../../support/grafana-source.ts';
import { TestServer } from './test-server.ts';

const LINES = 60;
const SECOND_NS = 1_000_000_000n;
const HOUR_NS = 3600n * SECOND_NS;
/** What max_query_series is here. */
const SERIES_MAX = 20;
const DRILLDOWN = 'grafana-lokiexplore-app';
const SHOP = '{service_name="shop"}';

const rowsOf = ({ frames }: Answer): readonly Row[] => frames.flatMap(({ rows }) => rows);
const linesOf = (answer: Answer): readonly string[] => rowsOf(answer).map(({ value }) => value);
const byTime = (rows: readonly Row[]): readonly string[] =>
  [...rows].sort((a, b) => (BigInt(a.time) < BigInt(b.time) ? -1 : 1)).map(({ value }) => value);
const sumOf = ({ rows }: Frame): number => rows.reduce((sum, { value }) => sum + Number(value), 0);

describe('a node that Grafana asks', function () {
  this.timeout(60_000);
  const startMs = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
  const startNs = BigInt(startMs) * 1_000_000n;
  const timeOf = (index: number): bigint => startNs + BigInt(index) * SECOND_NS;
  const range = { start: String(startNs), end: String(timeOf(LINES)) };
  const logfmt = (index: number): string =>
    `level=${index % 3 === 0 ? 'error' : 'info'} user=u${index} took=${index}ms size=${index}KB msg="a line"`;
  const json = (index: number): string => JSON.stringify({ n: index, http: { status: 200 + (index % 2) } });
  let server: TestServer;
  let grafana: GrafanaSource;

  before(async () => {
    server = await TestServer.start({
      limits: {
        discover_service_name: DEFAULT_LIMITS.discoverServiceName,
        discover_log_levels: true,
        max_query_series: SERIES_MAX,
      },
    });
    grafana = new GrafanaSource(`http://${server.http}`);
    const indexes = Array.from({ length: LINES }, (_, index) => index);
    const shop = indexes.map((index) => ({
      timeNs: timeOf(index),
      line: logfmt(index),
      metadata: ['trace_id', `t${index}`],
    }));
    const api = indexes.map((index) => ({ timeNs: timeOf(index), line: index === 7 ? 'no JSON' : json(index) }));
    expect((await server.pushProto('{app="shop", env="prod"}', shop)).status).to.equal(204);
    expect((await server.pushProto('{app="api", env="dev"}', api)).status).to.equal(204);
  });
  after(() => server.stop());

  describe('from memory', callsOf);

  describe('from the store', () => {
    before(async () => {
      expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
    });
    callsOf();
  });

  function callsOf(): void {
    it('is well', async () => {
      const asked = { query: 'vector(1)+vector(1)', direction: 'backward', time: '4000000000' };
      const { type, frames } = await grafana.frames('query', asked);
      expect(type).to.equal('vector');
      expect(frames).to.have.length(1);
      expect(frames[0]?.rows).to.deep.equal([{ time: '4000000000000', value: '2', metadata: {}, parsed: {} }]);
    });

    it('says what it is, so that Grafana knows what it may ask', async () => {
      const info = (await grafana.json('/loki/api/v1/status/buildinfo')) as { version: string };
      expect(info.version).to.match(/^3\.\d+\.\d+$/);
    });

    it('offers labels, their values and series, of a range and of a selector', async () => {
      const names = await grafana.json('/loki/api/v1/labels', range);
      expect(names).to.deep.equal({ status: 'success', data: ['app', 'env', 'service_name'] });
      const values = await grafana.json('/loki/api/v1/label/env/values', { ...range, query: '{app="shop"}' });
      expect(values).to.deep.equal({ status: 'success', data: ['prod'] });
      const series = await grafana.json('/loki/api/v1/series', { ...range, 'match[]': '{env=~"prod|dev"}' });
      expect(series).to.have.property('status', 'success');
      expect((series as { data: object[] }).data).to.have.deep.members([
        { app: 'shop', env: 'prod', service_name: 'shop' },
        { app: 'api', env: 'dev', service_name: 'api' },
      ]);
      expect(await grafana.json('/loki/api/v1/labels', { start: '1', end: '2' })).to.deep.equal({ status: 'success' });
      const shards = await grafana.json('/loki/api/v1/label/__stream_shard__/values', { ...range, query: SHOP });
      expect(shards).to.deep.equal({ status: 'success' });
    });

    it('shows logs with labels by their kind', async () => {
      const { type, frames } = await grafana.logs(`${SHOP} | logfmt`, range);
      expect(type).to.equal('streams');
      expect(frames.map(({ labels }) => labels)).to.deep.equal([{ app: 'shop', env: 'prod', service_name: 'shop' }]);
      const [newest] = frames[0]?.rows ?? [];
      expect(newest).to.deep.equal({
        time: String(timeOf(LINES - 1)),
        value: logfmt(LINES - 1),
        metadata: { detected_level: 'info', trace_id: `t${LINES - 1}` },
        parsed: { level: 'info', msg: 'a line', size: '59KB', took: '59ms', user: 'u59' },
      });
      expect(frames[0]?.rows).to.have.length(LINES);
    });

    it('shows the same without the flag in two columns', async () => {
      const { frames } = await grafana.frames('query_range', { query: SHOP, limit: '5', ...range });
      expect(frames).to.have.length(5);
      expect(frames.every(({ labels }) => labels['detected_level'] !== undefined)).to.equal(true);
    });

    it('takes parsers, filters of errors and formats', async () => {
      const counts: Readonly<Record<string, number>> = {
        '{app="api"} | json': LINES,
        '{app="api"} | json | __error__=""': LINES - 1,
        '{app="api"} | json | __error__="JSONParserErr"': 1,
        '{app="api"} | json status="http.status" | status="201"': LINES / 2 - 1,
        '{app="api"} | json | logfmt | drop __error__, __error_details__': LINES,
        [`${SHOP} | logfmt | took > 49ms`]: 10,
        [`${SHOP} |= "u1" |~ "took=1\\\\dms"`]: 10,
        [`${SHOP} | trace_id="t3"`]: 1,
        [`${SHOP} | detected_level="error" or detected_level="warn"`]: 20,
        [`${SHOP} | logfmt | label_format who=user | who="u5"`]: 1,
        [`${SHOP} | logfmt | line_format "{{.user}}" | decolorize`]: LINES,
        [`${SHOP} |> "level=error<_>"`]: 20,
      };
      for (const [query, count] of Object.entries(counts)) {
        expect(rowsOf(await grafana.logs(query, range)).length, query).to.equal(count);
      }
    });

    it('draws the histogram above the logs', async () => {
      const query = `sum by (level, detected_level) (count_over_time(${SHOP} |= "line" [10s]))`;
      const { type, frames } = await grafana.matrix(query, range, 'logvolhist');
      expect(type).to.equal('matrix');
      const totals = Object.fromEntries(frames.map((frame) => [frame.labels['detected_level'], sumOf(frame)]));
      expect(totals).to.deep.equal({ error: 20, info: 40 });
    });

    it('gives the lines behind a metric, and the metric', async () => {
      expect(rowsOf(await grafana.logs(`${SHOP} | logfmt`, range, { limit: '10' }, 'logsample'))).to.have.length(10);
      const rate = await grafana.matrix('sum(rate({env=~".+"}[1m]))', range);
      expect(rate.frames).to.have.length(1);
      const instant = { query: 'sum by (app) (count_over_time({env=~".+"}[10m]))', direction: 'backward' };
      const { type, frames } = await grafana.frames('query', { ...instant, time: range.end });
      expect(type).to.equal('vector');
      expect(frames.map(({ labels, rows }) => [labels, rows[0]?.value])).to.deep.equal([
        [{ app: 'api' }, String(LINES)],
        [{ app: 'shop' }, String(LINES)],
      ]);
    });

    it('shows the context of a line: the two sides meet in it', async () => {
      const row = timeOf(30);
      const before = await grafana.logs(
        '{app="shop"}',
        { start: String(row - 2n * HOUR_NS), end: String(row) },
        { limit: '10' },
      );
      const after = await grafana.logs(
        '{app="shop"}',
        { start: String(row), end: String(row + 2n * HOUR_NS) },
        { limit: '10', direction: 'forward' },
      );
      expect(linesOf(before)).to.deep.equal(Array.from({ length: 10 }, (_, index) => logfmt(29 - index)));
      expect(linesOf(after)).to.deep.equal(Array.from({ length: 10 }, (_, index) => logfmt(30 + index)));
    });

    it('scrolls on and on, and puts parts of a range together, with each line once', async () => {
      const scrolled: Row[] = [];
      for (let end = range.end; ; ) {
        const page = rowsOf(await grafana.logs('{app="shop"}', { ...range, end }, { limit: '25' }, 'infinitescroll'));
        if (page.length === 0) break;
        scrolled.push(...page);
        end = page.at(-1)?.time ?? '';
      }
      expect(byTime(scrolled)).to.deep.equal(Array.from({ length: LINES }, (_, index) => logfmt(index)));
      const middle = String(timeOf(20));
      const parts = await Promise.all(
        [
          { ...range, end: middle },
          { ...range, start: middle },
        ].map((part) => grafana.logs('{app="shop"}', part)),
      );
      expect(byTime(parts.flatMap(rowsOf))).to.deep.equal(byTime(scrolled));
    });

    it('tells how much a query would read', async () => {
      const stats = (await grafana.json('/loki/api/v1/index/stats', { query: SHOP, ...range })) as Record<
        string,
        number
      >;
      expect(Object.keys(stats)).to.deep.equal(['streams', 'chunks', 'bytes', 'entries']);
      expect(Object.values(stats).every(Number.isInteger)).to.equal(true);
      expect(stats).to.include({ streams: 1, entries: LINES });
    });

    it('says what is wrong with a query in plain text', async () => {
      const { status, text } = await grafana.text('/loki/api/v1/query_range', { query: '{app="shop"} |= ', ...range });
      expect(`${status} ${text}`).to.match(/^400 parse error at line 1, col 17: syntax error: unexpected \$end, /);
    });

    it('shows Logs Drilldown services, labels, fields and patterns', async () => {
      const times = { start: new Date(startMs).toISOString(), end: new Date(startMs + LINES * 1000).toISOString() };
      const ask = (path: string, more: Readonly<Record<string, string>>): Promise<unknown> =>
        grafana.json(`/loki/api/v1/${path}`, { ...times, ...more }, { source: DRILLDOWN });
      const services = { query: '{service_name=~".+"}', targetLabels: 'service_name', limit: '5000', ...times };
      const { type, frames } = await grafana.frames('index/volume', services, { source: DRILLDOWN });
      expect(type).to.equal('vector');
      expect(frames.map(({ labels }) => labels['service_name'])).to.have.members(['shop', 'api']);
      for (const { rows } of frames) expect(Number(rows[0]?.value)).to.be.above(0);
      const overTime = await grafana.frames('index/volume_range', { ...services, step: '10s' }, { source: DRILLDOWN });
      expect(overTime.type).to.equal('matrix');
      const { detectedLabels } = (await ask('detected_labels', { query: SHOP })) as {
        detectedLabels: { label: string }[];
      };
      expect(detectedLabels.map(({ label }) => label)).to.deep.equal(['app', 'env', 'service_name']);
      const { fields } = (await ask('detected_fields', { query: SHOP, limit: '1000' })) as { fields: object[] };
      expect(fields).to.deep.include({ label: 'took', type: 'duration', cardinality: LINES, parsers: ['logfmt'] });
      expect(fields).to.deep.include({ label: 'trace_id', type: 'string', cardinality: LINES, parsers: null });
      const { values } = (await ask('detected_field/user/values', { query: SHOP, limit: '1000' })) as {
        values: string[];
      };
      expect(values).to.have.members(Array.from({ length: LINES }, (_, index) => `u${index}`));
      const { data } = (await ask('patterns', { query: SHOP, step: '10s' })) as { data: { samples: number[][] }[] };
      expect(data.flatMap(({ samples }) => samples).reduce((sum, [, count = 0]) => sum + count, 0)).to.equal(LINES);
      expect(await ask('drilldown-limits', {})).to.have.nested.property('limits.max_query_series', SERIES_MAX);
    });

    it('draws the fields of Logs Drilldown, and cuts one with too many values instead of failing', async () => {
      const took = `avg_over_time(${SHOP} | logfmt | took!="" | unwrap duration(took) | __error__="" [10s]) by ()`;
      expect((await grafana.matrix(took, range, DRILLDOWN)).frames).to.have.length(1);
      const levels = await grafana.matrix(`sum by (detected_level) (count_over_time(${SHOP} [10s]))`, range, DRILLDOWN);
      expect(levels.frames).to.have.length(2);
      expect(levels.warnings).to.deep.equal([]);
      for (const query of [
        `sum by (user) (count_over_time(${SHOP} | logfmt | user!="" [1m]))`,
        `count_over_time(${SHOP} | logfmt | keep user [1m])`,
      ]) {
        const { frames, warnings } = await grafana.matrix(query, range, DRILLDOWN);
        expect(frames.length, query).to.equal(SERIES_MAX);
        expect(warnings).to.deep.equal([
          `maximum number of series (${SERIES_MAX}) reached for a single query; returning partial results`,
        ]);
        const instant = await grafana.frames('query', { query, time: range.end }, { source: DRILLDOWN });
        expect([instant.type, instant.frames.length, instant.warnings]).to.deep.equal(['vector', SERIES_MAX, warnings]);
        const { status, text } = await grafana.text('/loki/api/v1/query_range', { query, step: '10000ms', ...range });
        expect(`${status} ${text}`).to.match(
          /^400 maximum number of series \(20\) reached for a single query; consider/,
        );
      }
    });

    it('shows lines as they come', async () => {
      const app = `live-${startMs}-${Math.random()}`;
      const query = new URLSearchParams({ query: `{app="${app}"} | logfmt`, delay_for: '0' });
      const socket = new WebSocket(`ws://${server.http}/loki/api/v1/tail?${query}`);
      await once(socket, 'open');
      const pushed = server.pushProto(`{app="${app}"}`, [
        { timeNs: BigInt(Date.now()) * 1_000_000n, line: 'level=info a=1' },
      ]);
      const [data] = await once(socket, 'message');
      expect((await pushed).status).to.equal(204);
      const { streams, ...others } = JSON.parse(String(data)) as { streams: Record<string, unknown>[] };
      expect(others).to.deep.equal({});
      const [frame] = streams.map((one) => streamFrame(one, false));
      expect(frame?.labels).to.deep.equal({ app, service_name: app, level: 'info', a: '1', detected_level: 'info' });
      expect(frame?.rows[0]?.value).to.equal('level=info a=1');
      socket.close();
      await once(socket, 'close');
    });
  }
});
