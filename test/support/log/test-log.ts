import { lineLengthAt, lineStartAt } from '../../../src/chunk/line-bounds.ts';
import type { SegmentPart } from '../../../src/log/adoption.ts';
import type { AppendRun } from '../../../src/log/append-record.ts';
import { type Log, type LogDeps, openLog } from '../../../src/log/log.ts';
import type { LogFiles } from '../../../src/log/log-files.ts';
import { DEFAULT_LOG_OPTIONS, type LogOptions } from '../../../src/log/log-options.ts';
import type { Gap } from '../../../src/log/log-reader.ts';
import { encodeSegmentPart } from '../../../src/log/segment-part.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { textOfBytes } from '../../../src/protocol/byte-text.ts';
import { ManualClock } from '../clock.ts';
import { collectGarbage } from '../collect-garbage.ts';
import type { TestEntry } from '../entries.ts';

export const UID = '00112233445566778899aabbccddeeff';

export interface TestLogOptions
  extends Partial<LogOptions>,
    Partial<Pick<LogDeps, 'clock' | 'report' | 'committed' | 'cpuWaitShare' | 'holdProcess'>> {}

/** Opened between two collections. */
const LOGS_AT_A_TIME = 100;
let opened = 0;

/** A log with small files that tidies only when it is asked to. */
export const openTestLog = async (files: LogFiles, options: TestLogOptions = {}): Promise<Log> => {
  opened += 1;
  if (opened % LOGS_AT_A_TIME === 0) collectGarbage();
  return await openLog(
    {
      files,
      clock: options.clock ?? new ManualClock(),
      chance: () => 0.3,
      report: options.report ?? (() => undefined),
      committed: options.committed,
      cpuWaitShare: options.cpuWaitShare,
      holdProcess: options.holdProcess,
    },
    {
      ...DEFAULT_LOG_OPTIONS,
      uid: UID,
      incarnation: 1,
      batchSizeMax: 64 << 10,
      tidyPeriodMs: 1e9,
      spaceCheckMs: 0,
      ...options,
    },
  );
};

export const HEADER = { tenant: 'tenant-a', labels: ['app', 'web'], version: 4, openedMs: 1_700_000_000_000 };

export const segmentId = (counter: number, incarnation = 1) => ({ nodeId: UID, incarnation, counter });

export const entriesOf = ({ columns, count }: AppendRun): readonly TestEntry[] =>
  Array.from({ length: count }, (_, index) => {
    const offset = columns.lineOffsets[index]!;
    const start = lineStartAt(columns.bytes, offset);
    const line = textOfBytes(columns.bytes, start, start + lineLengthAt(columns.bytes, offset));
    const metadata = columns.metadata?.get(index);
    const timeNs = columns.times[index]!;
    return metadata ? { timeNs, line, metadata } : { timeNs, line };
  });

export interface ReadSegment {
  readonly entries: readonly TestEntry[];
  readonly gaps: readonly Gap[];
}

export const readAll = async (log: Log, segment: LogSegment): Promise<ReadSegment> => {
  const entries: TestEntry[] = [];
  const gaps: Gap[] = [];
  for await (const run of log.read(segment, (gap) => gaps.push(gap))) entries.push(...entriesOf(run));
  return { entries, gaps };
};

export const linesOf = async (log: Log, segment: LogSegment): Promise<readonly string[]> =>
  (await readAll(log, segment)).entries.map(({ line }) => line);

/** A small, seeded source of chance (mulberry32). */
export const seededChance = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** The event loop has a turn. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A part as it comes from the wire, in memory of its own. */
export const bytesOfPart = (part: SegmentPart): Uint8Array =>
  new Uint8Array(Buffer.concat([...encodeSegmentPart(part)]));
