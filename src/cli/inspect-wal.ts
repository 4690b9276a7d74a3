import { stat } from 'node:fs/promises';
import path from 'node:path';
import { fileNameOf, numberOfFile } from '../log/file-header.ts';
import type { IndexedRecord } from '../log/file-index.ts';
import type { LogFiles } from '../log/log-files.ts';
import { LogReader, missingEntries } from '../log/log-reader.ts';
import { NodeLogFiles } from '../log/node-log-files.ts';
import { recordTypeName } from '../log/record-format.ts';
import { type RecoveredFile, recoverLog } from '../log/recover-log.ts';
import { type IndexedFile, type LogSegment, SegmentTable } from '../log/segment-table.ts';
import { canonicalText } from '../protocol/label-text.ts';
import { CommandError, UsageError } from './cli-error.ts';
import { formatTime } from './entry-printer.ts';
import { tableText } from './metric-printer.ts';
import type { Terminal } from './terminal.ts';

export interface WalFlags {
  readonly records?: boolean;
  readonly json?: boolean;
}

interface FileReport {
  readonly file: string;
  readonly state: string;
  readonly created: string | undefined;
  readonly bytes: number;
  readonly liveBytes: number;
  readonly segments: number;
  readonly liveSegments: number;
  readonly damagedBytes: number;
  readonly damagedRecords: number;
  readonly tornBytes: number;
}

interface SegmentReport {
  readonly segment: string;
  /** `open`, `sealed`, `adopted`, `copy` (another disk's, without CUSTODY), `flushed`, `released`, `dropped`; precedence from the right. */
  readonly state: string;
  readonly tenant: string | undefined;
  readonly labels: string | undefined;
  readonly chunkVersion: number | undefined;
  readonly entries: number;
  readonly missingEntries: number;
  readonly finalCount: number | undefined;
  readonly flushedCount: number | undefined;
  readonly from: string | undefined;
  readonly through: string | undefined;
  readonly bytes: number;
  readonly files: readonly string[];
}

interface RecordReport {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly type: string;
  readonly segment: string;
  readonly first: number;
  readonly count: number;
  readonly checksum: 'ok' | 'damaged';
}

interface WalReport {
  readonly path: string;
  readonly bytes: number;
  readonly liveBytes: number;
  readonly files: readonly FileReport[];
  readonly segments: readonly SegmentReport[];
  readonly records?: readonly RecordReport[];
}

export const runInspectWal = async (target: string, flags: WalFlags, terminal: Terminal): Promise<void> => {
  const files = await filesOf(target);
  const table = new SegmentTable();
  const recovered = (await recoverLog(files, table, undefined)).filter(isThere);
  const records = flags.records ? await inspectRecords(files, table) : undefined;
  const report = reportOf(target, table, recovered, records);
  if (flags.json) await terminal.line(JSON.stringify(report));
  else await printReport(terminal, report);
  const damaged = damageOf(report);
  if (damaged.length > 0) throw new CommandError(`damaged: ${damaged.join('; ')}`);
};

/** A folder, or a folder that seems to have this one file. */
const filesOf = async (target: string): Promise<LogFiles> => {
  try {
    if ((await stat(target)).isDirectory()) return new NodeLogFiles(target);
  } catch (error) {
    throw new UsageError(`cannot read ${target}: ${(error as Error).message}`, { cause: error });
  }
  const name = path.basename(target);
  if (numberOfFile(name) === undefined) throw new UsageError(`${name} is not named as a file of a log is`);
  const files = new NodeLogFiles(path.dirname(target));
  return Object.assign(files, { list: async () => [name] });
};

/** A running node removes files meanwhile. */
const isThere = ({ error }: RecoveredFile): boolean => (error as { code?: unknown } | undefined)?.code !== 'ENOENT';

const inspectRecords = async (files: LogFiles, table: SegmentTable): Promise<readonly RecordReport[]> => {
  const reader = new LogReader(files);
  const reports: RecordReport[] = [];
  for (const file of table.files.values()) {
    for (const { segment, record } of recordsOf(file)) {
      const isOk = (await reader.record(file, record)) !== undefined;
      const { offset, length, type, first, count } = record;
      reports.push({
        file: fileNameOf(file.number),
        offset,
        length,
        type: recordTypeName(type),
        segment: idText(segment),
        first,
        count,
        checksum: isOk ? 'ok' : 'damaged',
      });
    }
  }
  await reader.close();
  return reports.sort((left, right) => left.file.localeCompare(right.file) || left.offset - right.offset);
};

const recordsOf = (file: IndexedFile): readonly { readonly segment: LogSegment; readonly record: IndexedRecord }[] =>
  file.places.flatMap(({ segment, last }) => file.index.chain(last).map((record) => ({ segment, record })));

const idText = ({ id }: LogSegment): string => `${id.nodeId}/${id.incarnation}/${id.counter}`;

const reportOf = (
  target: string,
  table: SegmentTable,
  recovered: readonly RecoveredFile[],
  records: readonly RecordReport[] | undefined,
): WalReport => {
  const files = recovered.map((file) => fileReport(file, table.files.get(numberOfFile(file.name) ?? 0)));
  return {
    path: target,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    liveBytes: files.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
    files,
    segments: [...table.segments()].map(segmentReport),
    ...(records ? { records } : {}),
  };
};

const fileReport = (
  { name, state, size, damagedBytes, damagedRecords, tornBytes }: RecoveredFile,
  file: IndexedFile | undefined,
): FileReport => ({
  file: name,
  state: state === 'footer' ? 'closed' : state === 'scanned' ? 'open' : state,
  created: file && new Date(file.createdMs).toISOString(),
  bytes: size,
  liveBytes: file?.liveBytes ?? 0,
  segments: file?.places.length ?? 0,
  liveSegments: file?.liveSegments ?? 0,
  damagedBytes,
  damagedRecords,
  tornBytes,
});

const segmentReport = (segment: LogSegment): SegmentReport => {
  const { header, minTime, maxTime } = segment;
  return {
    segment: idText(segment),
    state: stateOf(segment),
    tenant: header?.tenant,
    labels: header && canonicalText(header.labels),
    chunkVersion: header?.version,
    entries: segment.count,
    missingEntries: segment.isLive ? missingEntries(segment) : 0,
    finalCount: segment.finalCount,
    flushedCount: segment.flushed?.count,
    from: minTime === undefined ? undefined : formatTime(minTime),
    through: maxTime === undefined ? undefined : formatTime(maxTime),
    bytes: segment.bytes,
    files: segment.places.map(({ file }) => fileNameOf(file.number)).sort(),
  };
};

const stateOf = (segment: LogSegment): string => {
  if (segment.isDropped) return 'dropped';
  if (segment.isForeign && segment.custodyEpoch === undefined) return 'copy';
  if (!segment.isHeld) return 'released';
  if (segment.isDead) return 'flushed';
  if (segment.custodyEpoch !== undefined) return 'adopted';
  return segment.finalCount === undefined ? 'open' : 'sealed';
};

const damageOf = ({ files, segments, records }: WalReport): readonly string[] => [
  ...files
    .filter(({ damagedBytes, state }) => damagedBytes > 0 || state === 'unreadable')
    .map(
      ({ file, damagedBytes, damagedRecords }) => `${file}: ${damagedBytes} bytes, ${damagedRecords} records or more`,
    ),
  ...segments
    .filter((segment) => segment.missingEntries > 0)
    .map((segment) => `${segment.segment}: ${segment.missingEntries} entries missing`),
  ...(records ?? [])
    .filter(({ checksum }) => checksum !== 'ok')
    .map(({ file, offset, segment }) => `${file}: the record of ${segment} at ${offset}`),
];

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${Math.round((100 * part) / whole)} %`);

const printReport = async (
  terminal: Terminal,
  { path: target, bytes, liveBytes, files, segments, records }: WalReport,
): Promise<void> => {
  await terminal.line(`${target}: ${files.length} files, ${bytes} bytes, ${share(liveBytes, bytes)} live`);
  await terminal.line('');
  await terminal.line(
    tableText(
      ['file', 'state', 'created', 'bytes', 'live', 'segments', 'live', 'damaged bytes', 'unfinished end'],
      files.map((file) => [
        file.file,
        file.state,
        file.created ?? '-',
        String(file.bytes),
        share(file.liveBytes, file.bytes),
        String(file.segments),
        String(file.liveSegments),
        String(file.damagedBytes),
        String(file.tornBytes),
      ]),
    ),
  );
  await terminal.line('');
  await terminal.line(
    tableText(
      ['segment', 'state', 'entries', 'missing', 'from', 'through', 'bytes', 'files', 'tenant', 'labels'],
      segments.map((segment) => [
        segment.segment,
        segment.state,
        String(segment.entries),
        String(segment.missingEntries),
        segment.from ?? '-',
        segment.through ?? '-',
        String(segment.bytes),
        String(segment.files.length),
        segment.tenant ?? '?',
        segment.labels ?? '?',
      ]),
    ),
  );
  if (records) await printRecords(terminal, records);
};

const printRecords = async (terminal: Terminal, records: readonly RecordReport[]): Promise<void> => {
  await terminal.line('');
  await terminal.line(
    tableText(
      ['file', 'offset', 'type', 'segment', 'first', 'count', 'bytes', 'checksum'],
      records.map((record) => [
        record.file,
        String(record.offset),
        record.type,
        record.segment,
        String(record.first),
        String(record.count),
        String(record.length),
        record.checksum,
      ]),
    ),
  );
};
