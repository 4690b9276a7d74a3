import { ByteRate } from '../copy/byte-rate.ts';
import type { CopySide } from '../copy/copy-chunks.ts';
import type { CopyScope } from '../copy/copy-scope.ts';
import { ChunkMarks } from '../storage/chunk-marks.ts';
import { DAY_MS, dayBuckets, firstDayOf, isIndexTable, type SchemaConfig } from '../storage/schema-config.ts';
import { ChunkRowCheck } from './check-chunk-rows.ts';
import { checkCommits } from './check-commits.ts';
import { newStreamLabels, ObjectCheck } from './check-objects.ts';
import { OrphanCheck } from './check-orphans.ts';
import { DANGLING_MAX, DanglingRows } from './dangling-rows.ts';
import { SeriesDays } from './series-days.ts';
import { StaleLabelCheck } from './stale-labels.ts';
import { type CheckDeps, type CheckOptions, StoreCheck } from './store-check.ts';
import { Suspects } from './suspects.ts';

/**
 * Compares the objects of a store with the rows of its index, both ways, and mends what is asked for. Beside nodes that write, query and compact: what is on its way
 * in or out is left alone. In bounded memory, whatever the store holds; what it did stays done, however it ends.
 *
 *   commits → objects, with a look at their rows → rows, table by table, with a look at their objects → rows of labels → what neither named
 *
 * @param bounds of what is remembered of the store
 * @throws RefusedError of either store, after its own retries; what the signal was aborted with
 */
export const checkStore = async (
  side: CopySide,
  options: CheckOptions & { readonly bytesPerSecond: number },
  deps: CheckDeps,
  bounds: { readonly suspects?: Suspects; readonly danglingMax?: number } = {},
): Promise<void> => {
  const { suspects = new Suspects(), danglingMax = DANGLING_MAX } = bounds;
  const { index, schema } = side;
  const { signal, onPart } = deps;
  const listed = [...((await index.tables?.()) ?? [])].sort();
  const all = listed.filter((table) => isIndexTable(schema, table));
  const firstDay = firstDayOf(schema, all);
  const check = new StoreCheck(side, options, deps, {
    marks: new ChunkMarks(index, schema),
    rate: new ByteRate(deps.clock, options.bytesPerSecond),
    firstMs: firstDay === undefined ? Number.NEGATIVE_INFINITY : firstDay * DAY_MS,
  });
  const streams = newStreamLabels();
  onPart('commits');
  await checkCommits(check);
  onPart('objects');
  await new ObjectCheck(check, suspects, streams).run();
  // An object is deleted only if no row anywhere names it, whether this schema reaches the row or not.
  const inScope = tablesInScope(schema, all, options.scope, check.firstMs);
  const tables = options.deletesOrphans ? listed : inScope;
  const seriesDays = new SeriesDays(check, streams);
  const dangling = new DanglingRows(check, danglingMax);
  const chunkRows = new ChunkRowCheck(check, suspects, seriesDays, dangling);
  for (const table of tables) {
    if (signal.aborted) return;
    onPart(`rows of ${table}`);
    await chunkRows.run(table);
  }
  onPart('rows without objects');
  await dangling.remove();
  // Whose last chunk row has just gone has no chunks.
  for (const table of inScope) {
    if (signal.aborted) return;
    onPart(`rows of labels in ${table}`);
    await new StaleLabelCheck(check, seriesDays).run(table);
  }
  if (signal.aborted) return;
  onPart('objects without rows');
  await new OrphanCheck(check, suspects, new Set(all)).run();
};

const tablesInScope = (
  schema: SchemaConfig,
  all: readonly string[],
  { fromMs, throughMs }: CopyScope,
  firstMs: number,
): readonly string[] => {
  if (!Number.isFinite(firstMs)) return all;
  const among = new Set(all);
  const of = (startMs: number, endMs: number): ReadonlySet<string> =>
    new Set(dayBuckets(schema, startMs, endMs, among).map(({ table }) => table));
  const upTo = Number.isFinite(throughMs) ? of(firstMs, throughMs) : among;
  if (!Number.isFinite(fromMs)) return [...upTo];
  const before = of(firstMs, fromMs - 1);
  const first = of(fromMs, fromMs);
  return [...upTo].filter((table) => !before.has(table) || first.has(table));
};
