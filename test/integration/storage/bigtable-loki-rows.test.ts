import { expect } from 'chai';
import { loadConfig } from '../../../src/config.ts';
import { indexStoreOf } from '../../../src/index-store-of.ts';
import { chunkEntries } from '../../../src/storage/index-row.ts';
import type { IndexStore } from '../../../src/storage/index-store.ts';
import type { SchemaConfig } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { newInstance } from '../../support/stores/bigtable-stores.ts';
import { recordedRows } from '../../support/stores/loki-fixtures.ts';
import { lokiReaderContract } from '../../support/stores/loki-reader-contract.ts';
import { RawBigtable, type RawCell, rawOf } from '../../support/stores/raw-bigtable.ts';

const DUMPS = [
  'v9-bigtable.json',
  'v10-bigtable.json',
  'v11-bigtable.json',
  'v11-bigtable-hashed.json',
  'v12-bigtable.json',
  // Until a day in `bigtable`, from then on in `bigtable-hashed`.
  'period-change.json',
];

const inOrder = (cells: readonly RawCell[]): readonly RawCell[] =>
  cells.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

describe('rows of Loki in Bigtable', function () {
  this.timeout(60_000);
  const emulator = suiteBigtable({ isNamed: true });

  /** As the configuration names it: the schema's stores in an instance of the emulator. */
  const openStores = async (schema: SchemaConfig, instance: string): Promise<IndexStore> => {
    const { storage_config, table_manager } = loadConfig({
      flags: {
        storage_config: { bigtable: { project: 'test', instance } },
        // No table is made ahead: those that are there are those with rows.
        schema_config: { configs: [{ from: '2020-01-01', schema: 'v13' }] },
      },
    });
    const { index } = await indexStoreOf(
      { schema, storage_config, table_manager },
      {
        folder: () => Promise.reject(new Error('nothing of this is embedded')),
        isShared: false,
        clock: systemClock,
        chance: Math.random,
        report: (problem) => {
          throw new Error(problem);
        },
      },
    );
    return index;
  };

  for (const dump of DUMPS) {
    describe(dump, () => {
      const { schema, chunks, cells } = recordedRows(dump, { withStores: true });
      const instance = newInstance();
      let raw: RawBigtable;
      let store: IndexStore;

      before(async () => {
        raw = new RawBigtable(emulator().host, instance);
        await raw.insert(cells);
        store = await openStores(schema, instance);
      });

      after(async () => {
        await store.close();
        await raw.close();
      });

      lokiReaderContract({ schema, chunks }, () => new SchemaIndexReader(store, schema));

      it('are those that ringlog writes for the same chunks, cell by cell', async () => {
        const own = newInstance();
        const written = await openStores(schema, own);
        await written.write(chunks.flatMap((chunk) => chunkEntries(schema, chunk)));
        await written.close();
        const ownRaw = new RawBigtable(emulator().host, own);
        const found: RawCell[] = [];
        for (const table of new Set(cells.map((cell) => cell.table))) found.push(...(await ownRaw.cells(table)));
        await ownRaw.close();
        // The days are long past: that their rows changed is told besides, under a name of ringlog's own.
        const isTold = ({ rowKey }: RawCell): boolean => rowKey.endsWith('ringlog:generations');
        expect(found.some(isTold)).to.equal(true);
        expect(inOrder(found.filter((cell) => !isTold(cell)))).to.deep.equal(inOrder(cells.map(rawOf)));
      });
    });
  }
});
