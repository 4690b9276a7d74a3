/** The file that batches go to, and the next one when it is full or cannot be trusted. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../protocol/clock.ts';
import { afterFailure, needsNewFile } from './commit-state.ts';
import { DATA_START, encodeFileHeader, fileNameOf, type PreviousFile } from './file-header.ts';
import { encodeFooterInSteps } from './footer.ts';
import type { LogFile, LogFileError, LogFiles } from './log-files.ts';
import { IndexedFile, type SegmentTable } from './segment-table.ts';

export interface HeadFileOptions {
  readonly uid: string;
  readonly incarnation: number;
  readonly salt: number;
  readonly fileSizeMax: number;
  /** Durable against power loss, not only against the end of the process. */
  readonly isSynced: boolean;
  /** Of the first file it makes. */
  readonly firstNumber: number;
  /** What the last process wrote last. */
  readonly previous: PreviousFile | undefined;
}

interface OpenFile {
  readonly file: IndexedFile;
  readonly handle: LogFile;
}

interface FullFile extends OpenFile {
  /** In pieces. undefined until it is made; none if it could not be. */
  footer: readonly Uint8Array[] | undefined;
}

export interface WrittenBatch {
  readonly file: IndexedFile;
  readonly offset: number;
}

export class HeadFile {
  readonly #files: LogFiles;
  readonly #table: SegmentTable;
  readonly #clock: Clock;
  readonly #report: (problem: string, error: unknown) => void;
  readonly #options: HeadFileOptions;
  /** In the order in which they were filled. */
  readonly #full: FullFile[] = [];
  #encoding: Promise<unknown> = Promise.resolve();
  #head: OpenFile | undefined;
  #nextNumber: number;
  /** The file whose batches come before those of the next one. */
  #previous: PreviousFile | undefined;

  constructor(
    deps: {
      readonly files: LogFiles;
      readonly table: SegmentTable;
      readonly clock: Clock;
      readonly report: (problem: string, error: unknown) => void;
    },
    options: HeadFileOptions,
  ) {
    this.#files = deps.files;
    this.#table = deps.table;
    this.#clock = deps.clock;
    this.#report = deps.report;
    this.#options = options;
    this.#nextNumber = options.firstNumber;
    this.#previous = options.previous;
  }

  /** True for the file that is being written, and for those that still get their footer. */
  isOpen(file: IndexedFile): boolean {
    return this.#head?.file === file || this.#full.some((one) => one.file === file);
  }

  /**
   * Makes a batch durable; one at a time.
   * @throws LogFileError if neither the head nor a new file takes it
   */
  async write(bytes: Uint8Array): Promise<WrittenBatch> {
    const head = this.#head;
    if (!head) return await this.#begin(bytes);
    if (needsNewFile(head.file.size, bytes.length, this.#options.fileSizeMax)) {
      this.#fill(head);
      return await this.#begin(bytes);
    }
    try {
      const offset = head.file.size;
      await head.handle.write(offset, bytes, this.#options.isSynced);
      head.file.size = offset + bytes.length;
      this.#previous = { number: head.file.number, size: head.file.size };
      return { file: head.file, offset };
    } catch (error) {
      return await this.#afterFailure(head, bytes, error as LogFileError);
    }
  }

  /** Gives full files their footers as far as they are made: between batches, so that no batch waits for more than one, and when the log is tidied. */
  async closeFull(): Promise<void> {
    for (let full = this.#full[0]; full?.footer; full = this.#full[0]) {
      this.#full.shift();
      await this.#close(full, full.footer);
    }
  }

  /** Ends all files with their footers, the head too if there is one. */
  async close(): Promise<void> {
    const head = this.#head;
    this.#head = undefined;
    if (head) this.#fill(head);
    await this.#encoding;
    await this.closeFull();
  }

  /** Its footer is made beside the batches that go on, a step a turn of the event loop; what has few segments has it at once. */
  #fill(head: OpenFile): void {
    const full: FullFile = { ...head, footer: undefined };
    this.#full.push(full);
    const made = encodeFooter(full).catch((error) => {
      this.#report(`the footer of the log file ${fileNameOf(full.file.number)} could not be made`, error);
      full.footer = [];
    });
    this.#encoding = Promise.all([this.#encoding, made]).then(() => undefined);
  }

  async #afterFailure(head: OpenFile, bytes: Uint8Array, error: LogFileError): Promise<WrittenBatch> {
    this.#report(`the log file ${fileNameOf(head.file.number)} could not be written`, error);
    const isCut = await attempt(head.handle.truncate(head.file.size));
    if (isCut && afterFailure(error) === 'cut-back') throw error;
    // A footer behind what was durable before: other pages, so its sync is worth something.
    if (isCut) this.#fill(head);
    else await attempt(head.handle.close());
    return await this.#begin(bytes);
  }

  /**
   * A new file that begins with the batch. Whatever becomes of it, its number is used up, and no other file grows any more: what is left of
   * it may say for good how long the one before was.
   */
  async #begin(bytes: Uint8Array): Promise<WrittenBatch> {
    this.#head = undefined;
    const { uid, incarnation, salt, isSynced } = this.#options;
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const name = fileNameOf(number);
    const createdMs = this.#clock.nowMs();
    const previous = this.#previous;
    const handle = await this.#files.open(name, 'create');
    try {
      await handle.write(0, encodeFileHeader({ uid, incarnation, salt, number, createdMs, previous }), false);
      await handle.write(DATA_START, bytes, isSynced);
      await this.#files.syncFolder();
    } catch (error) {
      await attempt(handle.close());
      if (!(await attempt(this.#files.unlink(name)))) this.#table.leftovers.add(name);
      throw error;
    }
    const file = new IndexedFile(number, salt, createdMs);
    file.size = DATA_START + bytes.length;
    file.previous = previous?.number;
    this.#table.files.set(number, file);
    this.#head = { file, handle };
    this.#previous = { number, size: file.size };
    return { file, offset: DATA_START };
  }

  /** Without a footer it is scanned at the next start; nothing depends on it. */
  async #close({ file, handle }: OpenFile, footer: readonly Uint8Array[]): Promise<void> {
    try {
      let end = file.size;
      for (const [index, piece] of footer.entries()) {
        await handle.write(end, piece, index === footer.length - 1);
        end += piece.length;
      }
      if (footer.length > 0) file.footerAt = file.size;
      file.size = end;
    } catch (error) {
      this.#report(`the log file ${fileNameOf(file.number)} could not be closed`, error);
    }
    await attempt(handle.close());
  }
}

const encodeFooter = async (full: FullFile): Promise<void> => {
  const steps = encodeFooterInSteps(full.file);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) {
      full.footer = step.value;
      return;
    }
    await nextTurn();
  }
};

/** True if it worked. */
const attempt = async (work: Promise<unknown>): Promise<boolean> => {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
};
