/** What Loki 2.8 wrote, and what an independent program decoded from it. */
import { readdirSync, readFileSync } from 'node:fs';
import type { BlockEncoding } from '../../../src/chunk/block-encoding.ts';
import { BlockCursor } from '../../../src/chunk/block-reader.ts';

const FOLDER = new URL('../../fixtures/loki-2.8/', import.meta.url);

export type FixtureLine = string | { readonly base64: string };

export interface ChunkFixture {
  readonly name: string;
  readonly bytes: Buffer;
  readonly checksum_hex: string;
  readonly tenant: string;
  readonly fingerprint_dec: string;
  readonly from_ms: number;
  readonly through_ms: number;
  readonly metadata_json?: string;
  /** Instead of the text, and of `labels`, where a label is not UTF-8. */
  readonly metadata_json_base64?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly memchunk: {
    readonly version: number;
    readonly encoding: BlockEncoding;
    readonly blocks: readonly {
      readonly entries: number;
      readonly mint_ns: string;
      readonly maxt_ns: string;
      readonly offset: number;
      readonly uncompressed_size: number;
      readonly length: number;
    }[];
  };
  readonly entries: readonly (readonly [string, FixtureLine])[];
}

const read = (path: string): Buffer => readFileSync(new URL(path, FOLDER));

export const chunkFixtures: readonly ChunkFixture[] = readdirSync(new URL('chunks/', FOLDER))
  .filter((name) => name.endsWith('.chunk'))
  .map((name) => {
    const expected = JSON.parse(read(`chunks/${name.replace('.chunk', '.json')}`).toString()) as ChunkFixture;
    return { ...expected, bytes: read(`chunks/${name}`) };
  });

export const fixtureNamed = (name: string): ChunkFixture => {
  const fixture = chunkFixtures.find((one) => one.name === name);
  if (!fixture) throw new Error(`no fixture ${name}`);
  return fixture;
};

export interface MemchunkFixture {
  readonly file: string;
  readonly bytes: Buffer;
  readonly version: number;
  readonly encoding: BlockEncoding;
  readonly symbols?: readonly string[];
  readonly blocks: readonly {
    readonly entries: readonly (readonly [string, FixtureLine, Record<string, string>?])[];
    readonly mint_ns: string;
    readonly maxt_ns: string;
    readonly offset: number;
    readonly length: number;
  }[];
}

export const memchunkFixtures: readonly MemchunkFixture[] = (
  JSON.parse(read('memchunks/expected.json').toString()) as MemchunkFixture[]
).map((expected) => ({ ...expected, bytes: read(`memchunks/${expected.file}`) }));

/** Bytes of a line or text as the fixtures write it. */
export const bytesOf = (line: FixtureLine): Buffer =>
  typeof line === 'string' ? Buffer.from(line) : Buffer.from(line.base64, 'base64');

export interface ReadEntry {
  readonly time: string;
  /** latin1: byte for byte. */
  readonly line: string;
  readonly metadata: readonly string[];
}

/** Entries of plain block content. */
export const entriesOf = (plain: Uint8Array, hasSections: boolean, symbols: readonly string[] = []): ReadEntry[] => {
  const cursor = new BlockCursor(plain, hasSections);
  const entries: ReadEntry[] = [];
  while (cursor.next()) {
    const line = Buffer.from(plain.subarray(cursor.lineStart, cursor.lineEnd)).toString('latin1');
    const metadata = cursor.metadataRefs().map((ref) => symbols[ref] ?? `no symbol ${ref}`);
    entries.push({ time: String(cursor.timeNs()), line, metadata });
  }
  return entries;
};
