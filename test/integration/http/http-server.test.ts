import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { request } from 'undici';
import { type RunningHttpServer, startHttpServer } from '../../../src/http/server.ts';
import type { ClusterServices, RingStatus } from '../../../src/member/cluster-services.ts';
import type { Refusal } from '../../../src/protocol/refusal.ts';
import { NO_STATISTICS, type QueryResult } from '../../../src/query/query-messages.ts';
import { sendRaw } from './raw-http.ts';
import { LIMITS, type Logged, refused, StubServices, stubOptions } from './stub-services.ts';

const TENANT = { 'x-scope-orgid': 'a' };

describe('the HTTP server', () => {
  let services: StubServices;
  let server: RunningHttpServer;
  const logged: Logged[] = [];

  const start = async (...[overrides]: Parameters<typeof stubOptions>) => {
    services = new StubServices();
    logged.length = 0;
    server = await startHttpServer(services, stubOptions(overrides, logged));
  };
  const ask = async (path: string, options: Parameters<typeof request>[1] = {}) => {
    const response = await request(`http://${server.address}${path}`, { headers: TENANT, ...options });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  };

  beforeEach(() => start());
  afterEach(() => server.close());

  describe('routes', () => {
    it('answers unknown paths as Go does', async () => {
      for (const path of [
        '/nothing',
        '/loki/api/v1/labels/',
        '/',
        '/loki/api/v1/label/a%2Fb/values',
        '/api/prom/labels',
      ]) {
        const { status, text, headers } = await ask(path);
        expect([path, status, text]).to.deep.equal([path, 404, '404 page not found\n']);
        expect(headers['content-type']).to.equal('text/plain; charset=utf-8');
      }
    });

    it('answers a wrong method with 405 and nothing else', async () => {
      for (const [method, path] of [
        ['GET', '/loki/api/v1/push'],
        ['PUT', '/loki/api/v1/labels'],
        ['OPTIONS', '/loki/api/v1/query'],
        ['HEAD', '/ready'],
        ['POST', '/ready'],
      ] as const) {
        const { status, text } = await ask(path, { method });
        expect([method, path, status, text]).to.deep.equal([method, path, 405, '']);
      }
    });

    it('redirects to the cleaned path and keeps the query', async () => {
      const { status, headers } = await ask('//loki/./api/x/../v1/labels?since=1h');
      expect([status, headers['location']]).to.deep.equal([301, '/loki/api/v1/labels?since=1h']);
    });

    it('takes an offer to upgrade to HTTP/2 as the ordinary request it is, with its body', async () => {
      const body = 'query=%7Ba%3D%22b%22%7D&limit=7';
      const answer = await sendRaw(
        server.address,
        [
          'POST /loki/api/v1/query_range HTTP/1.1',
          'Host: x',
          'Connection: Upgrade, HTTP2-Settings, close',
          'Upgrade: h2c',
          'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
          'X-Scope-OrgID: a',
          'Content-Type: application/x-www-form-urlencoded',
          `Content-Length: ${body.length}`,
          '',
          body,
        ].join('\r\n'),
      );
      expect(answer).to.match(/^HTTP\/1\.1 200 OK/);
      expect(services.queries[0]?.limit).to.equal(7);
    });
  });

  describe('query endpoints', () => {
    it('refuses a request without a tenant', async () => {
      for (const path of [
        '/loki/api/v1/labels',
        '/loki/api/v1/query?query=1',
        '/loki/api/v1/series',
        '/loki/api/v1/tail',
      ]) {
        const { status, text } = await ask(path, { headers: {} });
        if (path.endsWith('tail')) expect([status, text]).to.deep.equal([400, 'Bad Request\n']);
        else expect([status, text]).to.deep.equal([401, 'no org id\n']);
      }
    });

    it('reads parameters from the URL and the form, the form first', async () => {
      await ask('/loki/api/v1/query_range?limit=5&direction=forward&start=1&end=9', {
        method: 'POST',
        headers: { ...TENANT, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        body: 'limit=6&query=%7Bapp%3D%22x%22%7D',
      });
      expect(services.queries[0]).to.include({
        tenant: 'a',
        query: '{app="x"}',
        limit: 6,
        direction: 'forward',
        startNs: 1_000_000_000n,
        endNs: 9_000_000_000n,
        isInstant: false,
      });
    });

    it('takes what is kept of answers, by the limits of the tenant, unless the client says otherwise', async () => {
      const caching = { intervalMs: 3_600_000, freshnessMs: 600_000 };
      const cases: readonly (readonly [string | undefined, object | undefined])[] = [
        [undefined, caching],
        ['max-age=0', caching],
        ['no-store', undefined],
        ['No-Cache', undefined],
        ['private, no-store', undefined],
      ];
      for (const [header, expected] of cases) {
        await ask('/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D', {
          headers: { ...TENANT, ...(header && { 'cache-control': header }) },
        });
        expect(services.queries.at(-1)?.caching, `${header}`).to.deep.equal(expected);
        expect(services.queries.at(-1)?.limits.tasksMax).to.equal(32);
      }
    });

    it('says what of an answer came from what is kept', async () => {
      const resultsCache = {
        ...{ requested: 3, found: 2, stored: 1, bytesReceived: 200, bytesSent: 100 },
        servedMs: 7_200_000,
      };
      services.answer = async () => ({ type: 'matrix', series: [], statistics: { ...NO_STATISTICS, resultsCache } });
      const { text } = await ask('/loki/api/v1/query_range?query=vector(1)');
      const { chunk, result } = JSON.parse(text).data.stats.cache;
      expect(result).to.deep.equal({
        ...{ entriesFound: 2, entriesRequested: 3, entriesStored: 1, bytesReceived: 200, bytesSent: 100 },
        ...{ requests: 4, downloadTime: 0, queryLengthServed: 7_200_000_000_000 },
      });
      expect(chunk).to.include({ entriesFound: 0, requests: 0 });
    });

    it('asks for an instant at one time', async () => {
      services.answer = async () => ({ type: 'vector', series: [], statistics: NO_STATISTICS });
      const { text } = await ask(`/loki/api/v1/query?query=${encodeURIComponent('sum(rate({a="b"}[1m]))')}&time=7`);
      expect(services.queries[0]).to.include({ startNs: 7_000_000_000n, endNs: 7_000_000_000n, isInstant: true });
      expect(JSON.parse(text).data).to.deep.include({ resultType: 'vector', result: [] });
    });

    it('takes a query of 100 KB in the path, and says of a longer one that it is too long', async () => {
      services.answer = async () => ({ type: 'vector', series: [], statistics: NO_STATISTICS });
      const query = (size: number) => encodeURIComponent('vector(1)'.padEnd(size));
      expect((await ask(`/loki/api/v1/query?query=${query(100_000)}`)).status).to.equal(200);
      const { status, text } = await ask(`/loki/api/v1/query?query=${query(131_072)}`);
      expect([status, text]).to.deep.equal([400, 'parse error : input size too long (131072 > 131072)']);
    });

    it('refuses a log query at an instant', async () => {
      const { status, text, headers } = await ask(`/loki/api/v1/query?query=${encodeURIComponent('{a="b"}')}`);
      expect(status).to.equal(400);
      expect(text).to.equal(
        'log queries are not supported as an instant query type, please change your query to a range query type',
      );
      expect(headers['x-content-type-options']).to.equal('nosniff');
    });

    it('gives parse errors with their position', async () => {
      const { status, text } = await ask(`/loki/api/v1/query_range?query=${encodeURIComponent('{app="m"')}`);
      expect([status, text]).to.deep.equal([
        400,
        'parse error at line 1, col 9: syntax error: unexpected $end, expecting } or ,',
      ]);
    });

    it('puts the encoding flags before the result and the statistics after it', async () => {
      services.answer = async () => ({
        type: 'streams',
        streams: [
          {
            labels: ['app', 'x'],
            entries: [{ timeNs: 5n, line: 'a\n"b"', metadata: ['trace', '1'], parsed: [] }],
          },
        ],
        statistics: { ...NO_STATISTICS, bytesProcessed: 7, executionMs: 3.5 },
      });
      const { text } = await ask(`/loki/api/v1/query_range?query=${encodeURIComponent('{a="b"}')}`, {
        headers: { ...TENANT, 'x-loki-response-encoding-flags': 'categorize-labels' },
      });
      expect(text.indexOf('"encodingFlags"')).to.be.lessThan(text.indexOf('"result":'));
      expect(text.indexOf('"result":')).to.be.lessThan(text.indexOf('"stats"'));
      const { data } = JSON.parse(text);
      expect(data.result).to.deep.equal([
        { stream: { app: 'x' }, values: [['5', 'a\n"b"', { structuredMetadata: { trace: '1' } }]] },
      ]);
      expect(data.stats.summary).to.include({
        totalBytesProcessed: 7,
        bytesProcessedPerSecond: 2000,
        execTime: 0.0035,
      });
    });

    it('answers the empty list of labels without data, and of series with []', async () => {
      expect((await ask('/loki/api/v1/labels')).text).to.equal('{"status":"success"}');
      expect((await ask('/loki/api/v1/label/a%20b/values')).text).to.equal('{"status":"success"}');
      expect((await ask('/loki/api/v1/series')).text).to.equal('{"status":"success","data":[]}');
      services.labels = ['a', 'b"'];
      expect((await ask('/loki/api/v1/label')).text).to.equal('{"status":"success","data":["a","b\\""]}');
    });

    it('understands match and match[], and refuses {} beside others', async () => {
      let groups: unknown;
      services.series = async (_tenant, selectors) => {
        groups = selectors;
        return [];
      };
      await ask(`/loki/api/v1/series?match[]=${encodeURIComponent('{a="1"}')}&match=${encodeURIComponent('{b="2"}')}`);
      expect(groups).to.deep.equal([[{ name: 'b', op: '=', value: '2' }], [{ name: 'a', op: '=', value: '1' }]]);
      await ask('/loki/api/v1/series?match[]={ }');
      expect(groups).to.deep.equal([]);
      const { status, text } = await ask(`/loki/api/v1/series?match[]={}&match[]=${encodeURIComponent('{a="1"}')}`);
      expect([status, text]).to.deep.equal([400, '0 matchers in group: {}']);
    });

    it('refuses a pipeline where a selector is wanted', async () => {
      const { status, text } = await ask(`/loki/api/v1/labels?query=${encodeURIComponent('{a="b"} |= "x"')}`);
      expect([status, text]).to.deep.equal([400, 'only label matchers are supported']);
    });

    it('gives each refusal its status and text', async () => {
      const refusals = [
        [refused({ code: 'DEADLINE_EXCEEDED', text: 'too slow' }), 504],
        [refused({ code: 'UNSUPPORTED_QUERY', text: 'not yet' }), 501],
        [refused({ code: 'STORAGE_UNAVAILABLE', text: 'gone' }), 503],
        [refused({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1500 }), 429],
      ] as const;
      for (const [error, expected] of refusals) {
        services.answer = () => Promise.reject(error);
        const { status, text, headers } = await ask('/loki/api/v1/query?query=vector(1)');
        expect([status, text]).to.deep.equal([expected, error.refusal.text]);
        if (error.refusal.code === 'OVERLOADED') expect(headers['retry-after']).to.equal('2');
      }
    });

    it('answers 500 and logs when something breaks', async () => {
      services.answer = () => Promise.reject(new Error('a bug'));
      const { status, text } = await ask('/loki/api/v1/query?query=vector(1)');
      expect([status, text]).to.deep.equal([500, 'a bug']);
      expect(logged).to.deep.include({ level: 'error', text: 'request failed' });
    });

    it('cancels the query when the client goes away', async () => {
      const cancelled = new Promise<void>((resolve) => {
        services.answer = (_request, signal) =>
          new Promise<QueryResult>((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              resolve();
              reject(refused({ code: 'CANCELLED', text: 'gone' }));
            });
            client.destroy();
          });
      });
      const [host, port] = server.address.split(':');
      const client = connect(Number(port), host ?? '');
      client.write('GET /loki/api/v1/query?query=vector(1) HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\n\r\n');
      await cancelled;
      expect((await ask('/ready')).status).to.equal(200);
    });
  });

  describe('answers', () => {
    const bigAnswer = (count: number): QueryResult => ({
      type: 'streams',
      streams: [
        {
          labels: ['app', 'x'],
          entries: Array.from({ length: count }, (_, index) => ({ timeNs: BigInt(index), line: `line ${index}` })),
        },
      ],
      statistics: NO_STATISTICS,
    });
    const path = `/loki/api/v1/query_range?query=${encodeURIComponent('{a="b"}')}`;

    it('are gzipped from 1 KB when the client takes it', async () => {
      services.answer = async () => bigAnswer(200);
      const response = await request(`http://${server.address}${path}`, {
        headers: { ...TENANT, 'accept-encoding': 'deflate, gzip;q=0.5' },
      });
      expect(response.headers['content-encoding']).to.equal('gzip');
      const text = gunzipSync(Buffer.from(await response.body.arrayBuffer())).toString();
      expect(JSON.parse(text).data.result[0].values).to.have.length(200);
      expect((await ask('/ready', { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding']).to.equal(
        undefined,
      );
      expect((await ask(path)).headers['content-encoding']).to.equal(undefined);
    });

    for (const encoding of ['identity', 'gzip']) {
      it(`are streamed when they are big (${encoding})`, async () => {
        services.answer = async () => bigAnswer(30_000);
        const response = await request(`http://${server.address}${path}`, {
          headers: { ...TENANT, 'accept-encoding': encoding },
        });
        expect(response.headers['content-length']).to.equal(undefined);
        const bytes = Buffer.from(await response.body.arrayBuffer());
        const { data } = JSON.parse((encoding === 'gzip' ? gunzipSync(bytes) : bytes).toString());
        expect(data.result[0].values.at(-1)).to.deep.equal(['29999', 'line 29999']);
      });
    }
  });

  describe('push', () => {
    it('answers 204 with no body and no type', async () => {
      const { status, text, headers } = await ask('/loki/api/v1/push', { method: 'POST', body: 'x' });
      expect([status, text, headers['content-type']]).to.deep.equal([204, '', undefined]);
      expect(services.pushes).to.deep.equal(['a']);
    });

    it('ends its error texts with a newline, and stores nothing of what cannot be read', async () => {
      const { status, text } = await ask('/loki/api/v1/push', { method: 'POST', body: '' });
      expect([status, text]).to.deep.equal([400, 'snappy: corrupt input\n']);
      expect(services.pushes).to.deep.equal([]);
    });

    it('reports what was refused beside what was stored', async () => {
      services.outcome = {
        acceptedLines: 1,
        acceptedBytes: 4,
        refusal: { code: 'RATE_LIMITED', text: 'slow down', retryAfterMs: 200 },
      };
      const { status, text, headers } = await ask('/loki/api/v1/push', { method: 'POST', body: 'x' });
      expect([status, text, headers['retry-after']]).to.deep.equal([429, 'slow down\n', '1']);
    });

    it('ends an answer with its head where a block of pushes has the status 204, 205 or 304', async () => {
      for (const [blocked, path] of [
        [204, '/loki/api/v1/push'],
        [304, '/loki/api/v1/push'],
        [204, '/otlp/v1/logs'],
        [304, '/otlp/v1/logs'],
        [205, '/loki/api/v1/push'],
        [205, '/otlp/v1/logs'],
      ] as const) {
        const refusal: Refusal = { code: 'INGESTION_BLOCKED', text: 'blocked '.repeat(200), status: blocked };
        services.outcome = { acceptedLines: 0, acceptedBytes: 0, refusal };
        const push = (connection: string): string =>
          `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nAccept-Encoding: gzip\r\n` +
          `Connection: ${connection}\r\nContent-Length: 1\r\n\r\nx`;
        const answer = await sendRaw(server.address, push('keep-alive') + push('close'));
        const heads = answer.split('\r\n\r\n');
        expect([heads.length, heads.at(-1)], answer).to.deep.equal([3, '']);
        for (const head of heads.slice(0, 2)) {
          expect(head).to.match(new RegExp(`^HTTP/1\\.1 ${blocked} `));
          expect(head).not.to.match(/transfer-encoding|content-encoding/i);
          // Of 205 alone clients are told a length.
          const lengths = blocked === 205 ? ['0'] : [];
          expect(Array.from(head.matchAll(/^content-length: (.*)$/gim), ([, length]) => length)).to.deep.equal(lengths);
        }
      }
    });

    it('answers exporters of OTLP with a status that has a message alone, and 503 for 500', async () => {
      const refusals: [Refusal, number, string | undefined][] = [
        [{ code: 'INVALID_ENTRIES', text: 'too old' }, 400, undefined],
        [{ code: 'EMPTY_PUSH', text: 'nothing' }, 422, undefined],
        [{ code: 'RATE_LIMITED', text: 'slow down', retryAfterMs: 1500 }, 429, '2'],
        [{ code: 'OVERLOADED', text: 'full', retryAfterMs: 200 }, 503, '1'],
        [{ code: 'INTERNAL', text: 'oh' }, 503, undefined],
      ];
      for (const [refusal, expected, retryAfter] of refusals) {
        services.outcome = { acceptedLines: 0, acceptedBytes: 0, refusal };
        const { status, text, headers } = await ask('/otlp/v1/logs', { method: 'POST', body: 'x' });
        expect([status, headers['retry-after']]).to.deep.equal([expected, retryAfter]);
        expect(headers['content-type']).to.equal('application/octet-stream');
        expect(Buffer.from(text)).to.deep.equal(Buffer.from([0x12, refusal.text.length, ...Buffer.from(refusal.text)]));
      }
      services.outcome = { acceptedLines: 1, acceptedBytes: 1, refusal: undefined };
      const { status, text, headers } = await ask('/otlp/v1/logs', { method: 'POST', body: 'x' });
      expect([status, text, headers['content-type']]).to.deep.equal([204, '', undefined]);
    });

    it('refuses a body over the limit before it is sent, and after when its length is not told', async () => {
      const declared = await sendRaw(
        server.address,
        'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: 99999999\r\n\r\n',
      );
      expect(declared).to.match(/^HTTP\/1\.1 413 /);
      expect(declared).to.include('request body too large: message size too large than max (99999999 vs 1048576)\n');
      const { status } = await ask('/loki/api/v1/push', {
        method: 'POST',
        body: Readable.from(
          (async function* () {
            for (let index = 0; index < 20; index += 1) yield Buffer.alloc(100_000);
          })(),
        ),
      }).catch(() => ({ status: 413 }));
      expect(status).to.equal(413);
      expect(services.pushes).to.deep.equal([]);
    });

    it('takes chunked bodies and bodies of a believable length', async () => {
      for (const body of [
        Buffer.alloc(900_000),
        Readable.from(
          (async function* () {
            for (let index = 0; index < 9; index += 1) yield Buffer.alloc(100_000);
          })(),
        ),
      ]) {
        expect((await ask('/loki/api/v1/push', { method: 'POST', body })).status).to.equal(204);
      }
    });
  });

  describe('malformed HTTP', () => {
    const messages: readonly (readonly [string, string])[] = [
      ['garbage', '\u0000\u0001\u0002\u0003\r\n\r\n'],
      ['no version', 'GET /ready\r\n\r\n'],
      [
        'two lengths',
        'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
      ],
      ['a negative length', 'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc'],
      [
        'a length and chunks',
        'POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
      ],
      [
        'a bad chunk',
        'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      ],
      ['a huge header', `GET /ready HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(70_000)}\r\n\r\n`],
      ['a bad percent escape', 'GET /loki/api/v1/label/%zz/values HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
      ['no path', 'GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
      ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
      ['a connect', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      [
        'a half-sent body',
        'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: 10\r\n\r\nabc',
      ],
      [
        'a bad websocket',
        'GET /loki/api/v1/tail HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      ],
      ['an upgrade elsewhere', 'GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ];
    for (const [name, message] of messages) {
      it(`costs only its connection: ${name}`, async () => {
        const answer = await sendRaw(server.address, Buffer.from(message, 'latin1'), 300);
        expect(answer).to.match(/^(HTTP\/1\.1 [234]\d\d |$)/);
        expect((await ask('/ready')).text).to.equal('ready\n');
      });
    }

    it('gives up on a request that does not arrive whole in time', async () => {
      await server.close();
      await start({ requestTimeoutMs: 200 });
      const answer = await sendRaw(
        server.address,
        'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: 10\r\n\r\nabc',
        1800,
      );
      expect(answer).to.match(/^HTTP\/1\.1 408 /);
    });
  });

  describe('administration', () => {
    it('says whether it is ready', async () => {
      services.reason = 'Ingester not ready: starting';
      const { status, text } = await ask('/ready', { headers: {} });
      expect([status, text]).to.deep.equal([503, 'Ingester not ready: starting\n']);
    });

    it('tells a 3.x version', async () => {
      const { text } = await ask('/loki/api/v1/status/buildinfo', { headers: {} });
      expect(JSON.parse(text).version).to.match(/^3\./);
    });

    it('shows the one ring where Loki shows those of its components', async () => {
      await server.close();
      const status: RingStatus = { changedAt: 7, nodes: [], missing: [{ nodeId: 'node-1', diskId: 'disk' }] };
      await start({ cluster: { ring: async () => status } as unknown as ClusterServices });
      for (const component of ['', '/distributor', '/compactor', '/ruler', '/indexgateway', '/scheduler']) {
        const page = await ask(`${component}/ring`);
        expect([page.status, page.headers['content-type']]).to.deep.equal([200, 'text/html; charset=utf-8']);
        expect(page.text).to.contain('<b>node-1 left');
        const json = await ask(`${component}/ring`, { headers: { accept: 'application/json' } });
        expect(JSON.parse(json.text)).to.deep.equal(status);
      }
    });

    it('flushes on GET and POST', async () => {
      expect((await ask('/flush')).status).to.equal(204);
      expect((await ask('/flush', { method: 'POST' })).status).to.equal(204);
      expect(services.flushes).to.equal(2);
    });

    it('formats queries', async () => {
      const { text } = await ask(`/loki/api/v1/format_query?query=${encodeURIComponent('{ a = "b"}|="x"')}`);
      expect(JSON.parse(text)).to.deep.equal({ status: 'success', data: '{a="b"} |= "x"' });
      const bad = await ask('/loki/api/v1/format_query?query=');
      expect([bad.status, JSON.parse(bad.text)]).to.deep.equal([
        400,
        { status: 'invalid-query', error: 'parse error : syntax error: unexpected $end' },
      ]);
    });

    it('shows and changes the log level', async () => {
      expect((await ask('/log_level')).text).to.equal('{"message":"Current log level is info"}');
      const form = { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } } as const;
      expect((await ask('/log_level', { ...form, body: 'log_level=debug' })).text).to.equal(
        '{"status":"success","message":"Log level set to debug"}',
      );
      const bad = await ask('/log_level', { ...form, body: 'log_level=x' });
      expect([bad.status, bad.text]).to.deep.equal([
        400,
        '{"status":"failed","message":"unrecognized log level \\"x\\""}',
      ]);
    });

    it('counts the blocks that queries inflated, and those they skipped', async () => {
      const statistics = { ...NO_STATISTICS, blocksInflated: 2, blocksSkipped: 7 };
      services.answer = async () => ({ type: 'vector', series: [], statistics });
      await ask('/loki/api/v1/query?query=count_over_time({a="b"}[1m])');
      const { text } = await ask('/metrics');
      expect(text).to.include('ringlog_query_blocks_total{outcome="inflated"} 2\n');
      expect(text).to.include('ringlog_query_blocks_total{outcome="skipped"} 7\n');
    });

    it('counts requests by route and status in its metrics', async () => {
      await ask('/loki/api/v1/labels');
      await ask('/loki/api/v1/label/app/values', { headers: {} });
      await ask('/nowhere');
      const { text, headers } = await ask('/metrics');
      expect(headers['content-type']).to.match(/^text\/plain; version=0\.0\.4/);
      const count = (route: string, code: number) =>
        `loki_request_duration_seconds_count{method="GET",route="${route}",status_code="${code}",ws="false"} 1`;
      expect(text).to.include(count('loki_api_v1_labels', 200));
      expect(text).to.include(count('loki_api_v1_label_name_values', 401));
      expect(text).to.include(count('other', 404));
    });
  });

  it('lets running requests end when it closes, and takes no new ones', async () => {
    let finish = (): void => undefined;
    const running = new Promise<void>((resolve) => {
      services.answer = () => {
        resolve();
        return new Promise((answer) => {
          finish = () => answer({ type: 'vector', series: [], statistics: NO_STATISTICS });
        });
      };
    });
    const asked = ask('/loki/api/v1/query?query=vector(1)');
    await running;
    const closed = server.close();
    const late = connect(Number(server.address.split(':')[1]), '127.0.0.1');
    late.on('error', () => undefined);
    await new Promise((resolve) => late.on('close', resolve));
    finish();
    expect((await asked).status).to.equal(200);
    await closed;
    await start();
  });

  it('does not wait for clients that keep their connection once their last request is answered', async () => {
    await server.close();
    await start({ drainMs: 60_000 });
    let finish = (): void => undefined;
    const running = new Promise<void>((resolve) => {
      services.answer = () => {
        resolve();
        return new Promise((answer) => {
          finish = () => answer({ type: 'vector', series: [], statistics: NO_STATISTICS });
        });
      };
    });
    const socket = connect(Number(server.address.split(':')[1]), '127.0.0.1');
    socket.write('GET /loki/api/v1/query?query=vector(1) HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: one\r\n\r\n');
    socket.resume();
    const ended = new Promise((resolve) => socket.on('close', resolve));
    await running;
    const closed = server.close();
    finish();
    await Promise.all([closed, ended]);
    await start();
  });

  it('does not wait for a request that never becomes whole when it closes', async () => {
    await server.close();
    await start({ drainMs: 60_000 });
    const part =
      'POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: a\r\nContent-Length: 1000\r\n\r\n{"streams"';
    const hanging = sendRaw(server.address, part, 15_000);
    while ((await ask('/metrics')).text.match(/inflight.*push.* 1\n/) === null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await server.close();
    expect(await hanging).to.equal('');
    await start();
  });

  it('checks limits of the tenant before the query is run', async () => {
    await server.close();
    await start({
      limitsOf: () => ({ ...LIMITS, maxEntriesLimitPerQuery: 10, maxQueryLengthMs: 7_200_000 }),
    });
    const log = encodeURIComponent('{a="b"}');
    const tooMany = await ask(`/loki/api/v1/query_range?query=${log}&limit=11`);
    expect([tooMany.status, tooMany.text]).to.deep.equal([
      400,
      'max entries limit per query exceeded, limit > max_entries_limit_per_query (11 > 10)',
    ]);
    const tooLong = await ask(`/loki/api/v1/query_range?query=${log}&limit=5&start=0&end=7201`);
    expect(tooLong.text).to.equal('the query time range exceeds the limit (query length: 2h0m1s, limit: 2h)');
    const labels = await ask('/loki/api/v1/labels?start=0&end=90001');
    expect(labels.text).to.equal('the query time range exceeds the limit (query length: 25h0m1s, limit: 2h)');
    expect(services.queries).to.deep.equal([]);
  });
});
