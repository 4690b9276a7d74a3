/** Reading pushes: what the edge does with each body before a stream actor sees it. */
import { bench, do_not_optimize, group, summary } from 'mitata';
import snappy from 'snappy';
import { labelSetOf, parseLabelText } from '../../../src/protocol/label-text.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { encodePushRequest, type PushRequest } from '../../../src/protocol/logproto.ts';
import { decodeOtlpRequest } from '../../../src/protocol/otlp/otlp-decoder.ts';
import { OtlpJsonDecoder } from '../../../src/protocol/otlp/otlp-json.ts';
import { otlpRulesOf } from '../../../src/protocol/otlp/otlp-rules.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';
import { PushJsonDecoder } from '../../../src/protocol/push-json.ts';
import { validateStream } from '../../../src/protocol/push-validation.ts';
import { encodeExport, exportJson, type PlainResource } from '../../support/otlp.ts';

const MIB = 1024 * 1024;
const BASE_NS = 1_710_028_801_000_000_000n;
const LABELS = '{app="web", env="prod", pod="web-7f9c"}';

/** A mebibyte of line bytes in one stream; times as an agent has them, to the nanosecond. */
const pushOf = (lineBytes: number, metadata: readonly string[] = []): PushRequest => {
  const line = 'GET /api/v1/items?page=3 200 12ms '.repeat(Math.ceil(lineBytes / 34)).slice(0, lineBytes);
  const entries = Array.from({ length: Math.floor(MIB / lineBytes) }, (_, index) => ({
    timeNs: BASE_NS + BigInt(index) * 97_654_321n,
    line,
    metadata,
  }));
  return { streams: [{ labels: LABELS, entries }] };
};

const jsonOf = ({ streams }: PushRequest): Buffer => {
  const plain = streams.map(({ entries }) => ({
    stream: { app: 'web', env: 'prod', pod: 'web-7f9c' },
    values: entries.map(({ timeNs, line }) => [String(timeNs), line]),
  }));
  return Buffer.from(JSON.stringify({ streams: plain }));
};

/** The same lines as an SDK exports them: severity, trace, four attributes a record, six of the resource. */
const exportOf = (lineBytes: number): readonly PlainResource[] => {
  const [stream] = pushOf(lineBytes).streams;
  const records = (stream?.entries ?? []).map(({ timeNs, line }, index) => ({
    timeNs,
    observedNs: timeNs + 1_000_000n,
    severityNumber: 9,
    severityText: 'INFO',
    body: String(line),
    attributes: {
      'http.method': 'GET',
      'http.route': '/api/v1/items',
      'http.status_code': 200n,
      'user.id': `u-${index % 500}`,
    },
    traceId: '4bf92f3577b34da64bf92f3577b34da6',
    spanId: '00f067aa0ba902b7',
  }));
  const attributes = { 'service.name': 'web', 'deployment.environment': 'prod', 'k8s.pod.name': 'web-7f9c' };
  const others = { 'host.name': 'node-17', 'process.pid': 4711n, 'telemetry.sdk.language': 'nodejs' };
  return [{ attributes: { ...attributes, ...others }, scopes: [{ name: 'http', version: '1.2', records }] }];
};

const OTLP_OPTIONS = { rules: otlpRulesOf({}), nowMs: 0, bytesMax: 2 ** 30 };

const decodeOtlpJson = (body: Buffer): void => {
  const decoder = new OtlpJsonDecoder(Buffer.from(body), OTLP_OPTIONS);
  decoder.step(Number.POSITIVE_INFINITY);
  do_not_optimize(decoder.streams());
};

const decodeJson = (body: Buffer): void => {
  // The decoder writes into the body, so each turn gets its own; the copy is about a tenth of the time.
  const decoder = new PushJsonDecoder(Buffer.from(body), false);
  decoder.step(Number.POSITIVE_INFINITY);
  do_not_optimize(decoder.streams());
};

/** 1 MiB of line bytes a turn: 1 ms is 1,000 MB/s. Budget: protobuf with lines of 100 bytes under 0.7 ms (1,500 MB/s). */
export const registerBenches = (): void => {
  const lines100 = encodePushRequest(pushOf(100));
  const lines500 = encodePushRequest(pushOf(500));
  const withMetadata = encodePushRequest(pushOf(100, ['level', 'info', 'trace_id', '4bf92f3577b34da6']));
  const block = snappy.compressSync(lines100) as Buffer;
  const json = jsonOf(pushOf(100));
  const otlp = encodeExport(exportOf(100));
  const otlpJson = exportJson(exportOf(100));
  const labelText = Buffer.from(LABELS);
  const labels = labelSetOf(['app', 'web', 'env', 'prod', 'pod', 'web-7f9c']);
  const [stream] = decodePushRequest(lines100);
  const nowMs = Number(BASE_NS / 1_000_000n) + 3_600_000;

  group('push decode, 1 MiB of lines', () => {
    summary(() => {
      bench('bare snappy decompression', () => do_not_optimize(snappy.uncompressSync(block, { copyOutputData: true })));
      bench('protobuf, 100 B lines', () => do_not_optimize(decodePushRequest(lines100)));
      bench('protobuf, 500 B lines', () => do_not_optimize(decodePushRequest(lines500)));
      bench('protobuf, 100 B lines with metadata', () => do_not_optimize(decodePushRequest(withMetadata)));
      bench('JSON, 100 B lines', () => decodeJson(json));
      bench('bare JSON.parse', () => do_not_optimize(JSON.parse(json.toString())));
    });
  });
  group('OTLP decode, 1 MiB of lines of 100 B with 17 pairs of metadata', () => {
    summary(() => {
      bench('protobuf', () => do_not_optimize(decodeOtlpRequest(otlp, OTLP_OPTIONS)));
      bench('JSON', () => decodeOtlpJson(otlpJson));
      bench('protobuf, decode and validate', () => {
        const [records] = decodeOtlpRequest(otlp, OTLP_OPTIONS);
        if (records) do_not_optimize(validateStream(records, labels, DEFAULT_LIMITS, nowMs));
      });
    });
  });
  group('push checks', () => {
    bench('validate 1 MiB of 100 B lines', () => {
      if (stream) do_not_optimize(validateStream(stream, labels, DEFAULT_LIMITS, nowMs));
    });
    bench('parse and hash a label set', () => do_not_optimize(parseLabelText(labelText)));
  });
};
