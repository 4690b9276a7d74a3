/** Reading pushes: what the edge does with each body before a stream actor sees it. */
import { bench, do_not_optimize, group, summary } from 'mitata';
import snappy from 'snappy';
import { labelSetOf, parseLabelText } from '../../../src/protocol/label-text.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { encodePushRequest, type PushRequest } from '../../../src/protocol/logproto.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';
import { PushJsonDecoder } from '../../../src/protocol/push-json.ts';
import { validateStream } from '../../../src/protocol/push-validation.ts';

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
  group('push checks', () => {
    bench('validate 1 MiB of 100 B lines', () => {
      if (stream) do_not_optimize(validateStream(stream, labels, DEFAULT_LIMITS, nowMs));
    });
    bench('parse and hash a label set', () => do_not_optimize(parseLabelText(labelText)));
  });
};
