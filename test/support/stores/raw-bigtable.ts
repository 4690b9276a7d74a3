/** Cells of a Bigtable, written and read by Google's own client: what ringlog's store does is held against it. */
import { Bigtable } from '@google-cloud/bigtable';
import { bytesOfCell, type RecordedCell } from './loki-fixtures.ts';

export interface RawCell {
  readonly table: string;
  readonly rowKey: string;
  readonly family: string;
  readonly qualifier: string;
  readonly timestampMicros: number;
  /** latin1 text of its bytes. */
  readonly value: string;
}

export const rawOf = (cell: RecordedCell): RawCell => ({
  table: cell.table,
  rowKey: cell.row_key,
  family: cell.family,
  qualifier: cell.qualifier,
  timestampMicros: cell.timestamp_micros,
  value: bytesOfCell(cell.value).toString('latin1'),
});

export class RawBigtable {
  readonly #client: Bigtable;
  readonly #instance: string;

  constructor(emulatorHost: string, instance: string) {
    this.#instance = instance;
    this.#client = new Bigtable({
      projectId: 'test',
      apiEndpoint: emulatorHost,
      metricsEnabled: false,
      clientOptions: { universeDomain: 'googleapis.com' },
    });
  }

  async createTable(table: string, families: readonly string[]): Promise<void> {
    await this.#client.instance(this.#instance).createTable(table, { families: [...families] });
  }

  async tables(): Promise<readonly string[]> {
    const [tables] = await this.#client.instance(this.#instance).getTables();
    return tables.map(({ id }) => id).sort();
  }

  async dropTable(table: string): Promise<void> {
    await this.#client.instance(this.#instance).table(table).delete();
  }

  async insert(cells: readonly RecordedCell[]): Promise<void> {
    const instance = this.#client.instance(this.#instance);
    for (const table of new Set(cells.map((cell) => cell.table))) {
      const entries = cells
        .filter((cell) => cell.table === table)
        .map(({ row_key: key, family, qualifier, value }) => ({
          key,
          // The number 0 would become the present.
          data: { [family]: { [qualifier]: { value: bytesOfCell(value), timestamp: new Date(0) } } },
        }));
      await instance.createTable(table, { families: ['f'] });
      await instance.table(table).insert(entries as never);
    }
  }

  async put({ table, rowKey, family, qualifier, value }: Omit<RawCell, 'timestampMicros'>): Promise<void> {
    const data = { [family]: { [qualifier]: { value: Buffer.from(value, 'latin1'), timestamp: new Date(0) } } };
    await this.#client
      .instance(this.#instance)
      .table(table)
      .insert([{ key: rowKey, data }] as never);
  }

  async cells(table: string): Promise<readonly RawCell[]> {
    const [rows] = await this.#client.instance(this.#instance).table(table).getRows({ decode: false });
    const found: RawCell[] = [];
    for (const { id, data } of rows as { id: string | Buffer; data: Record<string, Record<string, Version[]>> }[]) {
      for (const [family, columns] of Object.entries(data)) {
        for (const [qualifier, versions] of Object.entries(columns)) {
          for (const { value, timestamp } of versions) {
            const bytes = Buffer.from(value as Buffer);
            found.push({
              table,
              rowKey: id.toString(),
              family,
              qualifier,
              timestampMicros: Number(timestamp),
              value: bytes.toString('latin1'),
            });
          }
        }
      }
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

interface Version {
  readonly value: unknown;
  readonly timestamp: string | number;
}
