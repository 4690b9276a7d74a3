import { type AppendRun, readAppend } from './append-record.ts';
import { fileNameOf } from './file-header.ts';
import type { IndexedRecord } from './file-index.ts';
import type { LogFile, LogFiles } from './log-files.ts';
import { isIntact, RecordType } from './record-format.ts';
import type { IndexedFile, LogSegment } from './segment-table.ts';

/** Entries [first, end) of a segment are not in the log any more, or not readable. */
export interface Gap {
  readonly first: number;
  readonly end: number;
  /** The file whose record is damaged; undefined if there is no record of them at all. */
  readonly file: string | undefined;
}

interface Found {
  readonly file: IndexedFile;
  readonly record: IndexedRecord;
}

/** Reads records where the table says they are, and checks each again. Files stay open until they are released. */
export class LogReader {
  readonly #files: LogFiles;
  readonly #handles = new Map<number, Promise<LogFile>>();

  constructor(files: LogFiles) {
    this.#files = files;
  }

  /**
   * The durable entries of a segment in order, each once, a record at a time. Memory: one record. A segment that grows meanwhile
   * ends where it ended at the call.
   * @param onGap hears of entries that are lost, in order with those that are not
   * @throws LogFileError if a file cannot be read: nothing is known of what it has
   */
  async *read(segment: LogSegment, onGap: (gap: Gap) => void): AsyncGenerator<AppendRun> {
    const pinned = segment.places.map(({ file }) => file).filter(({ isLeaving }) => !isLeaving);
    for (const file of pinned) file.pins += 1;
    try {
      yield* this.#runs(segment, onGap);
    } finally {
      for (const file of pinned) file.pins -= 1;
    }
  }

  /** A record's bytes, header included, at a multiple of 8 of their buffer; undefined if they are damaged. @throws LogFileError */
  async record({ number, salt }: IndexedFile, { offset, length }: IndexedRecord): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    const read = await (await this.#handle(number)).read(offset, bytes);
    return read === length && isIntact(bytes, salt) ? bytes : undefined;
  }

  /** The file is about to go. */
  async release(file: IndexedFile): Promise<void> {
    const handle = this.#handles.get(file.number);
    this.#handles.delete(file.number);
    await (await handle)?.close();
  }

  async close(): Promise<void> {
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    for (const handle of handles) await (await handle).close();
  }

  async *#runs(segment: LogSegment, onGap: (gap: Gap) => void): AsyncGenerator<AppendRun> {
    const { count } = segment;
    let next = 0;
    let damagedIn: string | undefined;
    for (const { file, record } of appendsOf(segment)) {
      const end = record.first + record.count;
      if (end <= next) continue;
      const bytes = await this.record(file, record);
      if (!bytes) {
        damagedIn = fileNameOf(file.number);
        continue;
      }
      if (record.first > next) onGap({ first: next, end: record.first, file: damagedIn });
      damagedIn = undefined;
      const run = readAppend(bytes);
      yield record.first >= next ? run : withoutFirst(run, next - record.first);
      next = end;
    }
    if (next < count) onGap({ first: next, end: count, file: damagedIn });
  }

  #handle(number: number): Promise<LogFile> {
    const known = this.#handles.get(number);
    if (known !== undefined) return known;
    const handle = this.#files.open(fileNameOf(number), 'read');
    this.#handles.set(number, handle);
    handle.catch(() => this.#handles.delete(number));
    return handle;
  }
}

/** By index; of several copies of a record all, one behind the other: the next one is used if the first is damaged. */
const appendsOf = ({ places }: LogSegment): readonly Found[] =>
  places
    .filter(({ file }) => !file.isLeaving)
    .flatMap(({ file, last }) => file.index.chain(last).map((record) => ({ file, record })))
    .filter(({ record }) => record.type === RecordType.APPEND)
    .sort((left, right) => left.record.first - right.record.first);

/** How many entries there are from the first on without a gap; 0 if the OPEN record is not there. */
export const prefixOf = (segment: LogSegment): number => {
  const isNamed = segment.places.some(
    ({ file, last }) => !file.isLeaving && file.index.chain(last).some(({ type }) => type === RecordType.OPEN),
  );
  if (!isNamed) return 0;
  let next = 0;
  for (const { record } of appendsOf(segment)) {
    if (record.first > next) break;
    next = Math.max(next, record.first + record.count);
  }
  return next;
};

/** Entries of a segment that the log should have and has no record of. */
export const missingEntries = (segment: LogSegment): number => {
  const count = Math.max(segment.count, segment.finalCount ?? 0);
  if (segment.places.reduce((sum, { entries }) => sum + entries, 0) === count) return 0;
  let missing = 0;
  let next = 0;
  for (const { record } of appendsOf(segment)) {
    missing += Math.max(0, record.first - next);
    next = Math.max(next, record.first + record.count);
  }
  return missing + Math.max(0, count - next);
};

/** The run without its first entries. */
export const withoutFirst = ({ first, count, columns, bounds }: AppendRun, skipped: number): AppendRun => {
  const metadata = new Map<number, readonly string[]>();
  for (const [index, pairs] of columns.metadata ?? []) if (index >= skipped) metadata.set(index - skipped, pairs);
  return {
    first: first + skipped,
    count: count - skipped,
    bounds,
    columns: {
      bytes: columns.bytes,
      lineOffsets: columns.lineOffsets.subarray(skipped),
      times: columns.times.subarray(skipped),
      metadata: metadata.size > 0 ? metadata : undefined,
    },
  };
};
