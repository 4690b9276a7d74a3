import { type AppendRun, readAppend, recordedRun } from './append-record.ts';
import { fileNameOf } from './file-header.ts';
import type { IndexedRecord } from './file-index.ts';
import { type LogFile, LogFileError, type LogFiles } from './log-files.ts';
import { isIntact, RecordType } from './record-format.ts';
import type { IndexedFile, LogSegment } from './segment-table.ts';

/** Entries [first, end) of a segment are not in the log any more, or not readable. */
export interface Gap {
  readonly first: number;
  readonly end: number;
  /** The file whose record is damaged; undefined if there is no record of them at all. */
  readonly file: string | undefined;
}

/** Bytes between two records that are read along: a read of its own costs more (measured: 50 µs, as long as 200 KB from the page cache take). */
const GAP_BYTES_MAX = 32 << 10;
/** Of one read. */
const PIECE_BYTES_MAX = 1 << 20;

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
      yield* this.#runs(
        segment,
        appendsOf(segment),
        ({ file, record }) => this.record(file, record),
        readAppend,
        onGap,
      );
    } finally {
      unpin();
    }
  }

  /**
   * As `read` of each segment, all at once: records of segments that were written together lie beside each other, and are read together. Memory: at
   * most twice their records, and one read more while it goes on. Nothing looks into the entries before the caller does.
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
      const runsOf = async (segment: LogSegment, index: number): Promise<readonly AppendRun[]> => {
        const runs: AppendRun[] = [];
        const recordOf = async ({ record }: Found): Promise<Uint8Array | undefined> => bytes.get(record);
        const own = this.#runs(segment, found[index] ?? [], recordOf, recordedRun, (gap) => onGap(segment, gap));
        for await (const run of own) runs.push(run);
        return runs;
      };
      return await Promise.all(segments.map(runsOf));
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

  /** Views of what was read at once, but copies where most of that lies between them: it would stay for as long as they do. What is damaged is left out. */
  async #recordsOf(records: readonly Found[]): Promise<ReadonlyMap<IndexedRecord, Uint8Array>> {
    const intact = new Map<IndexedRecord, Uint8Array>();
    for (const piece of piecesOf(records)) {
      const [{ file, record: first }] = piece;
      const { offset, length } = (piece.at(-1) as Found).record;
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(offset + length - first.offset).buffer);
      const size = await (await this.#handle(file.number)).read(first.offset, bytes);
      const isMostlyBetween = piece.reduce((sum, { record }) => sum + record.length, 0) < bytes.length / 2;
      for (const { record } of piece) {
        const at = record.offset - first.offset;
        const own = bytes.subarray(at, at + record.length);
        if (at + record.length > size || !isIntact(own, file.salt)) continue;
        intact.set(record, isMostlyBetween ? own.slice() : own);
      }
    }
    return intact;
  }

  async *#runs(
    { count }: LogSegment,
    records: readonly Found[],
    recordOf: (found: Found) => Promise<Uint8Array | undefined>,
    toRun: (record: Uint8Array) => AppendRun,
    onGap: (gap: Gap) => void,
  ): AsyncGenerator<AppendRun> {
    let next = 0;
    let damagedIn: string | undefined;
    for (const found of records) {
      const { file, record } = found;
      const end = record.first + record.count;
      if (end <= next) continue;
      const bytes = await recordOf(found);
      if (!bytes) {
        damagedIn = fileNameOf(file.number);
        continue;
      }
      if (record.first > next) onGap({ first: next, end: record.first, file: damagedIn });
      damagedIn = undefined;
      const run = toRun(bytes);
      yield record.first >= next ? run : withoutFirst(run, next - record.first);
      next = end;
    }
    if (next < count) onGap({ first: next, end: count, file: damagedIn });
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
