import { crc32c } from '../chunk/checksum.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { parseChunkKey } from './chunk-key.ts';
import type { ChunkStore, ObjectPart, ObjectRange, ObjectState } from './chunk-store.ts';
import { checkAccess } from './gcs-access.ts';
import { checksumText, GcsClient } from './gcs-client.ts';
import { CallError, type CallLimits, RetriedCalls, type RetriedCallsDeps } from './retried-calls.ts';

export interface GcsChunkStoreOptions {
  readonly bucket: string;
  /** `https://host` or `http://host:port`; Cloud Storage itself, or STORAGE_EMULATOR_HOST, unless it is said. */
  readonly endpoint?: string | undefined;
  /** Whether an `endpoint` gets credentials; unless it is said, one over TLS does. */
  readonly sendsCredentials?: boolean | undefined;
  /** In ms: one request, and a whole call with its wait and its retries. */
  readonly requestTimeoutMs?: number;
  readonly callTimeoutMs?: number;
  /** Requests at a time, and calls that may wait, of writing and of reading each: a large query holds up no flush. */
  readonly concurrencyMax?: number;
  readonly waitingMax?: number;
  /** Nothing is written or deleted: only what reading needs is looked for at the start. */
  readonly isReadOnly?: boolean | undefined;
}

/** Chosen: a page costs a request, and the service gives no more. */
const PAGE_NAMES_MAX = 1000;
const KEY_BYTES_MAX = 1024;
const REQUEST_TIMEOUT_MS = 20_000;
const CALL_TIMEOUT_MS = 60_000;
/** As many flushes are under way by default. */
const CONCURRENCY_MAX = 64;
/** Chosen, as in the file store. */
const WAITING_MAX = 10_000;
/** Chosen: with these pauses 3 s of trouble on average; the flusher tries for ever, a query ends. */
const RETRIES = { triesMax: 6, firstMs: 200, lastMs: 5000, shareMin: 0 };

/**
 * Objects in a bucket, under the keys themselves as Loki has them. Objects never change: a key is written on the condition that it is not there, and if it
 * is, its checksum must be ours.
 */
export class GcsChunkStore implements ChunkStore {
  readonly #bucket: string;
  readonly #client: GcsClient;
  readonly #writes: RetriedCalls;
  readonly #reads: RetriedCalls;

  private constructor(options: GcsChunkStoreOptions, deps: RetriedCallsDeps) {
    const { bucket, endpoint, sendsCredentials } = options;
    const { requestTimeoutMs = REQUEST_TIMEOUT_MS, callTimeoutMs = CALL_TIMEOUT_MS } = options;
    const { concurrencyMax = CONCURRENCY_MAX, waitingMax = WAITING_MAX } = options;
    const limits: CallLimits = {
      runningMax: concurrencyMax,
      waitingMax,
      attemptMs: requestTimeoutMs,
      totalMs: callTimeoutMs,
      retries: RETRIES,
    };
    this.#bucket = bucket;
    this.#client = new GcsClient({
      bucket,
      endpoint,
      sendsCredentials,
      timeoutMs: requestTimeoutMs,
      connectionsMax: concurrencyMax,
    });
    this.#writes = new RetriedCalls(limits, deps);
    this.#reads = new RetriedCalls(limits, deps);
  }

  /**
   * Credentials come from where Google's libraries look for them: GOOGLE_APPLICATION_CREDENTIALS, the user's own, the machine's service account.
   * @throws RefusedError STORAGE_UNAVAILABLE if the bucket cannot be used; its text says why
   */
  static async open(options: GcsChunkStoreOptions, deps: RetriedCallsDeps): Promise<GcsChunkStore> {
    const store = new GcsChunkStore(options, deps);
    try {
      await checkAccess(store.#client, store.#reads, options);
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    const checksum = checksumText(crc32c(bytes));
    await this.#writes.run(`write a chunk to bucket ${this.#bucket}`, async () => {
      if (await this.#client.insert(key, bytes, checksum)) return;
      const stored = await this.#client.state(key);
      if (!stored) throw new CallError('the object was there, and was deleted meanwhile', true);
      // An emulator may not tell.
      if (stored.crc32c !== undefined && stored.crc32c !== checksum) throw otherObject(this.#bucket, key);
    });
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    checkKey(key);
    const checksum = parseChunkKey(key)?.checksum;
    const expected = checksum === undefined ? undefined : checksumText(checksum);
    return await this.#reads.run(`read a chunk from bucket ${this.#bucket}`, async ({ signal }) => {
      const bytes = await this.#client.download(key, expected, signal);
      if (!bytes) await this.#expectBucket();
      return bytes;
    });
  }

  /** The generation is the version: the bucket gives a part of that one, or none. */
  async getRange(key: string, range: ObjectRange, version?: string): Promise<ObjectPart | undefined> {
    checkKey(key);
    return await this.#reads.run(`read a part of a chunk from bucket ${this.#bucket}`, async ({ signal }) => {
      const part = await this.#client.downloadPart(key, range, version, signal);
      if (part === 'missing') await this.#expectBucket();
      return typeof part === 'string' ? undefined : part;
    });
  }

  async state(key: string): Promise<ObjectState | undefined> {
    checkKey(key);
    return await this.#reads.run(`look for a chunk in bucket ${this.#bucket}`, async () => {
      const state = await this.#client.state(key);
      if (!state) await this.#expectBucket();
      return state;
    });
  }

  /** If the answer was lost and the object is gone at the next attempt, it was there. */
  async delete(key: string): Promise<boolean> {
    checkKey(key);
    return await this.#writes.run(`delete a chunk from bucket ${this.#bucket}`, async ({ isRepeated }) => {
      if (await this.#client.delete(key)) return true;
      await this.#expectBucket();
      return isRepeated;
    });
  }

  async *list(prefix: string): AsyncIterable<string> {
    let pageToken: string | undefined;
    do {
      const page = await this.#reads.run(`list chunks of bucket ${this.#bucket}`, () =>
        this.#client.page(prefix, pageToken, PAGE_NAMES_MAX),
      );
      yield* page.names;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** Ends what reads and what waits; waits for writes that are under way. */
  async close(): Promise<void> {
    await Promise.all([this.#writes.close(false), this.#reads.close(true)]);
    await this.#client.close();
  }

  /** 404 may mean the object or the bucket; a bucket that was removed must not look like chunks that were never there. */
  async #expectBucket(): Promise<void> {
    await this.#client.page('', undefined, 1);
  }
}

const otherObject = (bucket: string, key: string): RefusedError =>
  new RefusedError({ code: 'INTERNAL', text: `bucket ${bucket} has an object ${key} with other bytes` });

/** What Cloud Storage takes as an object's name. */
const checkKey = (key: string): void => {
  const size = Buffer.byteLength(key);
  const isName =
    size > 0 &&
    size <= KEY_BYTES_MAX &&
    key !== '.' &&
    key !== '..' &&
    !/[\r\n]|\p{Surrogate}/u.test(key) &&
    !key.startsWith('.well-known/acme-challenge/');
  if (isName) return;
  const text = `no object key: ${JSON.stringify(key.slice(0, 100))}, want 1 to ${KEY_BYTES_MAX} bytes without line ends`;
  throw new RefusedError({ code: 'BAD_REQUEST', text });
};
