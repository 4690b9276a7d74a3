/** The log's folder on this machine. Writes go to a thread of their own, reads through libuv's pool: neither waits for the other. */
import fs, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { InFlight } from '../protocol/in-flight.ts';
import { type DiskSpace, type FileStep, type LogFile, LogFileError, type LogFiles } from './log-files.ts';
import type { SharedMemory, ThreadAnswer, ThreadData, ThreadQuestion } from './log-thread.ts';
import type { FileRequest, FileResult } from './node-file-steps.ts';
import { SLOT_ID, WriteSlot } from './write-slot.ts';

interface Asked {
  readonly step: FileStep;
  readonly resolve: (result: FileResult) => void;
  readonly reject: (error: LogFileError) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly slot: WriteSlot;
  /** Memory that it knows of, by number. */
  readonly memories: Map<ArrayBufferLike, number>;
}

/** A log has two halves of a batch; more than these are sent as messages. */
const MEMORIES_MAX = 8;

/**
 * The folder must be there. The thread starts with the first write; should it crash, what it had is refused and the next request gets a new
 * one. Requests are few: one commit, and what tidies up.
 */
export class NodeLogFiles implements LogFiles {
  readonly #folder: string;
  readonly #asked = new InFlight<Asked>();
  #thread: Thread | undefined;
  #nextId = 1;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async list(): Promise<readonly string[]> {
    return await failing('list', fs.readdir(this.#folder));
  }

  async open(name: string, mode: 'create' | 'write' | 'read'): Promise<LogFile> {
    if (mode === 'read') return new ReadFile(await failing('open', fs.open(path.join(this.#folder, name), 'r')));
    const thread = this.#running();
    const handle = (await this.#ask(thread, 'open', { type: 'open', name, isNew: mode === 'create' })) as number;
    const asked = (step: FileStep, request: FileRequest) => this.#askOf(thread, step, request);
    return new WrittenFile(asked, handle, () => this.open(name, 'read'));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#ask(this.#running(), 'rename', { type: 'rename', from, to });
  }

  async unlink(name: string): Promise<void> {
    await this.#ask(this.#running(), 'unlink', { type: 'unlink', name });
  }

  async syncFolder(): Promise<void> {
    await this.#ask(this.#running(), 'sync', { type: 'sync-folder' });
  }

  async space(): Promise<DiskSpace> {
    const { bsize, blocks, bavail, bfree } = await failing('space', fs.statfs(this.#folder));
    // What is kept for root counts as used, or a full disk would never look full.
    return { sizeBytes: bsize * (blocks - bfree + bavail), freeBytes: bsize * bavail };
  }

  async close(): Promise<void> {
    await this.#thread?.worker.terminate();
  }

  #running(): Thread {
    this.#thread ??= this.#spawn();
    return this.#thread;
  }

  /**
   * About a file that the thread has opened. A thread's files are closed when it ends, and their numbers are given to others, which may be anybody's: of a file
   * whose thread has ended nothing is done any more.
   */
  async #askOf(thread: Thread, step: FileStep, request: FileRequest): Promise<FileResult> {
    if (this.#thread === thread) return await this.#ask(thread, step, request);
    if (request.type === 'close') return undefined;
    throw new LogFileError('the thread that had the file open has ended', { step, code: 'EBADF' });
  }

  /** Has the thread do it. `step`: what failed if the thread itself does. */
  #ask(thread: Thread, step: FileStep, request: FileRequest): Promise<FileResult> {
    return new Promise((resolve, reject) => {
      const { worker, slot } = thread;
      // An idle thread keeps no process alive, a busy one does.
      worker.ref();
      if (request.type === 'write' && this.#writeInSlot(thread, request)) {
        this.#asked.set(SLOT_ID, { step, resolve, reject });
        return;
      }
      const id = this.#nextId;
      this.#nextId += 1;
      this.#asked.set(id, { step, resolve, reject });
      worker.postMessage({ id, request } satisfies ThreadQuestion);
      slot.ring();
    });
  }

  /** False: it must be sent as a message. */
  #writeInSlot(thread: Thread, { handle, offset, bytes, isSynced }: Extract<FileRequest, { type: 'write' }>): boolean {
    const { worker, slot, memories } = thread;
    const { buffer, byteOffset: start, length } = bytes;
    if (!slot.isFree || this.#asked.has(SLOT_ID) || !(buffer instanceof SharedArrayBuffer)) return false;
    let memory = memories.get(buffer);
    if (memory === undefined) {
      if (memories.size === MEMORIES_MAX) return false;
      memory = memories.size;
      memories.set(buffer, memory);
      worker.postMessage({ memory: buffer } satisfies SharedMemory);
    }
    void slot.post({ memory, start, length, handle, offset, isSynced }).then((isWritten) => {
      // Else a message says why it failed.
      if (isWritten) this.#settle(thread, { id: SLOT_ID, ok: true, result: undefined });
    });
    return true;
  }

  #spawn(): Thread {
    const slot = new WriteSlot();
    const workerData: ThreadData = { folder: this.#folder, slot: slot.memory };
    const worker = new Worker(threadEntry(), { workerData });
    const thread = { worker, slot, memories: new Map() };
    const end = (why: unknown): void => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      const text = `the thread of the log ended: ${why instanceof Error ? why.message : `exit code ${why}`}`;
      for (const { step, reject } of this.#asked.values())
        reject(new LogFileError(text, { step, code: 'EIO', cause: why }));
      this.#asked.clear();
    };
    worker.on('message', (answer: ThreadAnswer) => this.#settle(thread, answer));
    worker.on('error', end);
    worker.on('exit', end);
    return thread;
  }

  #settle(thread: Thread, answer: ThreadAnswer): void {
    // What an ended thread had is refused already.
    if (this.#thread !== thread) return;
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (this.#asked.size === 0) thread.worker.unref();
    if (answer.ok) asked?.resolve(answer.result);
    else asked?.reject(new LogFileError(answer.message, answer));
  }
}

class WrittenFile implements LogFile {
  readonly #ask: (step: FileStep, request: FileRequest) => Promise<FileResult>;
  readonly #handle: number;
  readonly #openToRead: () => Promise<LogFile>;
  #reader: Promise<LogFile> | undefined;

  constructor(
    ask: (step: FileStep, request: FileRequest) => Promise<FileResult>,
    handle: number,
    openToRead: () => Promise<LogFile>,
  ) {
    this.#ask = ask;
    this.#handle = handle;
    this.#openToRead = openToRead;
  }

  async size(): Promise<number> {
    return await (await this.#read()).size();
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    return await (await this.#read()).read(offset, into);
  }

  async write(offset: number, bytes: Uint8Array, isSynced: boolean): Promise<void> {
    await this.#ask('write', { type: 'write', handle: this.#handle, offset, bytes, isSynced });
  }

  async datasync(): Promise<void> {
    await this.#ask('sync', { type: 'datasync', handle: this.#handle });
  }

  async truncate(size: number): Promise<void> {
    await this.#ask('truncate', { type: 'truncate', handle: this.#handle, size });
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await (await reader)?.close();
    await this.#ask('close', { type: 'close', handle: this.#handle });
  }

  #read(): Promise<LogFile> {
    this.#reader ??= this.#openToRead();
    return this.#reader;
  }
}

class ReadFile implements LogFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async size(): Promise<number> {
    const { size } = await failing('read', this.#handle.stat());
    return size;
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    let read = 0;
    while (read < into.length) {
      const { bytesRead } = await failing('read', this.#handle.read(into, read, into.length - read, offset + read));
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return read;
  }

  async write(): Promise<void> {
    throw readOnly('write');
  }

  async datasync(): Promise<void> {
    throw readOnly('sync');
  }

  async truncate(): Promise<void> {
    throw readOnly('truncate');
  }

  async close(): Promise<void> {
    await failing('close', this.#handle.close());
  }
}

const readOnly = (step: FileStep): LogFileError =>
  new LogFileError('the file is open to be read only', { step, code: 'EBADF' });

const failing = async <Result>(step: FileStep, work: Promise<Result>): Promise<Result> => {
  try {
    return await work;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new LogFileError(message, { step, code: code ?? 'EIO', cause: error });
  }
};

/** As in storage/file-commit-queue.ts: a thread does not inherit tsx from the one that starts it. */
const threadEntry = (): URL => {
  if (!import.meta.url.endsWith('.ts')) return new URL('./log-thread.js', import.meta.url);
  const source = new URL('./log-thread.ts', import.meta.url);
  const bootstrap = `import { createRequire } from 'node:module';
    const require = createRequire('${source}');
    require('tsx/cjs/api').register();
    require(decodeURIComponent('${source.pathname}'));`;
  return new URL(`data:text/javascript,${encodeURIComponent(bootstrap)}`);
};
