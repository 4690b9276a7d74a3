import { type Ref, spawn } from 'nact';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { forEachInSlices } from './cooperative.ts';
import { passesAll } from './label-index.ts';
import type { LoggedStream } from './logged-segments.ts';
import { StreamCell } from './stream-cell.ts';
import { TenantStreams } from './tenant-streams.ts';

export interface StreamDirectoryDeps {
  readonly system: Ref<never>;
  readonly clock: Clock;
  /** Spawns the actor of a cell under a supervisor and sets `cell.ref`. */
  readonly spawnStream: (parent: Ref<never>, name: string, cell: StreamCell) => void;
  /** What the log has of a stream and no actor. */
  readonly loggedOf?: (tenant: string, labels: LabelSet) => LoggedStream | undefined;
}

/**
 * Actors hang under these. A nact actor copies the map of its children for each message it handles, so the supervisors get none: streams
 * are told things by Ref, from here.
 */
const SHARD_COUNT = 256;

/** Work on all streams is done in slices of this length. */
const SLICE_MS = 2;

/** Names of the actors may hold these only, in nact. */
const NOT_IN_NAMES = /[^A-Za-z0-9\-$_.+!*'(),]/g;

/** The cell table of a node: which streams it has, by tenant and labels. Opens one at the first append, closes it when it is passive. */
export class StreamDirectory {
  readonly #deps: StreamDirectoryDeps;
  readonly #shards: readonly Ref<never>[];
  readonly #tenants: Map<string, TenantStreams> = new Map();
  #size = 0;
  #created = 0;

  constructor(deps: StreamDirectoryDeps) {
    this.#deps = deps;
    this.#shards = Array.from({ length: SHARD_COUNT }, (_, index) =>
      spawn(deps.system, () => undefined, `streams-${index}`),
    ) as readonly Ref<never>[];
  }

  /** Streams that have an actor. */
  get size(): number {
    return this.#size;
  }

  /** Streams opened since the start. */
  get created(): number {
    return this.#created;
  }

  get tenants(): Iterable<TenantStreams> {
    return this.#tenants.values();
  }

  tenant(name: string): TenantStreams {
    const known = this.#tenants.get(name);
    if (known) return known;
    const tenant = new TenantStreams(name);
    this.#tenants.set(name, tenant);
    return tenant;
  }

  /** undefined if it has no actor. */
  find(tenant: string, labels: LabelSet): StreamCell | undefined {
    return this.#tenants.get(tenant)?.cells.get(labels.canonical);
  }

  /** Without making one. */
  findTenant(name: string): TenantStreams | undefined {
    return this.#tenants.get(name);
  }

  open(tenant: TenantStreams, labels: LabelSet): StreamCell {
    const cell = new StreamCell(tenant, labels, this.#deps.clock.nowMs());
    cell.logged = this.#deps.loggedOf?.(tenant.name, labels);
    const shard = this.#shards[Number(labels.fingerprint & 255n)];
    if (!shard) throw new Error('no such shard');
    this.#created += 1;
    this.#deps.spawnStream(shard, this.#nameOf(cell), cell);
    tenant.cells.set(labels.canonical, cell);
    tenant.index.add(cell);
    this.#size += 1;
    for (const subscription of tenant.subscriptions) {
      if (passesAll(labels, subscription.matchers)) cell.tails = [...(cell.tails ?? []), subscription];
    }
    return cell;
  }

  /** After its actor stopped. */
  close(cell: StreamCell): void {
    const { tenant, labels } = cell;
    if (tenant.cells.get(labels.canonical) !== cell) return;
    tenant.cells.delete(labels.canonical);
    tenant.index.remove(cell);
    this.#size -= 1;
    if (tenant.cells.size === 0 && tenant.subscriptions.size === 0) this.#tenants.delete(tenant.name);
  }

  /** All streams, without holding up the event loop; streams opened meanwhile may be among them. */
  async forEach(visit: (cell: StreamCell) => void): Promise<void> {
    await forEachInSlices(this.#deps.clock, SLICE_MS, this.#cells(), visit);
  }

  *#cells(): Iterable<StreamCell> {
    for (const tenant of this.#tenants.values()) yield* tenant.cells.values();
  }

  /** The number keeps streams apart whose labels have the same fingerprint. */
  #nameOf({ tenant, labels }: StreamCell): string {
    const escaped = tenant.name.replace(NOT_IN_NAMES, '_');
    return `${escaped}.${labels.fingerprint.toString(16)}.${this.#created}`;
  }
}
