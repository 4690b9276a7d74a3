import { Worker } from 'node:worker_threads';
import { RefusedError } from '../protocol/refusal.ts';
import type { FileChange, FileOutcome } from './file-commit.ts';

/** Chosen: so many files are open at once, and so many can fail together. */
const GROUP_CHANGES_MAX = 64;

/** Chosen: ten full chunks; a single change may be larger. */
const GROUP_BYTES_MAX = 16 << 20;

/** Chosen: ten times what the flusher has under way at the most. */
const WAITING_CHANGES_MAX = 10_000;

interface Waiting {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  readonly resolve: (wasThere: boolean) => void;
  readonly reject: (error: Error) => void;
}

/** Who waits for the answer to the group that the thread has. */
interface Sent {
  readonly resolve: (outcomes: readonly FileOutcome[]) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Hands file changes to a thread of its own, in groups: what arrives while a group is written goes into the next one together (group
 * commit). The thread starts with the first change; should it crash, its group fails and the next one gets a new thread.
 */
export class FileCommitQueue {
  readonly #root: string;
  readonly #thread: URL;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  #sent: Sent | undefined;
  #draining: Promise<void> | undefined;

  constructor(root: string, thread = threadEntry()) {
    this.#root = root;
    this.#thread = thread;
  }

  /**
   * Resolves once the change is durable, with whether there was a file (of a removal). The bytes are copied at once.
   * @throws RefusedError OVERLOADED if too many wait; otherwise the file system's error, with its `code`
   */
  commit(path: string, bytes: Uint8Array | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= WAITING_CHANGES_MAX) {
        reject(new RefusedError({ code: 'OVERLOADED', text: 'too many chunks wait for the disk', retryAfterMs: 100 }));
        return;
      }
      this.#waiting.push({ path, bytes: bytes && new Uint8Array(bytes), resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Waits for what was accepted. */
  async close(): Promise<void> {
    await this.#draining;
    await this.#worker?.terminate();
  }

  async #drain(): Promise<void> {
    // Callers that go on in the same turn get into the first group.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      try {
        settle(group, await this.#send(group));
      } catch (error) {
        for (const { reject } of group) reject(error as Error);
      }
    }
    this.#draining = undefined;
  }

  #nextGroup(): readonly Waiting[] {
    let bytes = 0;
    let end = 0;
    while (end < this.#waiting.length && end < GROUP_CHANGES_MAX) {
      bytes += this.#waiting[end]?.bytes?.length ?? 0;
      if (end > 0 && bytes > GROUP_BYTES_MAX) break;
      end++;
    }
    return this.#waiting.splice(0, end);
  }

  #send(group: readonly Waiting[]): Promise<readonly FileOutcome[]> {
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#spawn();
      // An idle thread keeps no process alive, a busy one does.
      this.#worker.ref();
      this.#sent = { resolve, reject };
      const changes = group.map(({ path, bytes }): FileChange => ({ path, bytes }));
      this.#worker.postMessage(
        changes,
        group.flatMap(({ bytes }) => bytes?.buffer ?? []),
      );
    });
  }

  #spawn(): Worker {
    const worker = new Worker(this.#thread, { workerData: this.#root });
    const end = (why: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      const text = why instanceof Error ? why.message : `exit code ${why}`;
      this.#sent?.reject(new Error(`the thread that writes chunks ended: ${text}`, { cause: why }));
    };
    worker.on('message', (outcomes: readonly FileOutcome[]) => {
      worker.unref();
      this.#sent?.resolve(outcomes);
    });
    worker.on('error', end);
    worker.on('exit', end);
    return worker;
  }
}

const settle = (group: readonly Waiting[], outcomes: readonly FileOutcome[]): void => {
  for (const [index, { resolve, reject }] of group.entries()) {
    const outcome = outcomes[index];
    if (outcome?.ok) resolve(outcome.wasThere);
    else reject(Object.assign(new Error(outcome?.message), { code: outcome?.code }));
  }
};

/**
 * The built package has .js beside this file. Under tsx the sources run as they are, and since Node 20 a thread does not inherit the
 * loader that `--import tsx` put into the main one: it registers its own first.
 */
const threadEntry = (): URL => {
  if (!import.meta.url.endsWith('.ts')) return new URL('./file-commit-thread.js', import.meta.url);
  const source = new URL('./file-commit-thread.ts', import.meta.url);
  const bootstrap = `import { createRequire } from 'node:module';
    const require = createRequire('${source}');
    require('tsx/cjs/api').register();
    require(decodeURIComponent('${source.pathname}'));`;
  return new URL(`data:text/javascript,${encodeURIComponent(bootstrap)}`);
};
