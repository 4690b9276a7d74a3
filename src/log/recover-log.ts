/** What is there at the start: footers of closed files, a scan of those without. */
import { RefusedError } from '../protocol/refusal.ts';
import {
  DATA_START,
  decodeFileHeader,
  type FileHeader,
  fileNameOf,
  LOG_VERSION,
  numberOfFile,
  type PreviousFile,
} from './file-header.ts';
import { type ScannedFile, scanFile } from './file-scan.ts';
import { encodeFooter, isFooter, readFooter, readTrailer, TRAILER_SIZE, type Trailer } from './footer.ts';
import { type LogFile, LogFileError, type LogFiles } from './log-files.ts';
import { IndexedFile, type SegmentTable } from './segment-table.ts';

/** What became of one file at the start. */
export interface RecoveredFile {
  readonly name: string;
  readonly size: number;
  /**
   * `footer`: not read but for that; `scanned`; `unfinished`: nothing in it was ever acknowledged, it is put aside; `unreadable`: left alone, it
   * may come back.
   */
  readonly state: 'footer' | 'scanned' | 'unfinished' | 'unreadable';
  /** Behind the last batch that counts: cut off. Nothing in it was acknowledged. */
  readonly tornBytes: number;
  readonly damagedBytes: number;
  /** At least so many. */
  readonly damagedRecords: number;
  readonly error: unknown;
  /** Where the last batch of a scanned file begins. */
  readonly lastBatchAt: number;
}

interface Recovery {
  readonly files: LogFiles;
  readonly table: SegmentTable;
  readonly uid: string | undefined;
  /** What the newer files say of the older ones. */
  readonly claims: Claims;
}

interface Claims {
  /** Number of the oldest file looked at so far; infinite before the first. */
  oldest: number;
  /** Of the file before that one; undefined if it is not known. */
  previous: PreviousFile | undefined;
}

/**
 * Fills the table with what the folder has. Changes nothing on disk.
 * @param uid undefined: that of any disk
 * @throws RefusedError STORAGE_UNAVAILABLE if the log is another disk's or a newer version's; LogFileError if the folder cannot be listed
 */
export const recoverLog = async (
  files: LogFiles,
  table: SegmentTable,
  uid: string | undefined,
): Promise<readonly RecoveredFile[]> => {
  const names = (await files.list()).filter((name) => numberOfFile(name) !== undefined).sort();
  const recovered: RecoveredFile[] = [];
  const claims: Claims = { oldest: Number.POSITIVE_INFINITY, previous: undefined };
  // The newest first: a file says which one was before it, and how much of that was durable.
  for (const name of names.reverse()) recovered.push(await recoverFile({ files, table, uid, claims }, name));
  for (const segment of table.segments()) segment.accepted = segment.count;
  return recovered.reverse();
};

/**
 * Gives scanned files their footers, after their torn ends are cut, and puts aside what never became a file. What fails is done at the next start.
 */
export const closeRecovered = async (
  files: LogFiles,
  table: SegmentTable,
  recovered: readonly RecoveredFile[],
  report: (problem: string, error: unknown) => void,
): Promise<void> => {
  const open = recovered.filter(({ state }) => state !== 'footer' && state !== 'unreadable');
  for (const file of open) {
    try {
      await closeRecoveredFile(files, table, file);
    } catch (error) {
      if (file.state === 'unfinished') table.leftovers.add(file.name);
      report(`the log file ${file.name} could not be closed`, error);
    }
  }
  if (open.length === 0) return;
  try {
    // The names too: the process may have ended before it could sync them.
    await files.syncFolder();
  } catch (error) {
    report('the folder of the log could not be synced', error);
  }
};

const closeRecoveredFile = async (files: LogFiles, table: SegmentTable, recovered: RecoveredFile): Promise<void> => {
  const { name, size, lastBatchAt } = recovered;
  const file = table.files.get(numberOfFile(name) ?? 0);
  if (file) await closeFile(files, file, lastBatchAt);
  else if (size <= DATA_START) await files.unlink(name);
  else await putAside(files, name);
};

/** Out of the way, for somebody to look at: it was not this process that wrote it. */
export const putAside = (files: LogFiles, name: string): Promise<void> => files.rename(name, `${name}.torn`);

/**
 * The last batch is written once more: if its sync failed before the process ended, the system holds its pages for clean, and they would be
 * in the footer but not on the disk.
 */
const closeFile = async (files: LogFiles, file: IndexedFile, lastBatchAt: number): Promise<void> => {
  const handle = await files.open(fileNameOf(file.number), 'write');
  try {
    await handle.truncate(file.size);
    const batch = await readAt(handle, lastBatchAt, file.size - lastBatchAt);
    const footer = encodeFooter(file);
    await handle.write(lastBatchAt, Buffer.concat([batch, footer]), true);
    file.footerAt = file.size;
    file.size += footer.length;
  } finally {
    await handle.close();
  }
};

const recoverFile = async (recovery: Recovery, name: string): Promise<RecoveredFile> => {
  try {
    const handle = await recovery.files.open(name, 'read');
    try {
      return await recoverFrom(handle, recovery, name);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!(error instanceof LogFileError)) throw error;
    return { ...nothing(name, 0, 'unreadable'), error };
  }
};

const recoverFrom = async (handle: LogFile, recovery: Recovery, name: string): Promise<RecoveredFile> => {
  const { table, uid, claims } = recovery;
  const number = numberOfFile(name) ?? 0;
  const size = await handle.size();
  const { oldest, previous } = claims;
  // It could not be begun, and its batch went into a newer file or was refused.
  if (previous && number > previous.number) return { ...nothing(name, size, 'unfinished'), tornBytes: size };
  const durableSize = previous?.number === number ? previous.size : undefined;
  const header = decodeFileHeader(await readAt(handle, 0, Math.min(size, DATA_START)));
  if (header) checkHeader(name, header, uid);
  table.uid ??= header?.uid;
  claims.oldest = number;
  claims.previous = header?.number === number ? header.previous : undefined;
  const trailer = readTrailer(await readAt(handle, Math.max(0, size - TRAILER_SIZE), TRAILER_SIZE), size);
  const closed = trailer && (await readClosed(handle, table, number, trailer, size));
  if (closed) closed.previous = claims.previous?.number;
  if (closed) return { ...nothing(name, size, 'footer'), ...damageOf(closed) };
  const origin = header ?? trailer;
  if (!origin) {
    // The header is synced with the first batch, and the newest file may have had none yet.
    if (size <= DATA_START || oldest === Number.POSITIVE_INFINITY)
      return { ...nothing(name, size, 'unfinished'), tornBytes: size };
    const error = new LogFileError('both copies of its header are damaged', { step: 'read', code: 'EILSEQ' });
    return { ...nothing(name, size, 'unreadable'), damagedBytes: size, damagedRecords: 1, error };
  }
  const scanned = await scanFile({ file: handle, size, salt: origin.salt, durableSize });
  if (scanned.records.length === 0 && scanned.damage.length === 0) {
    return { ...nothing(name, size, 'unfinished'), tornBytes: size };
  }
  const file = new IndexedFile(number, origin.salt, origin.createdMs);
  file.size = scanned.end;
  file.previous = claims.previous?.number;
  file.damage.push(...scanned.damage);
  table.files.set(number, file);
  addScanned(table, file, scanned);
  const { tornBytes, lastBatchAt } = scanned;
  return { ...nothing(name, size, 'scanned'), tornBytes, lastBatchAt, ...damageOf(file) };
};

/** undefined if the footer is not what the trailer says. */
const readClosed = async (
  handle: LogFile,
  table: SegmentTable,
  number: number,
  trailer: Trailer,
  size: number,
): Promise<IndexedFile | undefined> => {
  const record = await readAt(handle, trailer.offset, trailer.length);
  if (!isFooter(record, trailer)) return undefined;
  const file = new IndexedFile(number, trailer.salt, trailer.createdMs);
  file.size = size;
  file.footerAt = trailer.offset;
  table.files.set(number, file);
  readFooter(record, file, table);
  return file;
};

const addScanned = (table: SegmentTable, file: IndexedFile, { writers, records }: ScannedFile): void => {
  for (const record of records) {
    const writer = writers.get(record.writer);
    if (!writer) {
      // Its batch's first record is damaged, and no other of the file names the writer.
      file.damage.push({ offset: record.offset, size: record.length, records: 1 });
      continue;
    }
    const segment = table.segment(table.writer(writer.nodeId, writer.incarnation), record.counter);
    if (record.open) segment.open = record.open;
    table.add(file, segment, record, record.bounds);
  }
};

const checkHeader = (name: string, header: FileHeader, uid: string | undefined): void => {
  const refuse = (text: string): never => {
    throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `the log file ${name} ${text}` });
  };
  if (header.version !== LOG_VERSION) refuse(`has format version ${header.version}; this program knows ${LOG_VERSION}`);
  if (uid !== undefined && header.uid !== uid) refuse(`belongs to the disk ${header.uid}, not to ${uid}`);
};

const readAt = async (handle: LogFile, offset: number, size: number): Promise<Uint8Array> => {
  const bytes = new Uint8Array(size);
  return bytes.subarray(0, await handle.read(offset, bytes));
};

const nothing = (name: string, size: number, state: RecoveredFile['state']): RecoveredFile => ({
  name,
  size,
  state,
  tornBytes: 0,
  damagedBytes: 0,
  damagedRecords: 0,
  error: undefined,
  lastBatchAt: 0,
});

const damageOf = ({ damage }: IndexedFile): Pick<RecoveredFile, 'damagedBytes' | 'damagedRecords'> => ({
  damagedBytes: damage.reduce((sum, { size }) => sum + size, 0),
  damagedRecords: damage.reduce((sum, { records }) => sum + records, 0),
});
