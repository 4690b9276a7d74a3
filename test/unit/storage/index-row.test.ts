import { expect } from 'chai';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import {
  chunkEntries,
  relativeTime,
  seriesIdOf,
  shardPrefixes,
  shardPrefixOf,
} from '../../../src/storage/index-row.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { createSchemaConfig, defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { ROW_DUMPS, readFixture, recordedChunks, recordedRows } from '../../support/stores/loki-fixtures.ts';

/** Entries as a store would hold them: sorted, each place once. */
const cells = (entries: readonly IndexEntry[]): string[] =>
  [
    ...new Set(
      entries.map(({ table, hashValue, rangeValue, value }) => JSON.stringify([table, hashValue, rangeValue, value])),
    ),
  ].sort();

describe('index rows', () => {
  for (const dump of ROW_DUMPS) {
    it(`are those that Loki wrote: ${dump}, none missing, none extra`, () => {
      const { schema, chunks, entries } = recordedRows(dump);
      expect(chunks, 'the dump indexes chunks').not.to.have.length(0);
      expect(cells(chunks.flatMap((chunk) => chunkEntries(schema, chunk)))).to.deep.equal(cells(entries));
    });
  }

  it('are the same for v13 as for v12', () => {
    const { chunks, entries } = recordedRows('v12-bigtable.json');
    const schema = createSchemaConfig([
      { from: '2020-01-01', schema: 'v13', prefix: 'index_', periodHours: 168, rowShards: 16 },
    ]);
    expect(cells(chunks.flatMap((chunk) => chunkEntries(schema, chunk)))).to.deep.equal(cells(entries));
  });

  it('count 3 and one for each label on each day a chunk touches', () => {
    const labels = labelSetOf(['app', 'web', 'env', 'dev', '__name__', 'logs']);
    const midnight = Date.UTC(2024, 4, 1);
    const rows = (fromMs: number, throughMs: number) =>
      chunkEntries(defaultSchemaConfig(), { tenant: 't', labels, fromMs, throughMs, key: 'k' });
    expect(rows(midnight - 2, midnight - 1)).to.have.length(5);
    expect(rows(midnight - 1, midnight)).to.have.length(10);
    expect(rows(midnight - 86_400_001, midnight)).to.have.length(15);
  });

  it('hold values that are not UTF-8 byte for byte', () => {
    const { entries, schema, chunks } = recordedRows('period-change.json');
    const broken = entries.filter(({ value }) => value.includes('\udcff'));
    expect(broken.map(({ value }) => value)).to.deep.equal(['bad\udcff\udcfeutf8']);
    const own = chunks.flatMap((chunk) => chunkEntries(schema, chunk));
    expect(own.filter(({ value }) => value.includes('\udcff'))).to.deep.equal(broken);
  });
});

describe('series ids', () => {
  interface FingerprintCase {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly series_id: string;
    readonly row_shard_of_16: number;
  }
  const { schema } = recordedRows('v11-bigtable.json');

  for (const { name, labels, series_id, row_shard_of_16 } of readFixture<FingerprintCase[]>('fingerprints.json')) {
    if (!labels) continue;
    it(`are Loki's: ${name}`, () => {
      const series = seriesIdOf(labelSetOf(Object.entries(labels).flat()));
      expect(series).to.equal(series_id);
      expect(shardPrefixOf(schema[0], series)).to.equal(`${row_shard_of_16.toString().padStart(2, '0')}:`);
    });
  }

  it('are those of the recorded chunks, bytes that are not UTF-8 and __name__ included', () => {
    const chunks = recordedChunks();
    for (const dump of ['v11-bigtable.json', 'period-change.json', 'v11-bigtable-snappy.json']) {
      for (const { key, labels } of recordedRows(dump).chunks) {
        expect(seriesIdOf(labels), key).to.equal(chunks.find((chunk) => chunk.key_v11 === key)?.series_id);
      }
    }
  });
});

describe('row shards', () => {
  it('have two digits at least, and v9 has none', () => {
    const [period] = defaultSchemaConfig();
    expect(shardPrefixes({ ...period, rowShards: 3 })).to.deep.equal(['00:', '01:', '02:']);
    expect(shardPrefixes({ ...period, rowShards: 128 }).at(-1)).to.equal('127:');
    expect(shardPrefixes({ ...period, schema: 'v9' })).to.deep.equal(['']);
  });
});

describe('relative times', () => {
  it('are 8 hex digits within the day', () => {
    expect(relativeTime(300_000)).to.equal('000493e0');
    expect(relativeTime(86_400_001)).to.equal('05265c00');
    expect(relativeTime(-5)).to.equal('00000000');
  });
});
