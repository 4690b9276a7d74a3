/** Stores to copy from and to, as tests set them up. */

import type { CopySide } from '../../src/copy/copy-chunks.ts';
import { type CopyOptions, copyChunks } from '../../src/copy/copy-chunks.ts';
import { CopyFigures } from '../../src/copy/copy-figures.ts';
import { VerifyFigures, verifyCopy } from '../../src/copy/verify-copy.ts';
import { chunkKey, parseChunkKey } from '../../src/storage/chunk-key.ts';
import type { ChunkRef } from '../../src/storage/index-reader.ts';
import { chunkEntries, type IndexedChunk } from '../../src/storage/index-row.ts';
import type { IndexEntry } from '../../src/storage/index-store.ts';
import type { SchemaConfig } from '../../src/storage/schema-config.ts';
import { systemClock } from '../../src/system-clock.ts';
import { chunkFixtures } from '../unit/chunk/chunk-fixtures.ts';
import { recordedRows } from './stores/loki-fixtures.ts';
import { MemoryChunkStore } from './stores/memory-chunk-store.ts';
import { MemoryIndexStore } from './stores/memory-index-store.ts';

export interface MemorySide extends CopySide {
  readonly chunks: MemoryChunkStore;
  readonly index: MemoryIndexStore;
}

export const memorySide = (schema: SchemaConfig): MemorySide => ({
  chunks: new MemoryChunkStore(),
  index: new MemoryIndexStore(),
  schema,
});

export const refOf = (key: string): ChunkRef => {
  const ref = parseChunkKey(key);
  if (!ref) throw new Error(`no key of a chunk: ${key}`);
  return ref;
};

/** What a real Loki 2.8 wrote: objects and rows. */
export const putLoki = async (side: CopySide, dump: string): Promise<readonly IndexedChunk[]> => {
  const { chunks, entries } = recordedRows(dump);
  for (const { key } of chunks) await side.chunks.put(key, lokiObject(key));
  await side.index.write(entries);
  return chunks;
};

/** The object of that key, whatever form the key has. */
export const lokiObject = (key: string): Buffer => {
  const { tenant, fingerprint, checksum, fromMs } = refOf(key);
  const fixture = chunkFixtures.find(
    (one) =>
      one.tenant === tenant &&
      BigInt(one.fingerprint_dec) === fingerprint &&
      one.from_ms === fromMs &&
      Number.parseInt(one.checksum_hex, 16) === checksum,
  );
  if (!fixture) throw new Error(`no object of ${key}`);
  return fixture.bytes;
};

/** A chunk as it is to be at a target of that schema. */
export const targetChunk = (schema: SchemaConfig, chunk: IndexedChunk): IndexedChunk => ({
  ...chunk,
  key: chunkKey(schema, refOf(chunk.key)),
});

/** All rows that a target of that schema is to have, without repeats, in order. */
export const rowTexts = (schema: SchemaConfig, chunks: readonly IndexedChunk[]): readonly string[] =>
  textsOf(chunks.flatMap((chunk) => chunkEntries(schema, targetChunk(schema, chunk))));

export const textsOf = (entries: readonly IndexEntry[]): readonly string[] =>
  [
    ...new Set(
      entries.map(({ table, hashValue, rangeValue, value }) => JSON.stringify([table, hashValue, rangeValue, value])),
    ),
  ].sort();

export const EVERYTHING = {
  scope: { tenants: [], fromMs: Number.NEGATIVE_INFINITY, throughMs: Number.POSITIVE_INFINITY },
  concurrency: 4,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  isDryRun: false,
  isAgain: false,
  sharesChunks: false,
} satisfies CopyOptions;

export interface CopyOutcome {
  readonly figures: CopyFigures;
  readonly leftOut: ReadonlyMap<string, string>;
}

export const copied = async (
  source: CopySide,
  target: CopySide,
  options: Partial<CopyOptions> = {},
  signal = new AbortController().signal,
): Promise<CopyOutcome> => {
  const figures = new CopyFigures();
  const leftOut = new Map<string, string>();
  const onLeftOut = (key: string, why: string): void => void leftOut.set(key, why);
  await copyChunks(source, target, { ...EVERYTHING, ...options }, { clock: systemClock, signal, figures, onLeftOut });
  return { figures, leftOut };
};

export interface VerifyOutcome {
  readonly figures: VerifyFigures;
  readonly problems: ReadonlyMap<string, string>;
}

export const verified = async (
  source: CopySide,
  target: CopySide,
  options: Partial<CopyOptions> = {},
): Promise<VerifyOutcome> => {
  const figures = new VerifyFigures();
  const problems = new Map<string, string>();
  const onProblem = (key: string, why: string): void => void problems.set(key, why);
  const { signal } = new AbortController();
  await verifyCopy(source, target, { ...EVERYTHING, ...options }, { clock: systemClock, signal, figures, onProblem });
  return { figures, problems };
};
