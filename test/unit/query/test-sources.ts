/** Streams for the engine: in memory, in a store, or both; with a log of what was asked in which order. */
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { QueryRequest } from '../../../src/query/query-messages.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { compileMatchers } from '../../../src/query/scan/hidden-entries.ts';
import type { ChunkRef } from '../../../src/storage/index-reader.ts';
import { BASE_NS } from './test-blocks.ts';

export interface TestStream {
  readonly labels: Readonly<Record<string, string>>;
  readonly memory?: readonly SegmentSnapshot[];
  readonly stored?: readonly SegmentSnapshot[];
}

export interface TestSources extends QuerySources {
  readonly asked: string[];
  readonly objects: Map<string, Uint8Array>;
}

export const sourcesOf = (streams: readonly TestStream[]): TestSources => {
  const asked: string[] = [];
  const objects = new Map<string, Uint8Array>();
  const refs: ChunkRef[] = [];
  for (const { labels, stored = [] } of streams) {
    const { pairs, fingerprint } = labelSetOf(Object.entries(labels).flat());
    for (const { blocks, symbols } of stored) {
      const form = { version: 4, encoding: 'snappy', blocks, symbols } as const;
      const { bytes, fromMs, throughMs, checksum } = encodeChunk({
        tenant: 'test',
        fingerprint,
        labels: pairs,
        ...form,
      });
      const key = `test/${fingerprint.toString(16)}/${objects.size}`;
      objects.set(key, bytes);
      refs.push({ key, tenant: 'test', fingerprint, fromMs, throughMs, checksum });
    }
  }
  const memory: QuerySources['memory'] = {
    select: (_tenant, matchers) => {
      asked.push('memory');
      const matches = compileMatchers(matchers);
      const found = streams.map(({ labels, memory: segments = [] }) => {
        return { labels: labelSetOf(Object.entries(labels).flat()), segments };
      });
      return Promise.resolve(found.filter((stream) => stream.segments.length > 0 && matches(stream.labels)));
    },
    subscribe: () => () => undefined,
  };
  const index: QuerySources['stored']['index'] = {
    chunkRefs: () => {
      asked.push('index');
      return Promise.resolve(refs);
    },
    labelNames: () => Promise.resolve([]),
    labelValues: () => Promise.resolve([]),
  };
  const fetch = (key: string): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    asked.push(`fetch ${key}`);
    const bytes = objects.get(key);
    return Promise.resolve(bytes && new Uint8Array(bytes));
  };
  return { asked, objects, memory, stored: { index, fetch } };
};

export const requestOf = (query: string, more: Partial<QueryRequest> = {}): QueryRequest => ({
  tenant: 'test',
  query,
  startNs: BASE_NS,
  endNs: BASE_NS + 1_000_000n,
  stepNs: 0n,
  isInstant: false,
  limit: 100,
  direction: 'forward',
  intervalNs: 0n,
  categorizeLabels: false,
  limits: { timeoutMs: 10_000, bytesReadMax: 0, seriesMax: 0 },
  ...more,
});
