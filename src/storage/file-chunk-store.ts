import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { RefusedError } from '../protocol/refusal.ts';
import type { ChunkStore } from './chunk-store.ts';
import { keyOfPath, pathOfKey } from './file-path.ts';

/** Folder of unfinished files. No key's path begins with a dot. */
const TEMPORARY = '.tmp';

/** Chosen: a flush of 100,000 streams must not hold their paths forever. */
const KNOWN_FOLDERS_MAX = 10_000;

/**
 * One file an object, below a folder. A file appears under its name only when it is whole and on disk: it is written beside, synced,
 * renamed, and then its folder is synced. One process at a time. A key cannot be another's folder (`a` beside `a/b`): chunk keys never are.
 */
export class FileChunkStore implements ChunkStore {
  readonly #root: string;
  /** Folders whose entries in their parents are on disk. */
  readonly #knownFolders = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Makes the folder if it is not there and drops what an interrupted put left behind. @throws RefusedError STORAGE_UNAVAILABLE */
  static async open(folder: string): Promise<FileChunkStore> {
    const root = path.resolve(folder);
    return await guarded('open the chunk folder', async () => {
      await mkdir(root, { recursive: true });
      await rm(path.join(root, TEMPORARY), { recursive: true, force: true });
      await mkdir(path.join(root, TEMPORARY));
      await syncFolder(root);
      await syncFolder(path.dirname(root));
      return new FileChunkStore(root);
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const target = path.join(this.#root, pathOfKey(key));
    await this.#run('write a chunk', async () => {
      const temporary = path.join(this.#root, TEMPORARY, randomUUID());
      try {
        await writeSynced(temporary, bytes);
        await this.#moveInto(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true }).catch(ignore);
        throw error;
      }
    });
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const source = path.join(this.#root, pathOfKey(key));
    return await this.#run('read a chunk', async () => await unlessMissing(readWhole(source)));
  }

  async delete(key: string): Promise<boolean> {
    const target = path.join(this.#root, pathOfKey(key));
    return await this.#run('delete a chunk', async () => {
      const wasThere = await unlessMissing(unlink(target).then(() => true));
      if (!wasThere) return false;
      await syncFolder(path.dirname(target));
      await this.#removeIfEmpty(path.dirname(target));
      return true;
    });
  }

  async *list(prefix: string): AsyncIterable<string> {
    const folders = [''];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const relative = folder;
      const entries = await this.#run(
        'list chunks',
        async () => await unlessMissing(readdir(path.join(this.#root, relative), { withFileTypes: true })),
      );
      for (const entry of entries ?? []) {
        if (entry.name.startsWith('.')) continue;
        const found = path.posix.join(relative, entry.name);
        if (entry.isDirectory()) {
          if (mayHold(found, prefix)) folders.push(found);
          continue;
        }
        const key = keyOfPath(found);
        if (key?.startsWith(prefix)) yield key;
      }
    }
  }

  /** Waits for what is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
  }

  async #moveInto(temporary: string, target: string): Promise<void> {
    const folder = path.dirname(target);
    await this.#makeFolder(folder);
    try {
      await rename(temporary, target);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      // A delete removed the folder, empty until now.
      this.#knownFolders.delete(folder);
      await this.#makeFolder(folder);
      await rename(temporary, target);
    }
    await syncFolder(folder);
  }

  /** Makes the folder and those above it, and has them on disk. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === this.#root || this.#knownFolders.has(folder)) return;
    const parent = path.dirname(folder);
    await this.#makeFolder(parent);
    await mkdir(folder, { recursive: true });
    await syncFolder(parent);
    if (this.#knownFolders.size >= KNOWN_FOLDERS_MAX) this.#knownFolders.clear();
    this.#knownFolders.add(folder);
  }

  async #removeIfEmpty(folder: string): Promise<void> {
    if (folder === this.#root) return;
    this.#knownFolders.delete(folder);
    try {
      await rmdir(folder);
    } catch {
      return;
    }
    await this.#removeIfEmpty(path.dirname(folder));
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

/** True if a key below this folder may begin with `prefix`, or the other way round. */
const mayHold = (folder: string, prefix: string): boolean => {
  const key = keyOfPath(folder);
  // Part of a name that goes on: look inside.
  if (key === undefined) return true;
  return `${key}/`.startsWith(prefix) || prefix.startsWith(`${key}/`);
};

const writeSynced = async (file: string, bytes: Uint8Array): Promise<void> => {
  await withFile(file, 'wx', async (handle) => {
    await handle.writeFile(bytes);
    await handle.datasync();
  });
};

const readWhole = async (file: string): Promise<Uint8Array<ArrayBuffer>> =>
  await withFile(file, 'r', async (handle) => {
    const { size } = await handle.stat();
    const bytes = Buffer.allocUnsafeSlow(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await handle.read(bytes, filled, size - filled, filled);
      if (bytesRead === 0) throw new Error(`file ends after ${filled} of ${size} bytes`);
      filled += bytesRead;
    }
    return new Uint8Array(bytes.buffer);
  });

const syncFolder = async (folder: string): Promise<void> => {
  await withFile(folder, 'r', async (handle) => await handle.sync());
};

const withFile = async <T>(file: string, flags: string, work: (handle: FileHandle) => Promise<T>): Promise<T> => {
  const handle = await open(file, flags);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
};

/** No such file; a part of the path is a file; the path is a folder. */
const MISSING_CODES: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

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
    const why = error instanceof Error ? error.message : String(error);
    throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `cannot ${what}: ${why}` }, { cause: error });
  }
};

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const ignore = (): void => {};
