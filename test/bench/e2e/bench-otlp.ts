/** OTLP beside Loki's own pushes: the same lines, as they are and with the metadata that an SDK sends. */
import { gzipSync } from 'node:zlib';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad, type Load, type LoadFormat, type LoadStream, lokiFormat } from '../../support/load.ts';
import { encodeExport, exportJson, type PlainResource } from '../../support/otlp.ts';
import { ingest } from './ingest.ts';

const SPAN_MS = 50 * 60_000;
const WARM_UP_MB = 20;
/** Bodies are built record by record, in text: more than this takes minutes before anything is measured. */
const MEGABYTES_MAX = 100;

const traceOf = (index: number): string => (0x4bf92f35 + index).toString(16).padStart(32, '0');

const SHARED = { 'host.name': 'node-17', 'process.pid': 4711n, 'telemetry.sdk.language': 'nodejs' };

/** As metadata of Loki's: what the exports of below become. */
const lokiMetadata = (index: number): readonly string[] => [
  ...['host_name', 'node-17', 'http_method', 'GET', 'http_route', '/api/v1/items', 'http_status_code', '200'],
  ...['process_pid', '4711', 'scope_name', 'http', 'severity_number', '9', 'severity_text', 'INFO'],
  ...['telemetry_sdk_language', 'nodejs', 'trace_id', traceOf(index)],
];

const resourceOf = ({ labels, entries }: LoadStream, isBare: boolean): PlainResource => ({
  attributes: {
    'service.name': labels['app'] ?? 'none',
    'service.instance.id': JSON.stringify(labels),
    ...(isBare ? {} : SHARED),
  },
  scopes: [
    {
      ...(isBare ? {} : { name: 'http' }),
      records: entries.map(({ timeNs, line: body }, index) => {
        if (isBare) return { timeNs, body };
        const attributes = { 'http.method': 'GET', 'http.route': '/api/v1/items', 'http.status_code': 200n };
        return { timeNs, body, severityNumber: 9, severityText: 'INFO', attributes, traceId: traceOf(index) };
      }),
    },
  ],
});

const otlpFormat = (isJson: boolean, isBare: boolean): LoadFormat => ({
  path: '/otlp/v1/logs',
  headers: { 'content-type': isJson ? 'application/json' : 'application/x-protobuf', 'content-encoding': 'gzip' },
  encode: (streams) => {
    const resources = streams.map((stream) => resourceOf(stream, isBare));
    return gzipSync(isJson ? exportJson(resources) : encodeExport(resources), { level: 1 });
  },
});

const FORMATS: Readonly<Record<string, LoadFormat>> = {
  'Loki, snappy protobuf, bare lines': lokiFormat(),
  'OTLP, gzip protobuf, bare lines': otlpFormat(false, true),
  'Loki, snappy protobuf, 10 pairs': lokiFormat(lokiMetadata),
  'OTLP, gzip protobuf, the same 10 pairs': otlpFormat(false, false),
  'OTLP, gzip JSON, the same 10 pairs': otlpFormat(true, false),
};

const loadOf = (format: LoadFormat, megabytes: number): Load =>
  buildLoad({
    streams: corpusStreams(100),
    connections: 8,
    batchBytes: 262_144,
    totalBytes: megabytes * 1e6,
    streamsPerPush: 12,
    startMs: Date.now() - SPAN_MS,
    spanMs: SPAN_MS,
    format,
  });

export const benchOtlp = async (megabytes: number): Promise<void> => {
  const size = Math.min(megabytes, MEGABYTES_MAX);
  console.log(`\n### OTLP beside Loki's pushes: 8 connections, 256 KB of lines a push, 100 streams, ${size} MB\n`);
  console.log(
    '| pushes | CPU-s/GB of lines | with flush | body bytes a line byte | MB/s | push p50 / p99 ms | retries |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const [name, format] of Object.entries(FORMATS)) {
    const load = loadOf(format, size);
    const bodyBytes = load.bodies.flat().reduce((sum, { length }) => sum + length, 0);
    const { cpuPerGb, flushCpuPerGb, mbPerSecond, sent } = await ingest(load, loadOf(format, WARM_UP_MB));
    console.log(
      `| ${name} | ${cpuPerGb.toFixed(1)} | ${flushCpuPerGb.toFixed(1)} | ${(bodyBytes / load.lineBytes).toFixed(2)} | ` +
        `${mbPerSecond.toFixed(0)} | ${sent.p50Ms.toFixed(1)} / ${sent.p99Ms.toFixed(1)} | ${sent.retries} |`,
    );
  }
};
