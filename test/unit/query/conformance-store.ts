/** The conformance kit's data behind the engine's own doors: as memory segments, or flushed into stores. */
import fs from 'node:fs';
import path from 'node:path';
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { LabelSet } from '../../../src/protocol/label-set.ts';
import { compareBytes, labelSetOf } from '../../../src/protocol/label-text.ts';
import type { MemorySource, MemoryStream, QuerySources } from '../../../src/query/query-source.ts';
import { compileMatchers } from '../../../src/query/scan/hidden-entries.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { commitChunk, WrittenSeries } from '../../../src/storage/index-writer.ts';
import { createSchemaConfig } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { columnsOf, type TestEntry } from '../../support/entries.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const BASE_NS = 1710028800000000000n;
const DATA = path.resolve(import.meta.dirname, '../../conformance/data');
/** Small, so that streams have several blocks and several chunks. */
const LIMITS = { blockSize: 4096, targetSize: 6144 };
const FORM = { encoding: 'gzip', withMetadataSections: true } as const;

export interface DataStream {
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly segments: Segment[];
}

interface Row {
  readonly tenant?: string;
  readonly stream: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string, Readonly<Record<string, string>>?])[];
}

export const tenantOf = (suffix: string | undefined): string => (suffix ? `conformance-${suffix}` : 'conformance');

/** Structured metadata as ingestion leaves it: clean names, no empty values, sorted. */
const metadataOf = (raw: Readonly<Record<string, string>> | undefined): readonly string[] | undefined => {
  const pairs = Object.entries(raw ?? {}).filter(([, value]) => value !== '');
  if (pairs.length === 0) return undefined;
  return pairs
    .map(([name, value]): [string, string] => [name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=\d)/, '_'), value])
    .sort((a, b) => compareBytes(a[0], b[0]))
    .flat();
};

const entryOf = ([offset, line, raw]: Row['values'][number]): TestEntry => {
  const metadata = metadataOf(raw);
  return { timeNs: BASE_NS + BigInt(offset), line, ...(metadata && { metadata }) };
};

const append = (stream: DataStream, entries: readonly TestEntry[]): void => {
  const columns = columnsOf(entries);
  for (let first = 0; first < entries.length; ) {
    const last = stream.segments.at(-1);
    const appended = last?.append({ columns, first, end: entries.length });
    if (appended) first = appended.next;
    if (last && !appended?.isFull) continue;
    const id = { nodeId: 'test', incarnation: 1, counter: stream.segments.length };
    stream.segments.push(new Segment(id, LIMITS, last?.lastEntry));
  }
};

/** All streams of the kit, appended in the order they were pushed. Full heads are cut into blocks, open ones stay open. */
export const readDataStreams = (): DataStream[] => {
  const streams = new Map<string, DataStream>();
  for (const file of fs.readdirSync(DATA).sort()) {
    for (const text of fs.readFileSync(path.join(DATA, file), 'utf8').split('\n')) {
      if (!text) continue;
      const { tenant: suffix, stream, values } = JSON.parse(text) as Row;
      const tenant = tenantOf(suffix);
      const labels = labelSetOf(Object.entries(stream).flat());
      const key = `${tenant}/${labels.canonical}`;
      const known = streams.get(key) ?? { tenant, labels, segments: [] };
      streams.set(key, known);
      append(known, values.map(entryOf));
    }
  }
  for (const { segments } of streams.values()) for (const segment of segments) cutFullHeads(segment);
  return [...streams.values()];
};

const cutFullHeads = (segment: Segment): void => {
  for (let cut = segment.nextCut(); cut; cut = segment.nextCut()) segment.headCut(cut.number, cutBlock(cut.head, FORM));
};

const cutAll = (segment: Segment): void => {
  for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) segment.headCut(cut.number, cutBlock(cut.head, FORM));
};

const memoryOf = (streams: readonly DataStream[]): MemorySource => ({
  select: (tenant, matchers) => {
    const matches = compileMatchers(matchers);
    const selected = streams
      .filter((stream) => stream.tenant === tenant && matches(stream.labels))
      .map(
        ({ labels, segments }): MemoryStream => ({ labels, segments: segments.map((segment) => segment.snapshot()) }),
      );
    return Promise.resolve(selected);
  },
  subscribe: () => () => undefined,
});

const noStore = (): QuerySources['stored'] => {
  const index = new SchemaIndexReader(new MemoryIndexStore(), SCHEMA);
  return { index, chunks: new MemoryChunkStore() };
};

const SCHEMA = createSchemaConfig([
  { from: '2020-01-01', schema: 'v13', prefix: 'index_', periodHours: 24, rowShards: 4 },
]);

export const inMemory = (streams: readonly DataStream[]): QuerySources => ({
  memory: memoryOf(streams),
  stored: noStore(),
});

/** Writes every segment as a chunk object with its index rows. */
export const storeOf = async (streams: readonly DataStream[]): Promise<QuerySources['stored']> => {
  const chunks = new MemoryChunkStore();
  const rows = new MemoryIndexStore();
  const written = new WrittenSeries(() => 0);
  for (const { tenant, labels, segments } of streams) {
    for (const segment of segments) {
      cutAll(segment);
      if (segment.blocks.length === 0) continue;
      const blocks = rebuildBlocks(segment.blocks, { ...FORM, blockSize: LIMITS.blockSize, maxBytes: 1 << 24 });
      const { fingerprint } = labels;
      const chunk = encodeChunk({
        tenant,
        fingerprint,
        labels: labels.pairs,
        version: 4,
        encoding: 'gzip',
        blocks,
        symbols: segment.symbols,
      });
      const { fromMs, throughMs, checksum } = chunk;
      const key = chunkKey(SCHEMA, { tenant, fingerprint, fromMs, throughMs, checksum });
      await chunks.put(key, chunk.bytes);
      await commitChunk(rows, SCHEMA, [], { tenant, labels, key, fromMs, throughMs }, written);
    }
  }
  return { index: new SchemaIndexReader(rows, SCHEMA), chunks };
};

export const flushed = async (streams: readonly DataStream[]): Promise<QuerySources> => ({
  memory: memoryOf([]),
  stored: await storeOf(streams),
});

/** As between a flush and the moment memory lets go of it: everything is in both. */
export const inBoth = async (streams: readonly DataStream[]): Promise<QuerySources> => ({
  memory: memoryOf(streams),
  stored: await storeOf(streams),
});
