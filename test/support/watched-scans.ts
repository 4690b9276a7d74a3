/** What nodes of a test run for queries at any moment: scans in their threads, calls of other nodes. */
import { GrpcPeers } from '../../src/cluster/transport/grpc-peers.ts';
import type { PeerHandler } from '../../src/cluster/transport/peers.ts';
import type { CallKind } from '../../src/member/call-kinds.ts';
import type { StartPeers } from '../../src/member/start-member.ts';
import { tenantOfScan } from '../../src/node-workers.ts';
import type { ScanResult, ScanTask } from '../../src/query/scan/scan-messages.ts';
import { WorkerPool } from '../../src/workers/worker-pool.ts';

export interface EndedScan {
  readonly tenant: string;
  /** Tasks of other tenants that ended here while it waited and ran. */
  readonly othersBefore: number;
  /** Tasks of its own that were here when it came. */
  readonly ownAhead: number;
}

/** A thread for scans that says what it does, and does nothing while it is held. */
export class WatchedPool extends WorkerPool<ScanTask, ScanResult> {
  readonly ended: EndedScan[] = [];
  readonly #here = new Map<string, number>();
  readonly #release: (() => void)[] = [];
  isHeld = false;
  /** Tasks that were given to it. */
  given = 0;

  constructor() {
    super({ entry: 'scan-worker', size: 1, queueMax: 10_000, tenantOf: tenantOfScan });
  }

  /** Tasks that somebody waits for. */
  get unsettled(): number {
    let count = 0;
    for (const own of this.#here.values()) count += own;
    return count;
  }

  override async run(...[task, transfer, signal]: Parameters<WorkerPool<ScanTask, ScanResult>['run']>) {
    const tenant = tenantOfScan(task);
    const ownAhead = this.#here.get(tenant) ?? 0;
    const before = this.#endedOfOthers(tenant);
    this.given += 1;
    this.#here.set(tenant, ownAhead + 1);
    try {
      if (this.isHeld) await this.#held(signal);
      return await super.run(task, transfer, signal);
    } finally {
      this.#here.set(tenant, (this.#here.get(tenant) ?? 0) - 1);
      this.ended.push({ tenant, ownAhead, othersBefore: this.#endedOfOthers(tenant) - before });
    }
  }

  letGo(): void {
    this.isHeld = false;
    for (const release of this.#release.splice(0)) release();
  }

  #endedOfOthers(tenant: string): number {
    return this.ended.filter((one) => one.tenant !== tenant).length;
  }

  #held(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#release.push(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }
}

/** Calls of other nodes that a node is answering, by their kind. */
export class WatchedCalls {
  readonly #open = new Map<number, number>();

  open(kind: (typeof CallKind)[keyof typeof CallKind]): number {
    return this.#open.get(kind) ?? 0;
  }

  readonly startPeers: StartPeers = (options) => {
    const handlers = Array.from(options.handlers, ([kind, handler]) => [kind, this.#watched(kind, handler)] as const);
    return GrpcPeers.start({ ...options, handlers: new Map(handlers) });
  };

  #watched(kind: number, handler: PeerHandler): PeerHandler {
    const change = (by: number): void => void this.#open.set(kind, (this.#open.get(kind) ?? 0) + by);
    return (body, call) => {
      change(1);
      const answer = handler(body, call);
      if (!(Symbol.asyncIterator in answer)) return answer.finally(() => change(-1));
      return watchedAnswers(answer, () => change(-1));
    };
  }
}

async function* watchedAnswers(
  answers: AsyncIterable<readonly Uint8Array[]>,
  ended: () => void,
): AsyncGenerator<readonly Uint8Array[]> {
  try {
    yield* answers;
  } finally {
    ended();
  }
}
