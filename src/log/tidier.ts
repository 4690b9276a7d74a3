import { readAppendBounds } from './append-record.ts';
import type { PlainRecord } from './batch-buffer.ts';
import { fileNameOf } from './file-header.ts';
import type { IndexedRecord } from './file-index.ts';
import type { GroupCommit } from './group-commit.ts';
import type { HeadFile } from './head-file.ts';
import { LogFileError, type LogFiles } from './log-files.ts';
import type { LogReader } from './log-reader.ts';
import { isEndType, RECORD_HEADER_SIZE, RecordType } from './record-format.ts';
import { putAside } from './recover-log.ts';
import type { IndexedFile, LogSegment, Place, SegmentTable } from './segment-table.ts';
import { isCompactable, isEndNeeded, isRemovable, type TidyRules } from './tidy-state.ts';

/** Copies that are on their way at once: the log is for pushes first. */
const COPY_BYTES_MAX = 1 << 20;

export interface TidierDeps {
  readonly files: LogFiles;
  readonly table: SegmentTable;
  readonly head: HeadFile;
  readonly commit: GroupCommit;
  readonly reader: LogReader;
  readonly nowMs: () => number;
  readonly report: (problem: string, error: unknown) => void;
}

/**
 * Takes back the space of what is flushed. Every step leaves a log that a restart understands: copies are durable before their file goes, the
 * folder is synced before what depends on it is looked at.
 */
export class Tidier {
  readonly #deps: TidierDeps;
  readonly #rules: TidyRules;
  #running: Promise<void> | undefined;
  #removedFiles = 0;
  #compactedFiles = 0;
  #areNamesDurable = false;

  constructor(deps: TidierDeps, rules: TidyRules) {
    this.#deps = deps;
    this.#rules = rules;
  }

  get figures(): { readonly removedFiles: number; readonly compactedFiles: number } {
    return { removedFiles: this.#removedFiles, compactedFiles: this.#compactedFiles };
  }

  /** Removes what can go, compacts what should. One at a time: who comes meanwhile gets the run in progress. Failures are reported. */
  tidy(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Resolves when no run is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      // One that was made after the last batch: no other batch may come.
      await this.#deps.head.closeFull();
      await this.#removeAll();
      for (const file of this.#closedFiles()) {
        if (!isCompactable(file, this.#deps.nowMs(), this.#rules)) continue;
        if (await this.#copy(file)) await this.#removeAll();
      }
    } catch (error) {
      this.#deps.report('the log could not be tidied; trying again', error);
    }
  }

  /** Oldest first: with a file, what the ends in newer ones are needed for may go. */
  async #removeAll(): Promise<void> {
    await this.#removeLeftovers();
    for (const file of this.#closedFiles()) {
      if (!this.#isRemovable(file)) continue;
      await this.#settleNames();
      // A segment in it may have come back from another node meanwhile.
      if (this.#isRemovable(file)) await this.#remove(file);
    }
  }

  #isRemovable(file: IndexedFile): boolean {
    return isRemovable(file, this.#deps.table.files.get(file.previous ?? 0), this.#rules);
  }

  /** First of all: it is the files around them that tell a restart that they do not count. */
  async #removeLeftovers(): Promise<void> {
    const { table, files } = this.#deps;
    if (table.leftovers.size === 0) return;
    const names = new Set(await files.list());
    for (const name of table.leftovers) if (names.has(name)) await putAside(files, name);
    await files.syncFolder();
    table.leftovers.clear();
  }

  #closedFiles(): readonly IndexedFile[] {
    const { table, head } = this.#deps;
    return [...table.files.values()]
      .filter((file) => !head.isOpen(file))
      .sort((left, right) => left.number - right.number);
  }

  async #remove(file: IndexedFile): Promise<void> {
    const { files, reader, table } = this.#deps;
    // Before anything is waited for: whoever looks from now on must not count on it.
    file.isLeaving = true;
    await reader.release(file);
    try {
      await files.unlink(fileNameOf(file.number));
    } catch (error) {
      // It was removed before, and the folder could not be synced.
      if (!(error instanceof LogFileError && error.code === 'ENOENT')) throw error;
    }
    await files.syncFolder();
    table.forgetFile(file);
    this.#removedFiles += 1;
  }

  /**
   * A file that an earlier process removed may be back after a power loss, until the folder is synced; and the file that is to go now may be the one
   * that tells of its segments' ends.
   */
  async #settleNames(): Promise<void> {
    if (this.#areNamesDurable) return;
    await this.#deps.files.syncFolder();
    this.#areNamesDurable = true;
  }

  /** Rewrites what is needed at the head. True if all of it is durable there. */
  async #copy(file: IndexedFile): Promise<boolean> {
    const copies = new Set<Promise<void>>();
    const { revivals } = file;
    let bytes = 0;
    for (const place of [...file.places]) {
      for (const record of neededRecords(place, this.#rules)) {
        const copied = await this.#copyRecord(file, place.segment, record);
        if (!copied) {
          file.isUnreadable = true;
          return false;
        }
        copies.add(copied[0]);
        bytes += record.length;
        if (bytes < COPY_BYTES_MAX) continue;
        await Promise.all(copies);
        copies.clear();
        bytes = 0;
      }
    }
    await Promise.all(copies);
    // It comes back from another node, and was passed over here.
    if (file.revivals !== revivals) return false;
    file.isCopied = true;
    this.#compactedFiles += 1;
    return true;
  }

  /** The promise of the copy, in an array so that it is not awaited; undefined if the record is damaged. */
  async #copyRecord(
    file: IndexedFile,
    segment: LogSegment,
    record: IndexedRecord,
  ): Promise<readonly [Promise<void>] | undefined> {
    const { reader, commit, report } = this.#deps;
    const bytes = await reader.record(file, record);
    if (!bytes) {
      report(`a record at ${record.offset} of the log file ${fileNameOf(file.number)} is damaged`, undefined);
      return undefined;
    }
    const { type, first, count } = record;
    const bounds = type === RecordType.APPEND ? readAppendBounds(bytes) : undefined;
    const copy: PlainRecord = { type, payload: bytes.subarray(RECORD_HEADER_SIZE), first, count, bounds };
    return [commit.add(segment, copy)];
  }
}

/** Of a live segment all, of a dead one its end if that is needed. */
const neededRecords = (place: Place, rules: TidyRules): readonly IndexedRecord[] => {
  const records = place.file.index.chain(place.last);
  if (place.segment.isLive) return records;
  return isEndNeeded(place, rules) ? records.filter(({ type }) => isEndType(type)) : [];
};
