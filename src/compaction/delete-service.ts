import { RefusedError } from '../protocol/refusal.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { DeleteRequest, TrackedRequest } from './delete-request.ts';
import type { DeleteRequests } from './delete-requests.ts';
import { statusOfRequest } from './request-progress.ts';

/** A request as its tenant sees it. */
export interface ShownRequest extends DeleteRequest {
  /** `received`, `processed`, `42% Complete`. */
  readonly status: string;
}

/** Why a request is not cancelled. */
export type CancelOutcome = 'cancelled' | 'not-found' | 'processed' | 'too-late';

export interface DeleteServiceDeps {
  readonly requests: DeleteRequests;
  readonly index: IndexStore;
  readonly schema: SchemaConfig;
  readonly nowMs: () => number;
  /** In [0, 1): for the ids of requests. */
  readonly chance: () => number;
  readonly cancelPeriodMs: number;
  /** 0: any interval may be asked for. */
  readonly maxIntervalMs: number;
}

const RECEIVED = 'received';
/** Chosen: each query of a tenant reads all of its requests. */
const REQUESTS_MAX = 1_000;

const tooMany = (): RefusedError =>
  new RefusedError({ code: 'BAD_REQUEST', text: `a tenant may have ${REQUESTS_MAX} delete requests` });

/** What tenants may ask of their delete requests. */
export class DeleteService {
  readonly #deps: DeleteServiceDeps;

  constructor(deps: DeleteServiceDeps) {
    this.#deps = deps;
  }

  get cancelPeriodMs(): number {
    return this.#deps.cancelPeriodMs;
  }

  get maxIntervalMs(): number {
    return this.#deps.maxIntervalMs;
  }

  /** From now on queries on every node hide its entries. @returns its id @throws RefusedError BAD_REQUEST if there are too many */
  async add(
    tenant: string,
    { query, startMs, endMs }: Pick<DeleteRequest, 'query' | 'startMs' | 'endMs'>,
  ): Promise<string> {
    const { requests, nowMs, chance } = this.#deps;
    const before = await requests.ofTenant(tenant);
    if (before.length >= REQUESTS_MAX) throw tooMany();
    const known = new Set(before.map((request) => request.requestId));
    let requestId: string;
    do
      requestId = Math.floor(chance() * 2 ** 32)
        .toString(16)
        .padStart(8, '0');
    while (known.has(requestId));
    await requests.add({ tenant, requestId, query, startMs, endMs, createdMs: nowMs() });
    return requestId;
  }

  /** Oldest first. */
  async list(tenant: string): Promise<readonly ShownRequest[]> {
    const found = await this.#deps.requests.ofTenant(tenant);
    const tables = await this.#tables();
    return found.map((request) => ({ ...request, status: this.#statusOf(request, tables) }));
  }

  /** Queries show its entries again, as far as they are not deleted yet. */
  async cancel(tenant: string, requestId: string, isForced: boolean): Promise<CancelOutcome> {
    const { requests, nowMs, cancelPeriodMs } = this.#deps;
    const request = (await requests.ofTenant(tenant)).find((one) => one.requestId === requestId);
    if (!request) return 'not-found';
    if (request.isProcessed) return 'processed';
    const isBegun = this.#statusOf(request, await this.#tables()) !== RECEIVED;
    const isLate = request.createdMs + cancelPeriodMs < nowMs();
    if ((isBegun || isLate) && !isForced) return 'too-late';
    await requests.remove(request);
    return 'cancelled';
  }

  #statusOf(request: TrackedRequest, tables: readonly string[]): string {
    return statusOfRequest(this.#deps.schema, request, tables);
  }

  async #tables(): Promise<readonly string[]> {
    return (await this.#deps.index.tables?.()) ?? [];
  }
}
