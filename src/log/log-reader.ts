import { setImmediate as nextTurn } from 'node:timers/promises';
import { releaseMemory } from '../protocol/release-memory.ts';
import { type AppendRun, readAppend, recordedRun } from './append-record.ts';
import { fileNameOf } from './file-header.ts';
import { type IndexedRecord, sizeInFile } from './file-index.ts';
import { type LogFile, LogFileError, type LogFiles } from './log-files.ts';
import { isIntact, RecordType } from './record-format.ts';
import type { IndexedFile, LogSegment, Place } from './segment-table.ts';

/** Entries [first, end) of a segment are not in the log any more, or not readable. */
export interface Gap {
  readonly first: number;
  readonly end: number;
  /** The file whose record is damaged; undefined if there is no record of them at all. */
  readonly file: string | undefined;
}

/**
 * Bytes between two records that are read along. A read costs 50 µs of CPU, 1 MB from the page cache into memory that is warm another 50 (measured); where it comes from the
 * disk the kernel reads half of this ahead anyway.
 */
const GAP_BYTES_MAX = 256 << 10;
/** Of one read. */
const PIECE_BYTES_MAX = 2 << 20;

/** Some milliseconds. */
const RUNS_A_TURN = 2000;

interface Found {
  readonly file: IndexedFile;
  readonly record: IndexedRecord;
}

/** Reads records where the table says they are, and checks each again. Files stay open until they are released. */
export class LogReader {
  readonly #files: LogFiles;
  readonly #handles = new Map<number, Promise<LogFile>>();
  #isClosed = false;

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
    const unpin = pin([segment]);
    try {
      const runs = new RunsInOrder(segment, readAppend, onGap);
      for (const found of appendsOf(segment)) {
        const run = runs.wants(found) ? runs.take(found, await this.record(found.file, found.record)) : undefined;
        if (run) yield run;
      }
      runs.end();
    } finally {
      unpin();
    }
  }

  /**
   * As `read` of each segment, all at once: records of segments that were written together lie beside each other, and are read together. Memory: their
   * records, and one read more while it goes on. Nothing looks into the entries before the caller does.
   * @throws LogFileError if a file cannot be read
   */
  async readTogether(
    segments: readonly LogSegment[],
    onGap: (segment: LogSegment, gap: Gap) => void,
  ): Promise<readonly (readonly AppendRun[])[]> {
    const unpin = pin(segments);
    try {
      const found = segments.map(appendsOf);
      const bytes = await this.#recordsOf(found.flat());
      const all: AppendRun[][] = [];
      let inTurn = 0;
      for (const [index, segment] of segments.entries()) {
        const runs = new RunsInOrder(segment, recordedRun, (gap) => onGap(segment, gap));
        const taken: AppendRun[] = [];
        for (const one of found[index] ?? []) {
          const run = runs.wants(one) ? runs.take(one, bytes.get(one.record)) : undefined;
          if (run) taken.push(run);
        }
        runs.end();
        all.push(taken);
        inTurn += taken.length;
        if (inTurn < RUNS_A_TURN) continue;
        await nextTurn();
        inTurn = 0;
      }
      return all;
    } finally {
      unpin();
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

  /** Whoever reads on hears that it is closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    for (const handle of await Promise.allSettled(handles))
      if (handle.status === 'fulfilled') await handle.value.close();
  }

  /**
   * Records that lie near each other are read at once, through memory that is used again: what stands between them is read in vain, but kept by nobody.
   * All end up in one piece of memory: a thousand of their own would have V8 collect the whole heap again and again. What is damaged is left out.
   */
  async #recordsOf(records: readonly Found[]): Promise<ReadonlyMap<IndexedRecord, Uint8Array>> {
    const intact = new Map<IndexedRecord, Uint8Array>();
    const all = memoryOf(records.reduce((sum, { record }) => sum + sizeInFile(record), 0));
    let used = 0;
    let passing: Uint8Array | undefined;
    for (const piece of piecesOf(records)) {
      const [{ file, record: first }] = piece;
      const last = (piece.at(-1) as Found).record;
      const size = last.offset + last.length - first.offset;
      const isAlone = piece.length === 1;
      if (!isAlone) passing ??= memoryOf(PIECE_BYTES_MAX);
      const into = isAlone ? all.subarray(used, used + size) : (passing as Uint8Array).subarray(0, size);
      const read = await (await this.#handle(file.number)).read(first.offset, into);
      for (const { record } of piece) {
        const own = all.subarray(used, used + record.length);
        used += sizeInFile(record);
        const at = record.offset - first.offset;
        if (at + record.length > read) continue;
        if (!isAlone) own.set(into.subarray(at, at + record.length));
        if (isIntact(own, file.salt)) intact.set(record, own);
      }
    }
    if (passing) releaseMemory(passing);
    return intact;
  }

  #handle(number: number): Promise<LogFile> {
    const known = this.#handles.get(number);
    if (known !== undefined) return known;
    if (this.#isClosed) {
      return Promise.reject(new LogFileError('the log is closed', { step: 'open', code: 'ERR_CLOSED' }));
    }
    const handle = this.#files.open(fileNameOf(number), 'read');
    this.#handles.set(number, handle);
    handle.catch(() => this.#handles.delete(number));
    return handle;
  }
}

/** A segment's entries from its records, each once. */
class RunsInOrder {
  readonly #count: number;
  readonly #toRun: (record: Uint8Array) => AppendRun;
  readonly #onGap: (gap: Gap) => void;
  #next = 0;
  #damagedIn: string | undefined;

  constructor({ count }: LogSegment, toRun: (record: Uint8Array) => AppendRun, onGap: (gap: Gap) => void) {
    this.#count = count;
    this.#toRun = toRun;
    this.#onGap = onGap;
  }

  /** It has entries that did not come yet. */
  wants({ record }: Found): boolean {
    return record.first + record.count > this.#next;
  }

  /** @param bytes undefined if they are damaged: another copy may follow */
  take({ file, record }: Found, bytes: Uint8Array | undefined): AppendRun | undefined {
    if (!bytes) {
      this.#damagedIn = fileNameOf(file.number);
      return undefined;
    }
    const next = this.#next;
    if (record.first > next) this.#onGap({ first: next, end: record.first, file: this.#damagedIn });
    this.#damagedIn = undefined;
    this.#next = record.first + record.count;
    const run = this.#toRun(bytes);
    return record.first >= next ? run : withoutFirst(run, next - record.first);
  }

  end(): void {
    if (this.#next < this.#count) this.#onGap({ first: this.#next, end: this.#count, file: this.#damagedIn });
  }
}

/** Begins at a multiple of 8, is no part of a larger one, and is not zeroed. */
const memoryOf = (size: number): Uint8Array => new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);

/** Files stay until it is undone. */
const pin = (segments: readonly LogSegment[]): (() => void) => {
  const files = segments.flatMap(({ places }) => places.map(({ file }) => file)).filter(({ isLeaving }) => !isLeaving);
  for (const file of files) file.pins += 1;
  return () => {
    for (const file of files) file.pins -= 1;
  };
};

/** Records that are read at once, in the order of their files. */
const piecesOf = (records: readonly Found[]): readonly (readonly [Found, ...Found[]])[] => {
  const sorted = [...records].sort(
    (left, right) => left.file.number - right.file.number || left.record.offset - right.record.offset,
  );
  const pieces: [Found, ...Found[]][] = [];
  for (const found of sorted) {
    const piece = pieces.at(-1);
    const last = piece?.at(-1);
    const isNear =
      piece &&
      last?.file === found.file &&
      found.record.offset - (last.record.offset + last.record.length) <= GAP_BYTES_MAX &&
      found.record.offset + found.record.length - piece[0].record.offset <= PIECE_BYTES_MAX;
    if (isNear) piece.push(found);
    else pieces.push([found]);
  }
  return pieces;
};

/** By index; of several copies of a record all, one behind the other: the next one is used if the first is damaged. */
const appendsOf = ({ places }: LogSegment): readonly Found[] => {
  const appends: Found[] = [];
  let isSorted = true;
  for (const { file, last } of places) {
    if (file.isLeaving) continue;
    for (const record of file.index.chain(last)) {
      if (record.type !== RecordType.APPEND) continue;
      isSorted &&= (appends.at(-1)?.record.first ?? 0) <= record.first;
      appends.push({ file, record });
    }
  }
  return isSorted ? appends : appends.sort((left, right) => left.record.first - right.record.first);
};

/** How many entries there are from the first on without a gap; 0 if the OPEN record is not there. */
export const prefixOf = (segment: LogSegment): number => {
  if (isWhole(segment)) return segment.count;
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

/** Each record begins where the one before it ends, and OPEN is there: nearly always, and told without a look at the records as objects. */
const isWhole = ({ places, count }: LogSegment): boolean => {
  let isNamed = false;
  let next = count;
  const isInLine = (type: number, first: number, entries: number): boolean => {
    if (type === RecordType.OPEN) isNamed = true;
    if (type !== RecordType.APPEND) return true;
    if (first + entries !== next) return false;
    next = first;
    return true;
  };
  for (let at = places.length - 1; at >= 0; at -= 1) {
    const { file, last } = places[at] as Place;
    if (file.isLeaving || !file.index.everyBack(last, isInLine)) return false;
  }
  return isNamed && next === 0;
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
  const metadata = columns.metadata?.from(skipped);
  return {
    first: first + skipped,
    count: count - skipped,
    bounds,
    columns: {
      bytes: columns.bytes,
      lineOffsets: columns.lineOffsets.subarray(skipped),
      times: columns.times.subarray(skipped),
      metadata: metadata?.isEmpty === false ? metadata : undefined,
    },
  };
};
