import {
  type DiskSpace,
  type FileStep,
  type LogFile,
  LogFileError,
  type LogFiles,
} from '../../../src/log/log-files.ts';

const SECTOR = 512;

/** The content of a file: what a reader sees, and what is sure to be there after the power was lost. */
class Disk {
  current = Buffer.alloc(0);
  durable = Buffer.alloc(0);
  /** Sectors written since the last sync: each may be on disk, or not. */
  readonly dirty = new Set<number>();
  /** Of a sync that failed: no later one writes them. */
  readonly lost = new Set<number>();

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.current.length) this.#resize(offset + bytes.length);
    this.current.set(bytes, offset);
    for (let at = offset - (offset % SECTOR); at < offset + bytes.length; at += SECTOR) {
      this.dirty.add(at);
      this.lost.delete(at);
    }
  }

  truncate(size: number): void {
    this.#resize(size);
  }

  sync(): void {
    const synced = Buffer.from(this.current);
    for (const at of this.lost) {
      synced.fill(0, at, at + SECTOR);
      if (at < this.durable.length) this.durable.copy(synced, at, at, Math.min(at + SECTOR, synced.length));
    }
    this.durable = synced;
    this.dirty.clear();
  }

  failSync(): void {
    for (const at of this.dirty) this.lost.add(at);
    this.dirty.clear();
  }

  /** Each sector that is not sure is as it was, or as it was to be; and so is the size. */
  losePower(chance: () => number): void {
    const [shorter, longer] = [this.durable.length, this.current.length].sort((a, b) => a - b) as [number, number];
    const size = shorter + Math.floor(chance() * (longer - shorter + 1));
    const after = Buffer.alloc(size);
    this.durable.copy(after, 0, 0, Math.min(size, this.durable.length));
    for (const at of [...this.dirty, ...this.lost]) {
      if (at < size && chance() < 0.5)
        this.current.copy(after, at, at, Math.min(at + SECTOR, size, this.current.length));
    }
    this.current = after;
    this.durable = Buffer.from(after);
    this.dirty.clear();
    this.lost.clear();
  }

  #resize(size: number): void {
    const resized = Buffer.alloc(size);
    this.current.copy(resized, 0, 0, Math.min(size, this.current.length));
    this.current = resized;
  }
}

/** Something goes wrong with every call of this kind until `clear`. `after`: so many calls go well before. */
export interface Fault {
  readonly step: FileStep;
  readonly code: string;
  readonly after?: number;
  /** It ends by itself after so many failures. */
  readonly times?: number;
}

/** A folder of log files whose power can be lost, and whose disk can be full, broken, read-only or slow. */
export class PowerLossFiles implements LogFiles {
  #names = new Map<string, Disk>();
  #durableNames = new Map<string, Disk>();
  #power = 0;
  #faults: { fault: Fault; calls: number; failures: number }[] = [];
  #held: (() => void)[] | undefined;
  /** What `space` answers. */
  diskSpace: DiskSpace = { sizeBytes: 1 << 30, freeBytes: 1 << 30 };
  syncs = 0;
  failures = 0;

  /** Syncs wait until `releaseSyncs`. */
  holdSyncs(): void {
    this.#held ??= [];
  }

  get heldSyncs(): number {
    return this.#held?.length ?? 0;
  }

  releaseSyncs(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const release of held) release();
  }

  inject(fault: Fault): void {
    this.#faults.push({ fault, calls: 0, failures: 0 });
  }

  clear(): void {
    this.#faults = [];
  }

  /** Power goes and comes back: open files are void, what was not synced is there or not, sector by sector, name by name. */
  crash(chance: () => number): void {
    this.#power += 1;
    this.releaseSyncs();
    const names = new Map<string, Disk>();
    for (const name of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      const now = this.#names.get(name);
      const before = this.#durableNames.get(name);
      const after = now === before || chance() < 0.5 ? now : before;
      if (after) names.set(name, after);
    }
    for (const disk of new Set(names.values())) disk.losePower(chance);
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  /** The process ends, the machine does not: what was written stays. */
  kill(): void {
    this.#power += 1;
    this.releaseSyncs();
  }

  /** The folder as one process sees it: after a crash or a kill all that process does fails. */
  process(): LogFiles {
    const power = this.#power;
    const alive = async <Result>(step: FileStep, work: () => Promise<Result>): Promise<Result> => {
      if (power !== this.#power) throw failure(step, 'EBADF');
      const result = await work();
      // Nobody is there any more to hear that it went well.
      if (power !== this.#power) throw failure(step, 'EBADF');
      return result;
    };
    return {
      list: () => alive('list', () => this.list()),
      open: (name, mode) => alive('open', () => this.open(name, mode)),
      rename: (from, to) => alive('rename', () => this.rename(from, to)),
      unlink: (name) => alive('unlink', () => this.unlink(name)),
      syncFolder: () => alive('sync', () => this.syncFolder()),
      space: () => alive('space', () => this.space()),
      close: async () => undefined,
    };
  }

  /** The bytes of a file, to look at or to damage. */
  content(name: string): Buffer {
    const disk = this.#names.get(name);
    if (!disk) throw new Error(`no file ${name}`);
    return disk.current;
  }

  get names(): readonly string[] {
    return [...this.#names.keys()].sort();
  }

  /** Puts a file there, as if it had always been. */
  put(name: string, bytes: Uint8Array): void {
    const disk = new Disk();
    disk.current = Buffer.from(bytes);
    disk.durable = Buffer.from(bytes);
    this.#names.set(name, disk);
    this.#durableNames.set(name, disk);
  }

  async list(): Promise<readonly string[]> {
    await this.#step('list');
    return [...this.#names.keys()];
  }

  async open(name: string, mode: 'create' | 'write' | 'read'): Promise<LogFile> {
    await this.#alive('open', this.#step(mode === 'create' ? 'write' : 'open', 'open'));
    const known = this.#names.get(name);
    if (mode === 'create' && known) throw failure('open', 'EEXIST');
    if (mode !== 'create' && !known) throw failure('open', 'ENOENT');
    const disk = known ?? new Disk();
    this.#names.set(name, disk);
    return this.#fileOf(disk, mode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#alive('rename', this.#step('rename'));
    const disk = this.#names.get(from);
    if (!disk) throw failure('rename', 'ENOENT');
    this.#names.set(to, disk);
    this.#names.delete(from);
  }

  async unlink(name: string): Promise<void> {
    await this.#alive('unlink', this.#step('unlink'));
    if (!this.#names.delete(name)) throw failure('unlink', 'ENOENT');
  }

  async syncFolder(): Promise<void> {
    await this.#alive('sync', this.#sync());
    this.#durableNames = new Map(this.#names);
  }

  async space(): Promise<DiskSpace> {
    await this.#step('space');
    return this.diskSpace;
  }

  async close(): Promise<void> {}

  #fileOf(disk: Disk, mode: 'create' | 'write' | 'read'): LogFile {
    const power = this.#power;
    let isOpen = true;
    const check = (step: FileStep): void => {
      if (!isOpen || power !== this.#power) throw failure(step, 'EBADF');
      if (mode === 'read' && (step === 'write' || step === 'sync' || step === 'truncate')) throw failure(step, 'EBADF');
    };
    const datasync = async (): Promise<void> => {
      check('sync');
      await this.#sync(disk);
      check('sync');
      disk.sync();
    };
    return {
      size: async () => {
        check('read');
        return disk.current.length;
      },
      read: async (offset, into) => {
        await this.#step('read');
        check('read');
        if (offset >= disk.current.length) return 0;
        return disk.current.copy(into, 0, offset, Math.min(offset + into.length, disk.current.length));
      },
      write: async (offset, bytes, isSynced) => {
        check('write');
        try {
          await this.#step('write');
        } catch (error) {
          // A part of it may get there.
          disk.write(offset, bytes.subarray(0, bytes.length >> 1));
          throw error;
        }
        check('write');
        disk.write(offset, bytes);
        if (isSynced) await datasync();
      },
      datasync,
      truncate: async (size) => {
        await this.#step('truncate');
        check('truncate');
        disk.truncate(size);
      },
      close: async () => {
        if (power !== this.#power) return;
        check('close');
        isOpen = false;
      },
    };
  }

  /** What follows in the same turn happens before any crash. */
  async #alive(step: FileStep, work: Promise<void>): Promise<void> {
    const power = this.#power;
    await work;
    if (power !== this.#power) throw failure(step, 'EBADF');
  }

  async #sync(disk?: Disk): Promise<void> {
    this.syncs += 1;
    if (this.#held) await new Promise<void>((resolve) => this.#held?.push(resolve));
    try {
      await this.#step('sync');
    } catch (error) {
      disk?.failSync();
      throw error;
    }
  }

  /** A turn passes, as with a real disk, and faults strike. `as`: the step an error names. */
  async #step(step: FileStep, as: FileStep = step): Promise<void> {
    const power = this.#power;
    await Promise.resolve();
    if (power !== this.#power) throw failure(as, 'EBADF');
    for (const active of this.#faults) {
      const { fault } = active;
      if (fault.step !== step) continue;
      active.calls += 1;
      if (active.calls <= (fault.after ?? 0) || active.failures >= (fault.times ?? Number.POSITIVE_INFINITY)) continue;
      active.failures += 1;
      this.failures += 1;
      throw failure(as, fault.code);
    }
  }
}

const failure = (step: FileStep, code: string): LogFileError =>
  new LogFileError(`${code}: ${step} failed`, { step, code });
