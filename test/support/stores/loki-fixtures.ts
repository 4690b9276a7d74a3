/** What Loki 2.8 wrote, read from test/fixtures/loki-2.8. */
import { readdirSync, readFileSync } from 'node:fs';
import { textOfBytes } from '../../../src/protocol/byte-text.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { IndexedChunk } from '../../../src/storage/index-row.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { createSchemaConfig, type SchemaConfig } from '../../../src/storage/schema-config.ts';

const FOLDER = new URL('../../fixtures/loki-2.8/', import.meta.url);

export interface RecordedChunk {
  readonly name: string;
  readonly key_v11: string;
  readonly key_v12?: string;
  /** Row dumps that index it. */
  readonly rows: readonly string[];
  readonly tenant: string;
  readonly fingerprint_dec: string;
  readonly from_ms: number;
  readonly through_ms: number;
  readonly checksum_hex: string;
  readonly series_id: string;
  readonly metadata_json?: string;
  readonly metadata_json_base64?: string;
}

interface RecordedPeriod {
  readonly store?: string;
  readonly from?: string;
  readonly schema: string;
  readonly prefix: string;
  readonly period: string;
  readonly row_shards?: number;
}

/** A cell as it is in Bigtable. */
export interface RecordedCell {
  readonly table: string;
  readonly row_key: string;
  readonly family: string;
  readonly qualifier: string;
  readonly timestamp_micros: number;
  readonly value: string | { readonly base64: string };
  readonly decoded: { readonly hash_value: string; readonly range_value: string };
}

export interface RecordedRows {
  readonly schema: SchemaConfig;
  readonly chunks: readonly IndexedChunk[];
  /** Every cell of the index, whatever the store's row layout was. */
  readonly entries: readonly IndexEntry[];
  readonly cells: readonly RecordedCell[];
}

export const readFixture = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, FOLDER), 'utf8'));

export const recordedChunks = (): readonly RecordedChunk[] =>
  readdirSync(new URL('chunks/', FOLDER))
    .filter((name) => name.endsWith('.json') && name !== 'index.json')
    .map((name) => readFixture<RecordedChunk>(`chunks/${name}`));

export const ROW_DUMPS: readonly string[] = readdirSync(new URL('rows/', FOLDER));

/** Without stores the schema names none, so that any store can have all rows. */
export const recordedRows = (dump: string, { withStores = false } = {}): RecordedRows => {
  const file = readFixture<RecordedPeriod & { periods?: readonly RecordedPeriod[]; cells: readonly RecordedCell[] }>(
    `rows/${dump}`,
  );
  const schema = createSchemaConfig(
    (file.periods ?? [file]).map(({ from, schema, prefix, period, row_shards, store: recorded }) => {
      const periodHours = Number.parseInt(period, 10);
      const store = withStores ? recorded : undefined;
      return { from: from ?? '2020-01-01', schema, store, prefix, periodHours, rowShards: row_shards ?? 16 };
    }),
  );
  // The chunks' own lists of dumps leave out those of which only a part of all chunks is in.
  const isIn = (chunk: RecordedChunk): boolean =>
    chunk.rows.includes(`rows/${dump}`) ||
    file.cells.some(({ decoded }) => decoded.range_value.includes(`\0${chunk.key_v11}\0`));
  const isV12 = schema[0].schema === 'v12';
  const chunks = recordedChunks()
    .filter(isIn)
    .map((chunk) => indexed(chunk, (isV12 ? chunk.key_v12 : undefined) ?? chunk.key_v11));
  const entries = file.cells.map(({ table, value, decoded }) => {
    const text = textOfBytes(bytesOfCell(value));
    return { table, hashValue: decoded.hash_value, rangeValue: decoded.range_value, value: text };
  });
  return { schema, chunks, entries, cells: file.cells };
};

export const bytesOfCell = (value: RecordedCell['value']): Buffer =>
  typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.base64, 'base64');

const indexed = (chunk: RecordedChunk, key: string): IndexedChunk => {
  const metadata = chunk.metadata_json ?? textOfBytes(Buffer.from(chunk.metadata_json_base64 ?? '', 'base64'));
  const { metric } = JSON.parse(metadata) as { metric: Record<string, string> };
  const labels = labelSetOf(Object.entries(metric).flat());
  return { tenant: chunk.tenant, labels, fromMs: chunk.from_ms, throughMs: chunk.through_ms, key };
};
