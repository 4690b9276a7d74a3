import { dayBuckets, type SchemaConfig } from '../storage/schema-config.ts';
import type { DeleteRequest, TrackedRequest } from './delete-request.ts';

/** Those of the tables that may hold entries of the request. */
export const tablesOf = (
  schema: SchemaConfig,
  { startMs, endMs }: Pick<DeleteRequest, 'startMs' | 'endMs'>,
  tables: readonly string[],
): ReadonlySet<string> => new Set(dayBuckets(schema, startMs, endMs, new Set(tables)).map(({ table }) => table));

/** As Loki tells it: `received`, `processed`, or how much of it is done. */
export const statusOfRequest = (schema: SchemaConfig, request: TrackedRequest, tables: readonly string[]): string => {
  if (request.isProcessed) return 'processed';
  const wanted = [...tablesOf(schema, request, tables)];
  const done = wanted.filter((table) => request.doneTables.has(table)).length;
  if (done === 0) return 'received';
  return `${Math.floor((100 * done) / wanted.length)}% Complete`;
};
