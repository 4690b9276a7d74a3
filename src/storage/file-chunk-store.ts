import { randomUUID } from 'node:crypto';
import type { Dir, Dirent } from 'node:fs';
import { type FileHandle, mkdir, opendir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, withFile } from '../protocol/durable-files.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type ChunkStore, type ObjectPart, type ObjectRange, type ObjectState, rangeWithin } from './chunk-store.ts';
import { codeOf, MISSING_CODES, TEMPORARY } from './file-commit.ts';
import { FileCommitQueue } from './file-commit-queue.ts';
import { folderOfTenant, keyOfPath, pathOfKey } from './file-path.ts';
import { makeFolder } from './make-folder.ts';

/**
 * One file an object, below a folder. A file appears under its name only when it is whole and on disk; puts and deletes that come
 * together share the work (see FileCommitter). A key without a slash cannot be the tenant of another (`a` beside
 * `a/b`): chunk keys never are.
 */
export class FileChunkStore implements ChunkStore {
  readonly #root: string;
  readonly #changes: FileCommitQueue;
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  private constructor(root: string) {
    this.#root = root;
    this.#changes = new FileCommitQueue(root);
  }

  /**
   * Makes the folder if it is not there and drops what an interrupted put left behind. `isShared`: other processes use it too. `isReadOnly`: the folder must be
   * there, and nothing is touched.
   * @throws RefusedError STORAGE_UNAVAILABLE
   */
  static async open(folder: string, { isShared = false, isReadOnly = false } = {}): Promise<FileChunkStore> {
    const root = path.resolve(folder);
    return await guarded('open the chunk folder', async () => {
      if (isReadOnly) {
        await (await opendir(root)).close();
        return new FileChunkStore(root);
      }
      await makeFolder(root);
      await dropUnfinished(path.join(root, TEMPORARY), isShared ? SHARED_AGE_MS : 0);
      await syncFolder(root);
      await syncFolder(path.dirname(root));
      return new FileChunkStore(root);
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const file = pathOfKey(key);
    await this.#run('write a chunk', () => this.#changes.commit(file, bytes));
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const source = this.fileOf(key);
    return await this.#run(`read chunk ${key}`, async () => await unlessMissing(readWhole(source)));
  }

  async getRange(key: string, range: ObjectRange, version?: string): Promise<ObjectPart | undefined> {
    const source = this.fileOf(key);
    return await this.#run(`read chunk ${key}`, async () => await unlessMissing(readPart(source, range, version)));
  }

  fileOf(key: string): string {
    return path.join(this.#root, pathOfKey(key));
  }

  async state(key: string): Promise<ObjectState | undefined> {
    const file = this.fileOf(key);
    const found = await this.#run('look for a chunk', () => unlessMissing(stat(file)));
    return found?.isFile() ? { size: found.size, storedMs: found.mtimeMs } : undefined;
  }

  async delete(key: string): Promise<boolean> {
    const file = pathOfKey(key);
    return await this.#run('delete a chunk', () => this.#changes.commit(file, undefined));
  }

  async *list(prefix: string): AsyncIterable<string> {
    const tenantEnd = prefix.indexOf('/');
    const folders = [tenantEnd < 0 ? '' : folderOfTenant(prefix.slice(0, tenantEnd))];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const relative = folder;
      const opened = await this.#run('list chunks', () =>
        unlessMissing(opendir(path.join(this.#root, relative), PAGE)),
      );
      if (!opened) continue;
      for await (const entry of this.#entries(opened)) {
        if (entry.name.startsWith('.')) continue;
        const found = path.posix.join(relative, entry.name);
        if (entry.isDirectory()) {
          folders.push(found);
          continue;
        }
        const key = keyOfPath(found);
        if (key?.startsWith(prefix)) yield key;
      }
    }
  }

  /** A page at a time: a folder may have a million files. Closes it, also when nobody wants more. */
  async *#entries(folder: Dir): AsyncGenerator<Dirent> {
    try {
      for (;;) {
        const entry = await this.#run('list chunks', () => folder.read());
        if (entry === null) return;
        yield entry;
      }
    } finally {
      await folder.close();
    }
  }

  /** Waits for what is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    await this.#changes.close();
  }

  async #run<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'the chunk store is closed' });
    const running = guarded(what, work);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }
}

/** Names read of a folder at a time. */
const PAGE = { bufferSize: 1000 };

/** Of an unfinished file of another process: it is not being written any more. */
const SHARED_AGE_MS = 3_600_000;

const dropUnfinished = async (folder: string, ageMs: number): Promise<void> => {
  await mkdir(folder, { recursive: true });
  const nowMs = await touchedMs(folder);
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    // Another process may be faster.
    const changedMs = (await unlessMissing(stat(file)))?.mtimeMs ?? 0;
    if (ageMs === 0 || nowMs - changedMs > ageMs) await rm(file, { recursive: true, force: true });
  }
};

/** The file system's time, which its files have too. */
const touchedMs = async (folder: string): Promise<number> => {
  const file = path.join(folder, randomUUID());
  await withFile(file, 'wx', async () => undefined);
  const { mtimeMs } = await stat(file);
  await rm(file);
  return mtimeMs;
};

const readWhole = async (file: string): Promise<Uint8Array<ArrayBuffer>> =>
  await withFile(file, 'r', async (handle) => await readBytes(handle, 0, (await handle.stat()).size));

/** A file that takes another's place is another inode; one that is written to has another time. */
const readPart = async (file: string, range: ObjectRange, wanted?: string): Promise<ObjectPart | undefined> =>
  await withFile(file, 'r', async (handle) => {
    const { ino, mtimeNs, size: bigSize } = await handle.stat({ bigint: true });
    const version = `${ino}-${mtimeNs}-${bigSize}`;
    const size = Number(bigSize);
    const within = rangeWithin(range, size);
    if (!within || (wanted !== undefined && wanted !== version)) return undefined;
    return { bytes: await readBytes(handle, within.start, within.end), start: within.start, size, version };
  });

/** Bytes [start, end), in a buffer of their own. */
const readBytes = async (handle: FileHandle, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
  const size = end - start;
  const bytes = Buffer.allocUnsafeSlow(size);
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await handle.read(bytes, filled, size - filled, start + filled);
    if (bytesRead === 0) throw new Error(`file ends after ${start + filled} of ${end} bytes`);
    filled += bytesRead;
  }
  return new Uint8Array(bytes.buffer);
};

const unlessMissing = async <T>(work: Promise<T>): Promise<T | undefined> => {
  try {
    return await work;
  } catch (error) {
    if (MISSING_CODES.has(codeOf(error))) return undefined;
    throw error;
  }
};

const guarded = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `cannot ${what}: ${why}` }, { cause: error });
  }
};
