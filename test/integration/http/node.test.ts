import { once } from 'node:events';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import snappy from 'snappy';
import { WebSocket } from 'ws';
import { PushClient } from '../../../src/http/push-client.ts';
import { encodePushRequest } from '../../../src/protocol/logproto.ts';
import { encodeExport } from '../../support/otlp.ts';
import { sendRaw } from './raw-http.ts';
import { nowNs, TestServer } from './test-server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const PROTO_TYPE = { 'content-type': 'application/x-protobuf' };
const SECOND = 1_000_000_000n;

const jsonPush = (stream: Record<string, string>, values: readonly (readonly unknown[])[]): string =>
  JSON.stringify({ streams: [{ stream, values }] });

describe('a node over HTTP and gRPC', function () {
  this.timeout(60_000);
  let server: TestServer;

  before(async () => {
    server = await TestServer.start({ limits: { reject_old_samples_max_age: '1d', max_line_size: '1KB' } });
  });
  after(() => server.stop());

  describe('gives back what was pushed', () => {
    const proto = (app: string): Buffer =>
      encodePushRequest({
        streams: [
          {
            labels: `{app="${app}"}`,
            entries: [
              { timeNs: nowNs() - SECOND, line: 'one' },
              { timeNs: nowNs(), line: 'two' },
            ],
          },
        ],
      });
    const json = (app: string): string =>
      jsonPush({ app }, [
        [String(nowNs() - SECOND), 'one'],
        [String(nowNs()), 'two'],
      ]);
    const snap = (bytes: Buffer): Buffer => snappy.compressSync(bytes) as Buffer;
    const bodies: Readonly<Record<string, (app: string) => readonly [Buffer | string, Record<string, string>]>> = {
      snappy: (app) => [snap(proto(app)), PROTO_TYPE],
      'snappy-said': (app) => [snap(proto(app)), { ...PROTO_TYPE, 'content-encoding': 'snappy' }],
      'snappy-gzip': (app) => [gzipSync(snap(proto(app))), { ...PROTO_TYPE, 'content-encoding': 'gzip' }],
      'snappy-deflate': (app) => [deflateRawSync(snap(proto(app))), { ...PROTO_TYPE, 'content-encoding': 'deflate' }],
      'text-plain': (app) => [snap(proto(app)), { 'content-type': 'text/plain' }],
      json: (app) => [json(app), JSON_TYPE],
      'json-charset': (app) => [json(app), { 'content-type': 'application/json; charset=utf-8' }],
      'json-gzip': (app) => [gzipSync(json(app)), { ...JSON_TYPE, 'content-encoding': 'gzip' }],
      'json-deflate': (app) => [deflateRawSync(json(app)), { ...JSON_TYPE, 'content-encoding': 'deflate' }],
    };
    for (const [name, make] of Object.entries(bodies)) {
      it(`as ${name}`, async () => {
        const [body, headers] = make(name);
        expect(await server.push(body, headers)).to.deep.equal({ status: 204, text: '' });
        expect(await server.linesOf(`{app="${name}"}`)).to.deep.equal(['one', 'two']);
      });
    }

    it('as JSON of the old shape', async () => {
      const body = JSON.stringify({
        streams: [{ labels: '{app="old"}', entries: [{ ts: new Date().toISOString(), line: 'one' }] }],
      });
      expect(await server.push(body, JSON_TYPE, '/api/prom/push')).to.deep.equal({ status: 204, text: '' });
      expect(await server.linesOf('{app="old"}')).to.deep.equal(['one']);
    });

    it('over gRPC', async () => {
      const client = new PushClient({ address: server.grpc });
      for (let index = 0; index < 1000; index += 1)
        client.push('{app="grpc"}', nowNs() + BigInt(index), `line ${index}`);
      expect(await client.close()).to.include({ acceptedLines: 1000, refusedLines: 0 });
      expect(await server.linesOf('{app="grpc"}')).to.deep.equal(
        Array.from({ length: 1000 }, (_, index) => `line ${index}`),
      );
    });

    it('with structured metadata, apart when asked', async () => {
      const timeNs = nowNs();
      await server.pushProto('{app="meta"}', [{ timeNs, line: 'x', metadata: ['trace', '7'] }]);
      const merged = await server.query({ query: '{app="meta"}' });
      expect(merged.result).to.deep.equal([{ stream: { app: 'meta', trace: '7' }, values: [[String(timeNs), 'x']] }]);
      const apart = await server.query(
        { query: '{app="meta"}' },
        { 'x-loki-response-encoding-flags': 'categorize-labels' },
      );
      expect(apart.encodingFlags).to.deep.equal(['categorize-labels']);
      expect(apart.result).to.deep.equal([
        { stream: { app: 'meta' }, values: [[String(timeNs), 'x', { structuredMetadata: { trace: '7' } }]] },
      ]);
    });

    it('after a flush and after a restart', async () => {
      const entries = Array.from({ length: 500 }, (_, index) => ({
        timeNs: nowNs() + BigInt(index),
        line: `l${index}`,
      }));
      await server.pushProto('{app="kept"}', entries.slice(0, 250));
      expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
      await server.pushProto('{app="kept"}', entries.slice(250));
      const lines = entries.map(({ line }) => line);
      expect(await server.linesOf('{app="kept"}')).to.deep.equal(lines);
      await server.restart();
      expect(await server.linesOf('{app="kept"}')).to.deep.equal(lines);
    });
  });

  describe('answers', () => {
    const since = nowNs();
    before(async () => {
      for (const level of ['info', 'warn']) {
        const entries = Array.from({ length: 20 }, (_, index) => ({
          timeNs: since - BigInt(index) * SECOND,
          line: `level=${level} n=${index}`,
        }));
        await server.pushProto(`{app="many", level="${level}"}`, entries);
      }
    });

    it('metric queries over a range and at an instant', async () => {
      const query = 'sum by (level) (count_over_time({app="many"}[1m]))';
      const end = String(since + SECOND);
      const vector = await server.query({ query, time: end }, {}, 'query');
      expect(vector.resultType).to.equal('vector');
      expect(
        vector.result.map((series: { metric: object; value: [number, string] }) => [series.metric, series.value[1]]),
      ).to.deep.equal([
        [{ level: 'info' }, '20'],
        [{ level: 'warn' }, '20'],
      ]);
      const matrix = await server.query({ query, start: String(since - 10n * SECOND), end, step: '1' });
      expect(matrix.resultType).to.equal('matrix');
      expect(matrix.result).to.have.length(2);
      expect(matrix.stats.summary.totalLinesProcessed).to.equal(40);
    });

    it('what Grafana asks to see whether we live', async () => {
      const health = await server.query({ query: 'vector(1)+vector(1)', time: '4000000000' }, {}, 'query');
      expect(health.result).to.deep.equal([{ metric: {}, value: [4_000_000_000, '2'] }]);
    });

    it('labels, values and series', async () => {
      const query = encodeURIComponent('{app="many"}');
      expect((await server.ask(`/loki/api/v1/labels?query=${query}`)).text).to.equal(
        '{"status":"success","data":["app","level"]}',
      );
      expect((await server.ask(`/loki/api/v1/label/level/values?query=${query}`)).text).to.equal(
        '{"status":"success","data":["info","warn"]}',
      );
      const series = JSON.parse((await server.ask(`/loki/api/v1/series?match[]=${query}`)).text).data;
      expect(series).to.have.deep.members([
        { app: 'many', level: 'info' },
        { app: 'many', level: 'warn' },
      ]);
    });

    it('a tail: what was, then what comes', async () => {
      const query = new URLSearchParams({ query: '{app="tailed"}', limit: '5' });
      await server.pushProto('{app="tailed"}', [{ timeNs: nowNs() - SECOND, line: 'before' }]);
      const socket = new WebSocket(`ws://${server.http}/loki/api/v1/tail?${query}`);
      const lines: string[] = [];
      socket.on('message', (data) => {
        for (const { values } of JSON.parse(String(data)).streams) lines.push(values[0][1]);
        socket.emit('lines');
      });
      while (lines.length < 1) await once(socket, 'lines');
      await server.pushProto('{app="tailed"}', [{ timeNs: nowNs(), line: 'after' }]);
      while (lines.length < 2) await once(socket, 'lines');
      expect(lines).to.deep.equal(['before', 'after']);
      socket.close();
      await once(socket, 'close');
    });

    it('its own metrics and configuration', async () => {
      const { text } = await server.ask('/metrics');
      for (const name of [
        'loki_build_info',
        'loki_request_duration_seconds_count',
        'loki_distributor_bytes_received_total',
        'loki_distributor_lines_received_total',
        'loki_ingester_memory_streams',
        'loki_cache_fetched_keys',
        'process_cpu_seconds_total',
        'nodejs_eventloop_lag_p99_seconds',
      ]) {
        expect(text, name).to.match(new RegExp(`^${name}(\\{.*\\})? `, 'm'));
      }
      expect((await server.ask('/config')).text).to.match(/^max_push_size|^ {2}max_push_size/m);
      expect((await server.ask('/services')).text).to.include('ingester => Running\n');
    });
  });

  describe('takes a stream of very many entries in parts', () => {
    const pushOf = (labels: string, entries: readonly { timeNs: bigint; line: string }[]): Buffer =>
      snappy.compressSync(encodePushRequest({ streams: [{ labels, entries: [...entries] }] })) as Buffer;

    it('and stores all of them', async () => {
      const first = nowNs() - SECOND;
      const entries = Array.from({ length: 20_000 }, (_, index) => ({
        timeNs: first + BigInt(index),
        line: `l${index}`,
      }));
      expect(await server.push(pushOf('{app="parts"}', entries), PROTO_TYPE)).to.deep.equal({ status: 204, text: '' });
      const found = await server.query({ query: 'count_over_time({app="parts"}[1m])' }, {}, 'query');
      expect(found.result[0].value[1]).to.equal('20000');
    });

    it('and says once what is too far behind, of all of them', async () => {
      const late = nowNs() - 7200n * SECOND;
      const entries = Array.from({ length: 20_000 }, (_, index) => ({ timeNs: late + BigInt(index), line: 'x' }));
      const body = pushOf('{app="late-parts"}', [{ timeNs: nowNs(), line: 'new' }, ...entries]);
      const { status, text } = await server.push(body, PROTO_TYPE);
      expect(status).to.equal(400);
      expect(text.match(/entry with timestamp/g)?.length).to.equal(10);
      expect(text.match(/total ignored: .*/g)).to.deep.equal([
        'total ignored: 20000 out of 20001 for stream: {app="late-parts"}',
      ]);
    });

    it('and says once how many are too old', async () => {
      const entries = Array.from({ length: 20_000 }, () => ({ timeNs: 1n, line: 'x' }));
      const { text } = await server.push(pushOf('{app="old-parts"}', entries), PROTO_TYPE);
      expect(text).to.match(/^20000 errors like: entry for stream '\{app="old-parts"\}' has timestamp too old: /);
    });
  });

  describe('refuses', () => {
    const good = (): Buffer =>
      encodePushRequest({ streams: [{ labels: '{app="bad"}', entries: [{ timeNs: nowNs(), line: 'x' }] }] });
    const varint = (value: number): Buffer => {
      const bytes: number[] = [];
      for (let rest = value; ; rest = Math.floor(rest / 128)) {
        bytes.push(rest < 128 ? rest : (rest % 128) | 128);
        if (rest < 128) return Buffer.from(bytes);
      }
    };
    const cases: readonly (readonly [string, () => Buffer | string, Record<string, string>, number, RegExp])[] = [
      ['no type', () => good(), {}, 400, /^mime: no media type\n$/],
      ['bytes that are not snappy', () => good(), PROTO_TYPE, 400, /^snappy: corrupt input\n$/],
      ['an empty body', () => '', PROTO_TYPE, 400, /^snappy: corrupt input\n$/],
      [
        'snappy cut short',
        () => (snappy.compressSync(good()) as Buffer).subarray(0, -3),
        PROTO_TYPE,
        400,
        /^snappy: corrupt input\n$/,
      ],
      [
        'protobuf cut short',
        () => snappy.compressSync(good().subarray(0, -1)) as Buffer,
        PROTO_TYPE,
        400,
        /^unexpected EOF\n$/,
      ],
      [
        'a snappy block that claims 4 GB',
        () => Buffer.concat([varint(0xffffffff), Buffer.alloc(100)]),
        PROTO_TYPE,
        400,
        /too large|corrupt/,
      ],
      [
        'a gzip bomb',
        () => gzipSync(Buffer.alloc(200 * 1024 * 1024)),
        { ...JSON_TYPE, 'content-encoding': 'gzip' },
        400,
        /too large/,
      ],
      [
        'a wrong encoding',
        () => '{}',
        { ...JSON_TYPE, 'content-encoding': 'br' },
        400,
        /^Content-Encoding "br" not supported\n$/,
      ],
      ['JSON that is none', () => '[]', JSON_TYPE, 400, /\n$/],
      [
        'no streams',
        () => '{"streams":[]}',
        JSON_TYPE,
        422,
        /^error at least one valid stream is required for ingestion\n$/,
      ],
      [
        'a bad label',
        () => jsonPush({ 'a-b': 'x' }, [[String(nowNs()), 'x']]),
        JSON_TYPE,
        400,
        /^couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'\n$/,
      ],
      [
        'no labels',
        () => jsonPush({}, [[String(nowNs()), 'x']]),
        JSON_TYPE,
        400,
        /^error at least one label pair is required per stream\n$/,
      ],
      [
        'a huge line',
        () => jsonPush({ app: 'bad' }, [[String(nowNs()), 'x'.repeat(1025)]]),
        JSON_TYPE,
        400,
        /^max entry size '1024' bytes exceeded for stream '\{app="bad"\}' while adding an entry with length '1025' bytes\n$/,
      ],
      [
        'an old entry',
        () => jsonPush({ app: 'bad' }, [['1', 'x']]),
        JSON_TYPE,
        400,
        /^entry for stream '\{app="bad"\}' has timestamp too old: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: /,
      ],
      [
        'an entry of the far future',
        () => jsonPush({ app: 'bad' }, [['4102444800000000000', 'x']]),
        JSON_TYPE,
        400,
        /^entry for stream '\{app="bad"\}' has timestamp too new: 2100-01-01T00:00:00Z\n$/,
      ],
    ];
    for (const [name, body, headers, status, text] of cases) {
      it(name, async () => {
        const answer = await server.push(body(), headers);
        expect([answer.status, answer.text.slice(0, 300)]).to.satisfy(
          ([gotStatus, gotText]: [number, string]) => gotStatus === status && text.test(gotText),
          `${answer.status} ${answer.text.slice(0, 300)}`,
        );
        expect(await server.linesOf('{app="bad"}')).to.deep.equal([]);
      });
    }

    it('part of a push and stores the rest', async () => {
      const body = jsonPush({ app: 'partly' }, [
        ['1', 'old'],
        [String(nowNs()), 'good'],
      ]);
      expect((await server.push(body, JSON_TYPE)).status).to.equal(400);
      expect(await server.linesOf('{app="partly"}')).to.deep.equal(['good']);
    });

    it('and counts the lines it discards by Loki’s reasons', async () => {
      const line = (reason: string) =>
        new RegExp(`^loki_discarded_samples_total\\{reason="${reason}",tenant="fake"\\} (\\d+)$`, 'm');
      const countOf = async (reason: string): Promise<number> =>
        Number(line(reason).exec((await server.ask('/metrics')).text)?.[1] ?? 0);
      const reasons = ['greater_than_max_sample_age', 'line_too_long', 'too_far_behind', 'invalid_labels'];
      const counts = (): Promise<number[]> => Promise.all(reasons.map(countOf));
      const before = await counts();
      const [now, late] = [String(nowNs()), String(nowNs() - 7200n * SECOND)];
      await server.push(
        jsonPush({ app: 'counted' }, [
          ['1', 'old'],
          [now, 'x'.repeat(2000)],
          [now, 'good'],
          [late, 'late'],
        ]),
        JSON_TYPE,
      );
      await server.push(
        jsonPush({ 'a-b': 'x' }, [
          [now, 'one'],
          [now, 'two'],
        ]),
        JSON_TYPE,
      );
      expect((await counts()).map((count, index) => count - (before[index] ?? 0))).to.deep.equal([1, 1, 1, 2]);
    });

    it('and counts what it discards of OTLP in the same way', async () => {
      const line = /^loki_discarded_samples_total\{reason="greater_than_max_sample_age",tenant="fake"\} (\d+)$/m;
      const count = async (): Promise<number> => Number(line.exec((await server.ask('/metrics')).text)?.[1] ?? 0);
      const before = await count();
      const records = [
        { timeNs: 1n, body: 'old' },
        { timeNs: 2n, body: ['old'] },
        { timeNs: nowNs(), body: 'good' },
      ];
      const body = encodeExport([{ attributes: { 'service.name': 'counted-otlp' }, scopes: [{ records }] }]);
      const { status } = await server.push(body, { 'content-type': 'application/x-protobuf' }, '/otlp/v1/logs');
      expect(status).to.equal(400);
      expect((await count()) - before).to.equal(2);
      expect(await server.linesOf('{service_name="counted-otlp"}')).to.deep.equal(['good']);
    });

    it('hostile queries, each with a text, and lives on', async () => {
      const queries = [
        '{',
        '}'.repeat(5000),
        '('.repeat(5000),
        `{app="x"} |~ "${'(a+)+'.repeat(50)}$"`,
        '{app="x"} |~ "(((((((((("',
        `{app=~"${'a{1000}'.repeat(100)}"}`,
        `sum(${'-'.repeat(2000)}1)`,
        'x'.repeat(131_072),
      ];
      for (const query of queries) {
        const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } } as const;
        const { status, text } = await server.ask('/loki/api/v1/query_range', {
          ...form,
          body: new URLSearchParams({ query }).toString(),
        });
        expect([200, 400], `${query.slice(0, 40)}: ${status} ${text.slice(0, 200)}`).to.include(status);
        if (status === 400) expect(text).not.to.equal('');
      }
      expect((await server.ask('/ready')).text).to.equal('ready\n');
    });

    it('requests that are no HTTP, and lives on', async () => {
      await Promise.all(Array.from({ length: 50 }, (_, index) => sendRaw(server.http, Buffer.alloc(200, index), 200)));
      expect((await server.ask('/ready')).text).to.equal('ready\n');
    });
  });
});

describe('a node with tenants', function () {
  this.timeout(60_000);
  let server: TestServer;

  before(async () => {
    server = await TestServer.start({ auth_enabled: true, overrides: { small: { max_line_size: '10B' } } });
  });
  after(() => server.stop());

  it('wants a tenant for pushes and queries', async () => {
    const push = await server.pushProto('{app="x"}', [{ timeNs: nowNs(), line: 'x' }]);
    expect(push).to.deep.equal({ status: 401, text: 'no org id\n' });
    expect(await server.ask('/loki/api/v1/labels')).to.deep.equal({ status: 401, text: 'no org id\n' });
    expect((await server.ask('/ready')).status).to.equal(200);
  });

  it('refuses tenants that are none, and several at once', async () => {
    const push = (tenant: string) =>
      server.pushProto('{app="x"}', [{ timeNs: nowNs(), line: 'x' }], { 'x-scope-orgid': tenant });
    expect(await push('a/b')).to.deep.equal({
      status: 400,
      text: "tenant ID 'a/b' contains unsupported character '/'\n",
    });
    expect(await push('a|b')).to.deep.equal({ status: 400, text: 'multiple org IDs present\n' });
  });

  it('keeps tenants apart, and their limits', async () => {
    const push = (tenant: string, line: string) =>
      server.pushProto('{app="x"}', [{ timeNs: nowNs(), line }], { 'x-scope-orgid': tenant });
    expect((await push('large', 'a line of large')).status).to.equal(204);
    expect((await push('small', 'short')).status).to.equal(204);
    expect((await push('small', 'a line of small')).status).to.equal(400);
    expect(await server.linesOf('{app="x"}', { 'x-scope-orgid': 'large' })).to.deep.equal(['a line of large']);
    expect(await server.linesOf('{app="x"}', { 'x-scope-orgid': 'small' })).to.deep.equal(['short']);
    expect(await server.linesOf('{app="x"}', { 'x-scope-orgid': 'other' })).to.deep.equal([]);
  });

  it('takes the tenant of a gRPC push from its metadata', async () => {
    const client = new PushClient({ address: server.grpc, tenant: 'grpc' });
    client.push('{app="x"}', nowNs(), 'hello');
    expect(await client.close()).to.include({ acceptedLines: 1 });
    expect(await server.linesOf('{app="x"}', { 'x-scope-orgid': 'grpc' })).to.deep.equal(['hello']);
    const refusals: string[] = [];
    const nobody = new PushClient({
      address: server.grpc,
      onBatch: ({ refusal }) => refusals.push(refusal?.text ?? ''),
    });
    nobody.push('{app="x"}', nowNs(), 'hello');
    await nobody.close();
    expect(refusals).to.deep.equal(['no org id']);
  });
});
