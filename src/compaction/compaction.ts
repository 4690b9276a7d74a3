import type { TenantLimits } from '../protocol/limits.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { DAY_MS, dayBuckets, dayOf, isIndexTable } from '../storage/schema-config.ts';
import { ChunkRate } from './chunk-rate.ts';
import type { TrackedRequest } from './delete-request.ts';
import type { DeleteRequests } from './delete-requests.ts';
import { tablesOf } from './request-progress.ts';
import { isLimited, retentionRulesOf } from './retention-rules.ts';
import {
  type CompactionFigures,
  type CompactionPass,
  TableCompaction,
  type TableCompactionDeps,
} from './table-compaction.ts';
import { TenantWork } from './tenant-work.ts';

export interface CompactionOptions {
  /** A request may be cancelled for so long, and is not begun before. */
  readonly cancelPeriodMs: number;
  readonly chunksPerSecond: number;
}

export interface CompactionDeps extends TableCompactionDeps {
  readonly requests: DeleteRequests;
  readonly limits: TenantLimits;
  /** Which of the nodes compacts what has this name: asked again and again. */
  readonly isHere: (name: string) => boolean;
}

export interface PassOutcome extends CompactionFigures {
  readonly tables: number;
  /** Requests that this pass brought to their end, by tenant. */
  readonly processed: readonly TrackedRequest[];
  /** Requests that are not processed. */
  readonly pending: number;
  readonly oldestPendingMs: number | undefined;
}

/** Chunks remembered as looked at, so that one of several days is read once a table: about 20 MiB. */
const SETTLED_MAX = 100_000;

/** Who has this deletes the objects of chunks that were removed, of all tables. */
const OBJECTS = 'objects';

export const newFigures = (): CompactionFigures => ({
  expired: 0,
  deleted: 0,
  rewritten: 0,
  deletedLines: 0,
  left: 0,
  objects: 0,
});

/** One pass over everything stored: the retention of tenants and streams, delete requests that are due, objects of what was removed before. */
export class Compaction {
  readonly #options: CompactionOptions;
  readonly #deps: CompactionDeps;

  constructor(options: CompactionOptions, deps: CompactionDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Safe to be cut at any step, to be done again, and to be done by two nodes at a time. @throws RefusedError STORAGE_UNAVAILABLE; what the signal was aborted with */
  async run(signal: AbortSignal): Promise<PassOutcome> {
    const { clock, isDryRun, removal, isHere, schema } = this.#deps;
    const nowMs = clock.nowMs();
    const requests = await this.#requests();
    const due = requests.filter((request) => this.#isDue(request, nowMs));
    const figures = newFigures();
    const all = ((await this.#deps.index.tables?.()) ?? []).filter((table) => isIndexTable(schema, table));
    const rate = new ChunkRate(clock, this.#options.chunksPerSecond, signal);
    let tables = 0;
    for (const table of this.#tablesToWalk(all, due, nowMs)) {
      if (!isHere(table)) continue;
      tables += 1;
      const undone = due.filter(({ doneTables }) => !doneTables.has(table));
      // What stays by these requests may have to go by others in the next table.
      const settled = new BoundedMap<string, true>(SETTLED_MAX);
      const pass = { workOf: this.#workOf(undone, nowMs), settled, figures, rate };
      await this.#compactTable(table, undone, all, pass, signal);
    }
    const processed = isDryRun ? [] : await this.#ended(due, all);
    if (!isDryRun && isHere(OBJECTS)) figures.objects += await removal.sweep(signal);
    const pending = requests.filter(({ isProcessed }) => !isProcessed).length - processed.length;
    const [oldest] = requests.filter(
      (one) => !one.isProcessed && !processed.some((ended) => ended.requestId === one.requestId),
    );
    return { ...figures, tables, processed, pending, oldestPendingMs: oldest?.createdMs };
  }

  async #compactTable(
    table: string,
    undone: readonly TrackedRequest[],
    all: readonly string[],
    pass: Omit<CompactionPass, 'check'>,
    signal: AbortSignal,
  ): Promise<void> {
    const { isHere, isDryRun, requests, schema } = this.#deps;
    let isOurs = true;
    const check = (): void => {
      signal.throwIfAborted();
      isOurs &&= isHere(table);
      if (!isOurs) throw new TableTaken();
    };
    try {
      const isComplete = await new TableCompaction(this.#deps, { ...pass, check }).run(table);
      if (!isComplete || isDryRun) return;
      for (const request of undone) {
        if (tablesOf(schema, request, all).has(table)) await requests.markDone(request, table);
      }
    } catch (error) {
      if (!(error instanceof TableTaken)) throw error;
    }
  }

  /** Oldest first. */
  async #requests(): Promise<readonly TrackedRequest[]> {
    const { requests } = this.#deps;
    const found: TrackedRequest[] = [];
    for (const tenant of await requests.tenants()) found.push(...(await requests.ofTenant(tenant)));
    return found.sort((a, b) => a.createdMs - b.createdMs);
  }

  #isDue({ tenant, isProcessed, createdMs }: TrackedRequest, nowMs: number): boolean {
    const { deletionMode } = this.#deps.limits.limitsFor(tenant);
    return !isProcessed && deletionMode === 'filter-and-delete' && createdMs + this.#options.cancelPeriodMs <= nowMs;
  }

  #workOf(due: readonly TrackedRequest[], nowMs: number): CompactionPass['workOf'] {
    const works = new Map<string, TenantWork | undefined>();
    return (tenant) => {
      if (works.has(tenant)) return works.get(tenant);
      const rules = retentionRulesOf(this.#deps.limits.limitsFor(tenant));
      const own = due.filter((request) => request.tenant === tenant);
      const work = isLimited(rules) || own.length > 0 ? new TenantWork(rules, own, nowMs) : undefined;
      works.set(tenant, work);
      return work;
    };
  }

  /** Those in which something can have to go. */
  #tablesToWalk(all: readonly string[], due: readonly TrackedRequest[], nowMs: number): readonly string[] {
    const { schema, limits } = this.#deps;
    const wanted = new Set(
      due.flatMap((request) => [...tablesOf(schema, request, all)].filter((table) => !request.doneTables.has(table))),
    );
    const periods = limits
      .all()
      .flatMap((one) => retentionRulesOf(one).map(({ periodMs }) => periodMs ?? Number.POSITIVE_INFINITY));
    const shortestMs = Math.min(...periods);
    if (shortestMs === Number.POSITIVE_INFINITY) return all.filter((table) => wanted.has(table));
    // Tables that begin after what the shortest retention keeps.
    const oldestDay = dayOf(nowMs - shortestMs);
    const kept = dayBuckets(schema, (oldestDay + 1) * DAY_MS, nowMs + DAY_MS).map(({ table }) => table);
    const young = new Set(kept);
    for (const { table } of dayBuckets(schema, oldestDay * DAY_MS, oldestDay * DAY_MS)) young.delete(table);
    return all.filter((table) => wanted.has(table) || !young.has(table));
  }

  /** Requests none of whose tables is left, whoever did them. */
  async #ended(due: readonly TrackedRequest[], all: readonly string[]): Promise<readonly TrackedRequest[]> {
    const { requests, schema } = this.#deps;
    const ended: TrackedRequest[] = [];
    for (const tenant of new Set(due.map((request) => request.tenant))) {
      const ids = new Set(due.flatMap((request) => (request.tenant === tenant ? [request.requestId] : [])));
      for (const request of await requests.ofTenant(tenant)) {
        if (!ids.has(request.requestId) || request.isProcessed) continue;
        if (![...tablesOf(schema, request, all)].every((table) => request.doneTables.has(table))) continue;
        await requests.markProcessed(request);
        ended.push(request);
      }
    }
    return ended;
  }
}

/** The ring gave it to another node meanwhile. */
class TableTaken extends Error {
  override readonly name = 'TableTaken';
}
