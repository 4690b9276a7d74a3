/**
 * Reads a file that has no footer, record by record. Damage in it is told from a torn end by the batches: one commit was in flight at a time, so a batch
 * that is there says that everything before it was durable.
 *
 *   … │ batch 7 ok │ batch 8: ✗ ok ok │ batch 9 …        damage in 8: reported, its other records are used
 *   … │ batch 9 ok │ batch 10: ok ✗ ok (end)             torn end: cut at ✗, nothing behind it was acknowledged
 */
import { readAppendBounds, readAppendExtent, type TimeBounds } from './append-record.ts';
import { DATA_START } from './file-header.ts';
import type { Damage, IndexedRecord } from './file-index.ts';
import type { LogFile } from './log-files.ts';
import {
  isIntact,
  paddedSize,
  RECORD_HEADER_SIZE,
  type RecordHeader,
  RecordType,
  readHeader,
} from './record-format.ts';
import { type BatchHeader, readBatch, readPair, type Writer } from './state-records.ts';

/**
 * Checksummed in vain while a damaged file is searched, in sizes of the file. Pushed lines can look like headers of long records; past this only BATCH
 * records are looked for, which are short.
 */
const SEARCH_SIZES_MAX = 4;

/** No BATCH record is longer: see batch-buffer.ts. */
const BATCH_SIZE_MAX = 4096;

/** Part of a file in memory. */
const WINDOW_SIZE = 4 << 20;

export interface ScanTarget {
  readonly file: LogFile;
  readonly size: number;
  readonly salt: number;
  /** So many bytes were durable, says the file after it; undefined if none does: its last batch may be one that was never acknowledged. */
  readonly durableSize: number | undefined;
}

/** What a scan found. */
export interface ScannedFile {
  /** By the number that records of this file use. */
  readonly writers: ReadonlyMap<number, Writer>;
  readonly records: readonly ScannedRecord[];
  readonly damage: readonly Damage[];
  /** Offset behind the last record that counts. */
  readonly end: number;
  /** Bytes behind it, cut or to be cut. */
  readonly tornBytes: number;
  /** Where the last batch begins: only of it may the sync have failed. */
  readonly lastBatchAt: number;
}

export interface ScannedRecord extends IndexedRecord {
  readonly writer: number;
  readonly counter: number;
  readonly bounds: TimeBounds | undefined;
  /** Of an OPEN record. */
  readonly open: Uint8Array | undefined;
}

interface OpenBatch {
  readonly header: BatchHeader;
  readonly at: number;
  seen: number;
}

/** @throws LogFileError if it cannot be read */
export const scanFile = (target: ScanTarget): Promise<ScannedFile> => new FileScan(target).run();

class FileScan {
  readonly #window: FileWindow;
  /** Where to stop reading. */
  readonly #size: number;
  readonly #fileSize: number;
  readonly #salt: number;
  readonly #isDurable: boolean;
  readonly #writers = new Map<number, Writer>();
  readonly #records: ScannedRecord[] = [];
  readonly #damage: Damage[] = [];
  #batch: OpenBatch | undefined;
  #searchedInVain = 0;
  /** First damage that no batch behind it has confirmed yet: where to cut, and how many records and damages there were before it. */
  #doubt: { readonly offset: number; readonly records: number; readonly damage: number } | undefined;

  constructor({ file, size, salt, durableSize }: ScanTarget) {
    this.#size = Math.min(size, durableSize ?? size);
    this.#window = new FileWindow(file, this.#size);
    this.#salt = salt;
    this.#isDurable = durableSize !== undefined;
    this.#fileSize = size;
  }

  async run(): Promise<ScannedFile> {
    let at = DATA_START;
    while (at < this.#size) {
      const header = await this.#recordAt(at);
      if (header?.type === RecordType.FOOTER) {
        this.#confirm();
        break;
      }
      if (header) {
        this.#take(at, header);
        at += paddedSize(header.length);
        continue;
      }
      const next = await this.#search(at + 8);
      if (next >= this.#size && !this.#isDurable) break;
      this.#doubt ??= { offset: at, records: this.#records.length, damage: this.#damage.length };
      this.#damage.push({ offset: at, size: next - at, records: 1 });
      at = next;
    }
    return this.#result(at);
  }

  #result(at: number): ScannedFile {
    if (this.#isDurable) this.#confirm();
    const doubt = this.#doubt;
    const end = doubt?.offset ?? Math.min(at, this.#size);
    return {
      writers: this.#writers,
      records: doubt ? this.#records.slice(0, doubt.records) : this.#records,
      damage: doubt ? this.#damage.slice(0, doubt.damage) : this.#damage,
      end,
      tornBytes: Math.max(0, this.#fileSize - end),
      lastBatchAt: Math.min(end, this.#batch?.at ?? DATA_START),
    };
  }

  /** The header of an intact record. */
  async #recordAt(at: number): Promise<RecordHeader | undefined> {
    const header = await this.#headerAt(at);
    if (!header || at + header.length > this.#size) return undefined;
    const record = await this.#window.view(at, header.length);
    return record.length === header.length && isIntact(record, this.#salt) ? header : undefined;
  }

  async #headerAt(at: number): Promise<RecordHeader | undefined> {
    if (at + RECORD_HEADER_SIZE > this.#size) return undefined;
    const bytes = await this.#window.view(at, RECORD_HEADER_SIZE);
    if (bytes.length < RECORD_HEADER_SIZE) return undefined;
    return readHeader(new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEADER_SIZE), 0);
  }

  /** Where the next intact record begins, or the file's end. */
  async #search(from: number): Promise<number> {
    for (let at = from; at + RECORD_HEADER_SIZE <= this.#size; at += 8) {
      // Most places can be no header: only where one might be is anything awaited.
      if (this.#window.mayHoldHeader(at) === false) continue;
      const header = await this.#headerAt(at);
      if (!header || !this.#isWorthwhile(header)) continue;
      if (await this.#recordAt(at)) return at;
      if (at + header.length <= this.#size) this.#searchedInVain += header.length;
    }
    return this.#size;
  }

  #isWorthwhile({ type, length }: RecordHeader): boolean {
    if (type === RecordType.BATCH) return length <= BATCH_SIZE_MAX;
    return this.#searchedInVain < SEARCH_SIZES_MAX * this.#size;
  }

  #take(at: number, header: RecordHeader): void {
    const record = this.#window.held(at, header.length);
    if (header.type === RecordType.BATCH) {
      this.#startBatch(at, readBatch(record));
      return;
    }
    if (this.#batch) this.#batch.seen += 1;
    const isAppend = header.type === RecordType.APPEND;
    const { first, count } = isAppend ? readAppendExtent(record) : readPair(record);
    const isOpen = header.type === RecordType.OPEN;
    this.#records.push({
      type: header.type,
      offset: at,
      length: header.length,
      first: isOpen ? 0 : first,
      count: isOpen ? 0 : count,
      writer: header.writer,
      counter: header.counter,
      bounds: isAppend ? readAppendBounds(record) : undefined,
      open: isOpen ? record.slice(RECORD_HEADER_SIZE) : undefined,
    });
  }

  #startBatch(at: number, header: BatchHeader): void {
    for (const writer of header.writers) this.#writers.set(writer.number, writer);
    this.#confirm();
    this.#batch = { header, at, seen: 0 };
  }

  /** What was in doubt is damage: count what the batch before says was there. */
  #confirm(): void {
    const { header, seen } = this.#batch ?? { header: undefined, seen: 0 };
    const last = this.#damage.at(-1);
    if (this.#doubt && header && last) {
      const missing = header.records - seen - (this.#damage.length - 1 - this.#doubt.damage);
      this.#damage[this.#damage.length - 1] = { ...last, records: Math.max(1, missing) };
    }
    this.#doubt = undefined;
  }
}

/** A stretch of a file, moved on as the reader asks for what lies behind it. Memory: the window, or one record if that is longer. */
class FileWindow {
  readonly #file: LogFile;
  readonly #fileSize: number;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #start = 0;

  constructor(file: LogFile, fileSize: number) {
    this.#file = file;
    this.#fileSize = fileSize;
  }

  /** Bytes of the file; fewer if it ends. Good until the next call. `at` is a multiple of 8. */
  async view(at: number, length: number): Promise<Uint8Array> {
    if (at < this.#start || at + length > this.#start + this.#bytes.length) await this.#load(at, length);
    return this.held(at, length);
  }

  /** The same of what the last `view` has loaded. */
  held(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(at - this.#start, at - this.#start + length);
  }

  /** undefined: it is not loaded. */
  mayHoldHeader(at: number): boolean | undefined {
    const inWindow = at - this.#start;
    if (inWindow < 0 || inWindow + RECORD_HEADER_SIZE > this.#bytes.length) return undefined;
    return readHeader(this.#view, inWindow) !== undefined;
  }

  async #load(at: number, length: number): Promise<void> {
    const size = Math.min(Math.max(WINDOW_SIZE, length), this.#fileSize - at);
    const bytes = new Uint8Array(size);
    const read = await this.#file.read(at, bytes);
    this.#bytes = bytes.subarray(0, read);
    this.#view = new DataView(bytes.buffer, 0, read);
    this.#start = at;
  }
}
