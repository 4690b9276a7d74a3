/** Streams for the engine: in memory, in a store, or both; with a log of what was asked in which order. */
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { QueryRequest } from '../../../src/query/query-messages.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { compileMatchers } from '../../../src/query/scan/hidden-entries.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { BASE_NS } from './test-blocks.ts';

export interface TestStream {
  readonly labels: Readonly<Record<string, string>>;
  readonly memory?: readonly SegmentSnapshot[];
  readonly stored?: readonly SegmentSnapshot[];
}

export interface TestSources extends QuerySources {
  readonly asked: string[];
  readonly objects: Map<string, Uint8Array>;
  /** Of objects that were read in parts. */
  readonly ranges: MemoryChunkStore['ranges'];
}

export const sourcesOf = (streams: readonly TestStream[]): TestSources => {
  const asked: string[] = [];
  const objects = new Map<string, Uint8Array>();
  const keys: string[] = [];
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
      const key = formatChunkKey('v13', { tenant: 'test', fingerprint, fromMs, throughMs, checksum });
      objects.set(key, bytes);
      keys.push(key);
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
      return chunkRefsOf('test', keys);
    },
    labelNames: () => Promise.resolve([]),
    labelValues: () => Promise.resolve([]),
  };
  const chunks = new MemoryChunkStore(objects);
  chunks.before = (_operation, key) => void asked.push(`fetch ${key}`);
  return { asked, objects, ranges: chunks.ranges, memory, stored: { index, chunks } };
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
