/**
 * Tables of ringlog's own, beside those of Loki's index. In Bigtable no index table may be a beginning of such a name: Loki's table manager drops every
 * table that begins with a configured prefix.
 */
import { type SchemaConfig, tableIn } from './schema-config.ts';

/** What is committed; Bigtable alone has it as a table. */
export const COMMIT_TABLE = 'ringlog-commits';

/** What is to be deleted: see docs/retention.md. */
export const COMPACTOR_TABLE = 'ringlog-compactor';

export const OWN_TABLES: readonly string[] = [COMMIT_TABLE, COMPACTOR_TABLE];

/** The compactor's table in every store that the schema names; that of the newest period, which is written to, is the first. */
export const compactorTables = (schema: SchemaConfig): readonly [string, ...string[]] => {
  const [newest = 'lmdb', ...others] = new Set(schema.map(({ store }) => store).reverse());
  if (others.length === 0) return [COMPACTOR_TABLE];
  return [tableIn(newest, COMPACTOR_TABLE), ...others.map((store) => tableIn(store, COMPACTOR_TABLE))];
};
