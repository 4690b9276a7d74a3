/** What agents send, request by request, where their ways differ from those of the libraries that are run here. */
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import snappy from 'snappy';
import { compressZstd, prepareZstd } from '../../../src/chunk/zstd-codec.ts';
import { WireWriter, writeEntry } from '../../../src/protocol/logproto.ts';
import { encodeExport } from '../../support/otlp.ts';
import { nowNs, TestServer } from '../http/test-server.ts';
import { AS_SENT } from './client-rig.ts';

const SECOND = 1_000_000_000n;
const PROTOBUF = { 'content-type': 'application/x-protobuf' };

interface SentEntry {
  readonly timeNs: bigint;
  readonly line: string;
  readonly metadata?: readonly string[];
}

/** A push of protobuf, with the hash that some agents fill in. */
const pushOf = (streams: Readonly<Record<string, readonly SentEntry[]>>, hash = 0n): Buffer => {
  const writer = new WireWriter();
  for (const [labels, entries] of Object.entries(streams)) {
    writer.message(1, () => {
      writer.bytes(1, labels);
      for (const entry of entries) writer.message(2, () => writeEntry(writer, entry));
      writer.integer(3, hash);
    });
  }
  return snappy.compressSync(writer.finish()) as Buffer;
};

describe('agents', function () {
  this.timeout(30_000);
  let server: TestServer;

  before(async () => {
    await prepareZstd();
    server = await TestServer.start(AS_SENT);
  });
  after(() => server.stop());

  it('promtail and Alloy: a batch with one line that is too old keeps the others, and its error is one short line', async () => {
    const now = nowNs();
    const streams = {
      '{app="promtail", filename="/var/log/a.log"}': [
        { timeNs: now, line: 'a1' },
        { timeNs: 1n, line: 'old' },
      ],
      '{app="promtail", filename="/var/log/b.log"}': [{ timeNs: now + 1n, line: 'b1', metadata: ['trace', 'x'] }],
    };
    const { status, text } = await server.push(pushOf(streams), { ...PROTOBUF, 'user-agent': 'promtail/3.0.0' });
    expect(status).to.equal(400);
    expect(text.split('\n')).to.have.length(2);
    expect(text.length).to.be.below(1024);
    expect(await server.linesOf('{app="promtail"}')).to.deep.equal(['a1', 'b1']);
  });

  it('promtail sends a batch again whose answer was lost: it is there once', async () => {
    const body = pushOf({ '{app="promtail-again"}': [{ timeNs: nowNs(), line: 'once' }] });
    for (let attempt = 0; attempt < 3; attempt += 1) expect((await server.push(body, PROTOBUF)).status).to.equal(204);
    expect(await server.linesOf('{app="promtail-again"}')).to.deep.equal(['once']);
  });

  it('loki-canary: a hash, lines that end in a newline; its spot checks and its one series', async () => {
    const now = nowNs();
    const lines = [0n, 1n, 2n].map((index) => ({ timeNs: now + index, line: `${now + index} ppppp\n` }));
    const labels = '{name="loki-canary", stream="stdout"}';
    for (const entry of lines) {
      const body = pushOf({ [labels]: [entry] }, 1234n);
      expect((await server.push(body, { ...PROTOBUF, 'user-agent': 'canary-push/3.0.0' })).status).to.equal(204);
    }
    const selector = '{stream="stdout",name="loki-canary"}';
    const spot = await server.query({
      query: selector,
      start: String(now - SECOND),
      end: String(now + 10n * SECOND),
      limit: '1000',
    });
    const found: [string, string][] = spot.result.flatMap(({ values }: { values: [string, string][] }) => values);
    expect(found.map(([, line]) => line).sort()).to.deep.equal(lines.map(({ line }) => line));
    const query = `count_over_time(${selector}[24h])`;
    const counted = await server.query({ query, time: String(nowNs()), limit: '1000' }, {}, 'query');
    expect(counted.resultType).to.equal('vector');
    expect(counted.result).to.have.length(1);
    expect(counted.result[0].value[1]).to.equal('3');
  });

  it('Fluent Bit: JSON with a stream for each record, gzipped or not, with metadata; equal labels are one stream', async () => {
    const now = nowNs();
    const streamOf = (index: number) => ({
      stream: { job: 'fluent-bit', node: 'n1' },
      values: [[String(now + BigInt(index)), `{"log":"line ${index}"}`, { pod: `p${index % 2}` }]],
    });
    const headers = { 'content-type': 'application/json', 'user-agent': 'Fluent-Bit' };
    const first = JSON.stringify({ streams: Array.from({ length: 50 }, (_, index) => streamOf(index)) });
    const second = gzipSync(
      JSON.stringify({ streams: Array.from({ length: 50 }, (_, index) => streamOf(index + 50)) }),
    );
    expect((await server.push(first, headers)).status).to.equal(204);
    expect((await server.push(second, { ...headers, 'content-encoding': 'gzip' })).status).to.equal(204);
    const lines = await server.linesOf('{job="fluent-bit"}');
    expect(lines).to.deep.equal(Array.from({ length: 100 }, (_, index) => `{"log":"line ${index}"}`));
    const range = { start: String(now - SECOND), end: String(now + SECOND) };
    const series = await server.query({ 'match[]': '{job="fluent-bit"}', ...range }, {}, 'series');
    expect(series).to.deep.equal([{ job: 'fluent-bit', node: 'n1' }]);
  });

  it('Vector: asks whether the node is ready, then pushes labels with dots made regular, out of order', async () => {
    expect((await server.ask('/ready')).status).to.equal(200);
    const now = nowNs();
    const entries = [
      { timeNs: now, line: 'late' },
      { timeNs: now - 60n * SECOND, line: 'early' },
    ];
    const body = pushOf({ '{agent="vector",kubernetes_pod_labels_app="web"}': entries });
    const { status } = await server.push(body, { ...PROTOBUF, 'content-encoding': 'snappy' });
    expect(status).to.equal(204);
    expect(await server.linesOf('{agent="vector"}')).to.deep.equal(['early', 'late']);
  });

  it('the OpenTelemetry Collector: gzip or zstd, an empty scope, batches of many resources', async () => {
    const now = nowNs();
    const resources = Array.from({ length: 40 }, (_, index) => ({
      attributes: { 'service.name': 'collector', 'service.instance.id': `i${index % 4}`, 'host.name': `h${index}` },
      scopes: [{ records: [{ timeNs: now + BigInt(index), body: `line ${index}` }] }],
    }));
    const body = encodeExport(resources);
    const packed = { gzip: gzipSync(body), zstd: compressZstd(body, 3) };
    for (const [encoding, bytes] of Object.entries(packed)) {
      const headers = { ...PROTOBUF, 'content-encoding': encoding, 'user-agent': 'OpenTelemetry Collector/0.100.0' };
      expect((await server.push(bytes, headers, '/otlp/v1/logs')).status).to.equal(204);
    }
    // The same export twice is there once: a collector sends again what it had no answer to.
    const lines = await server.linesOf('{service_name="collector"}');
    expect(lines).to.deep.equal(Array.from({ length: 40 }, (_, index) => `line ${index}`));
    expect(await server.linesOf('{service_name="collector"} | host_name="h7"')).to.deep.equal(['line 7']);
  });

  it('the legacy exporters of the Collector and Docker’s driver: labels that are escaped, lines of bytes', async () => {
    const line = 'tab\t "quoted" \\ back';
    const body = pushOf({ '{app="docker",path="C:\\\\logs\\\\\\"a\\".log"}': [{ timeNs: nowNs(), line }] });
    expect((await server.push(body, PROTOBUF)).status).to.equal(204);
    expect(await server.linesOf('{path="C:\\\\logs\\\\\\"a\\".log"}')).to.deep.equal([line]);
  });
});
