import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { RefusedError } from '../protocol/refusal.ts';
import { codeOf } from './file-commit.ts';
import { makeFolder } from './make-folder.ts';

const NAME = 'lock';

/** A socket's address holds 103 bytes on every system; some are left for the name it is moved to. */
const ADDRESS_SIZE_MAX = 92;

/** File systems without sockets: there is no way to tell, and no reason not to run. */
const NO_SOCKETS = new Set<unknown>(['ENOTSUP', 'EOPNOTSUPP']);

/**
 * Keeps a folder to one process, and to one holder in it: a socket in the folder that somebody listens on. It is gone with the process,
 * however that ends, and holds between containers, where process ids say nothing.
 */
export class FolderLock {
  readonly #server: net.Server;
  readonly #folder: FileHandle | undefined;

  private constructor(server: net.Server, folder: FileHandle | undefined) {
    this.#server = server;
    this.#folder = folder;
  }

  /** Makes the folder, if it is not there, and takes it. @throws RefusedError STORAGE_UNAVAILABLE as `take`, or if it cannot be made */
  static async make(folder: string): Promise<FolderLock> {
    try {
      await makeFolder(folder);
    } catch (error) {
      const text = `cannot make the data folder ${path.resolve(folder)}: ${(error as Error).message}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
    }
    return await FolderLock.take(folder);
  }

  /** The folder must be there. @throws RefusedError STORAGE_UNAVAILABLE if somebody has it, or it cannot be written to */
  static async take(folder: string): Promise<FolderLock> {
    const root = path.resolve(folder);
    const handle = isLong(root) ? await open(root, 'r') : undefined;
    const address = path.join(handle ? `/proc/self/fd/${handle.fd}` : root, NAME);
    try {
      return new FolderLock((await listened(address)) ?? (await takenOver(root, address)), handle);
    } catch (error) {
      await handle?.close();
      if (error instanceof RefusedError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      const text = `cannot use the data folder ${root}: ${why}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
    }
  }

  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#folder?.close();
  }
}

/** Linux reaches a socket by its folder's descriptor, which is short. */
const isLong = (root: string): boolean =>
  os.platform() === 'linux' && Buffer.byteLength(path.join(root, NAME)) > ADDRESS_SIZE_MAX;

/** undefined if there is such a socket, in use or left behind. */
const listened = (address: string): Promise<net.Server | undefined> =>
  new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.unref();
    server.on('error', (error) => {
      if (codeOf(error) === 'EADDRINUSE') resolve(undefined);
      else if (NO_SOCKETS.has(codeOf(error))) resolve(server);
      else reject(error);
    });
    server.listen(address, () => resolve(server));
  });

/** In the place of a socket that a process left behind. Moved away first, so that of two that try it one finds it gone. */
const takenOver = async (root: string, address: string): Promise<net.Server> => {
  if (await isAnswered(address)) throw inUse(root);
  const aside = `${address}.${randomUUID().slice(0, 8)}`;
  await rename(address, aside).catch(() => undefined);
  if (await isAnswered(aside)) {
    await rename(aside, address);
    throw inUse(root);
  }
  await rm(aside, { force: true });
  const server = await listened(address);
  if (!server) throw inUse(root);
  return server;
};

const isAnswered = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(address);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

const inUse = (root: string): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `the data folder ${root} is in use by another ringlog node` });
