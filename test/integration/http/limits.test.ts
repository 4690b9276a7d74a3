/** Limits that a served node holds, and takes from a file while it runs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { encodeHttpGrpcStatus, encodePushRequest, WireWriter } from '../../../src/protocol/logproto.ts';
import { eventually } from '../../support/eventually.ts';
import { callUnary } from '../../support/grpc-calls.ts';
import { type Answer, nowNs, TestServer } from './test-server.ts';

const UNTIL = '2100-01-01T00:00:00Z';

describe('the limits of a tenant', function () {
  this.timeout(60_000);
  let folder: string;
  let file: string;
  let server: TestServer;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ringlog-limits-'));
    file = path.join(folder, 'overrides.yaml');
    await override({});
    server = await TestServer.start({
      auth_enabled: true,
      runtime_config: { file, period: '1s' },
      overrides: { fixed: { enforced_labels: ['app', 'env'] } },
    });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const override = (overrides: object): Promise<void> => writeFile(file, stringify({ overrides }));
  const push = (tenant: string, labels = '{app="a"}', line = 'x'): Promise<Answer> =>
    server.pushProto(labels, [{ timeNs: nowNs(), line }], { 'x-scope-orgid': tenant });
  const discarded = async (reason: string, tenant: string): Promise<number> => {
    const { text } = await server.ask('/metrics');
    const line = new RegExp(`^loki_discarded_samples_total\\{reason="${reason}",tenant="${tenant}"\\} (\\d+)`, 'm');
    return Number(line.exec(text)?.[1] ?? 0);
  };

  it('name labels that every stream must have: what lacks one is refused, the others are stored', async () => {
    const streams = [
      { stream: { app: 'a' }, values: [[`${nowNs()}`, 'lacks env']] },
      { stream: { app: 'a', env: 'e' }, values: [[`${nowNs()}`, 'has both']] },
    ];
    const headers = { 'content-type': 'application/json', 'x-scope-orgid': 'fixed' };
    const { status, text } = await server.push(JSON.stringify({ streams }), headers);
    expect([status, text]).to.deep.equal([
      400,
      `missing required labels 'env' for user 'fixed' for stream '{app="a"}' (policy: '')\n`,
    ]);
    expect(await server.linesOf('{app="a"}', { 'x-scope-orgid': 'fixed' })).to.deep.equal(['has both']);
    expect(await discarded('missing_enforced_labels', 'fixed')).to.equal(1);
    expect((await push('fixed', '{a="b"}')).text).to.contain("missing required labels 'app,env'");
  });

  it('keep everything out until a time, with a status of their own, from the next look at their file on', async () => {
    expect((await push('blocked')).status).to.equal(204);
    await override({ blocked: { block_ingestion_until: UNTIL, enforced_labels: ['app'] } });
    await eventually('the block to hold', async () => (await push('blocked')).status === 260);
    const before = await discarded('blocked_ingestion', 'blocked');
    const { status, text } = await push('blocked');
    expect([status, text]).to.deep.equal([
      260,
      `ingestion blocked for user 'blocked' until '${UNTIL}' with status code '260'\n`,
    ]);
    expect(await discarded('blocked_ingestion', 'blocked')).to.equal(before + 1);
    // What is wrong with a push is told before that it is blocked.
    expect((await push('blocked', '{a="b"}')).status).to.equal(400);
    expect((await push('somebody')).status).to.equal(204);
  });

  it('say so over gRPC and to exporters of OTLP too', async () => {
    const text = `ingestion blocked for user 'blocked' until '${UNTIL}' with status code '260'`;
    const bytes = encodePushRequest({ streams: [{ labels: '{app="a"}', entries: [{ timeNs: nowNs(), line: 'x' }] }] });
    const error = await callUnary(server.grpc, '/logproto.Pusher/Push', Buffer.from(bytes), 'blocked').catch(
      (failure) => failure,
    );
    expect(error.details).to.equal(text);
    expect(error.metadata.get('grpc-status-details-bin')[0]).to.deep.equal(encodeHttpGrpcStatus(260, text));
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'a' } }] };
    const record = { timeUnixNano: `${nowNs()}`, body: { stringValue: 'x' } };
    const body = JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords: [record] }] }] });
    const headers = { 'content-type': 'application/json', 'x-scope-orgid': 'silent' };
    await override({ silent: { block_ingestion_until: UNTIL, block_ingestion_status_code: 403 } });
    await eventually(
      'OTLP to be blocked',
      async () => (await server.push(body, headers, '/otlp/v1/logs')).status === 403,
    );
  });

  it('may do so without a word to the client: what is dropped is counted, and stays away', async () => {
    await override({ silent: { block_ingestion_until: UNTIL, block_ingestion_status_code: 200 } });
    await eventually('the block to be silent', async () => (await push('silent', '{app="a"}', 'lost')).status === 204);
    expect(await discarded('blocked_ingestion', 'silent')).to.be.above(0);
    await override({ silent: { block_ingestion_until: '2001-01-01' } });
    await eventually('the block to be over', async () => {
      await push('silent', '{app="a"}', 'kept');
      return (await server.linesOf('{app="a"}', { 'x-scope-orgid': 'silent' })).includes('kept');
    });
    expect(await server.linesOf('{app="a"}', { 'x-scope-orgid': 'silent' })).not.to.include('lost');
  });

  it('say where the level of a line is looked for, and how deep', async () => {
    const headers = { 'x-scope-orgid': 'levels', 'x-loki-response-encoding-flags': 'categorize-labels' };
    const levelsOf = async (line: string): Promise<(string | undefined)[]> => {
      expect((await push('levels', '{app="l"}', line)).status).to.equal(204);
      const query = `{app="l"} |= \`${line}\``;
      const { result } = await server.query({ query }, headers);
      const values = result.flatMap((stream: { values: unknown[][] }) => stream.values);
      return values.map(
        ([, , { structuredMetadata }]: [string, string, { structuredMetadata?: Record<string, string> }]) => {
          return structuredMetadata?.['detected_level'];
        },
      );
    };
    const set = (limits: object): Promise<void> => override({ levels: { discover_log_levels: true, ...limits } });
    await set({ log_level_fields: ['prio'] });
    await eventually('levels to be found', async () => (await levelsOf('prio=wrn x=1')).includes('warn'));
    expect(await levelsOf('level=wrn x=2')).to.deep.equal(['unknown']);
    const deep = (number: number): string => JSON.stringify({ n: number, a: { b: { prio: 'wrn' } } });
    expect(await levelsOf(deep(1))).to.deep.equal(['unknown']);
    await set({ log_level_fields: ['prio'], log_level_from_json_max_depth: 3 });
    let tried = 1;
    await eventually('levels to be found deeper', async () => {
      tried += 1;
      return (await levelsOf(deep(tried))).includes('warn');
    });
  });

  it('bound the chunks that a query may match, and the series that its labels may name', async () => {
    const headers = { 'x-scope-orgid': 'reader' };
    // A step of a second: the last one would otherwise be up to 14 s ago, and leave out what was just pushed.
    const ask = (query: string): Promise<Answer> =>
      server.ask(`/loki/api/v1/query_range?${new URLSearchParams({ query, step: '1' })}`, { headers });
    for (let stream = 0; stream < 40; stream += 1) await push('reader', `{app="a", pod="p${stream}"}`);
    await push('reader', '{app="b", pod="p0"}');
    expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
    await override({ reader: { max_chunks_per_query: 29 } });
    await eventually('the bound to hold', async () => (await ask('{app="a"}')).status === 400);
    // 40 match: reading ends with the first that is too many.
    const text =
      'the query hit the max number of chunks limit (limit: 29 chunks, matched: 30 chunks); ' +
      'consider adding more specific stream selectors or reducing the query time range';
    expect((await ask('{app="a"}')).text).to.equal(text);
    expect((await ask('sum(count_over_time({app="a"}[1m]))')).text).to.equal(text);
    const asked = new WireWriter();
    asked.bytes(1, '{app="a"}');
    const error = await callUnary(
      server.grpc,
      '/logproto.Querier/GetChunkIDs',
      Buffer.from(asked.finish()),
      'reader',
    ).catch((failure) => failure);
    expect(error.details).to.equal(text);
    expect((await ask('{app="b"}')).status).to.equal(200);
    await override({ reader: { cardinality_limit: 1 } });
    const tooMany = /^cardinality limit exceeded for logs\{app\}; \d+ entries, more than limit of 1$/;
    await eventually('the other bound to hold', async () => tooMany.test((await ask('{app="a"}')).text));
    expect((await ask('{app="a"}')).status).to.equal(400);
    // One matcher that few series pass is enough.
    expect((await ask('{app="a", pod="p7"}')).status).to.equal(200);
    expect((await server.ask('/loki/api/v1/label/pod/values', { headers })).status).to.equal(400);
  });
});
