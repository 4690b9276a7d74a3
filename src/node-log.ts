/** Opens the log of a node, and tells what an earlier process left in it. */
import { LoggedSegments } from './actors/logged-segments.ts';
import type { HeadMemorySource } from './chunk/head-memory.ts';
import { segmentIdOf } from './chunk/memory-format.ts';
import type { Config } from './config.ts';
import { holdProcess } from './hold-process.ts';
import { type Log, type LogDeps, openLog } from './log/log.ts';
import { DEFAULT_LOG_OPTIONS } from './log/log-options.ts';
import type { LogRecovery } from './log/log-recovery.ts';
import type { LogSegment } from './log/segment-table.ts';
import type { NodeIdentity } from './node-identity.ts';
import { forEachConcurrent } from './protocol/for-each-concurrent.ts';
import type { IndexStore, StreamSegment } from './storage/index-store.ts';
import type { SchemaConfig } from './storage/schema-config.ts';

export interface NodeLogDeps extends Omit<LogDeps, 'holdProcess'> {
  readonly identity: NodeIdentity;
  readonly index: IndexStore;
  readonly info: (fields: object, text: string) => void;
  readonly warn: (fields: object, text: string) => void;
  readonly memory: HeadMemorySource;
  readonly schema: SchemaConfig;
}

export interface OpenNodeLog {
  readonly log: Log;
  readonly logged: LoggedSegments;
}

/** @throws RefusedError STORAGE_UNAVAILABLE if the log is another folder's or a newer version's; LogFileError if it cannot be read */
export const openNodeLog = async ({ wal }: Config['ingester'], deps: NodeLogDeps): Promise<OpenNodeLog> => {
  const { identity, clock, report, memory, schema } = deps;
  const log = await openLog(
    { ...deps, holdProcess },
    {
      ...DEFAULT_LOG_OPTIONS,
      ...identity,
      fileSizeMax: wal.file_size,
      batchSizeMax: wal.batch_size,
      sync: wal.sync,
      compactAgeMs: wal.compact_age,
      tidyPeriodMs: wal.tidy_period,
      diskUsedMax: wal.disk_used_percent_max / 100,
    },
  );
  tellRecovery(log, deps);
  await settleCommits(log, deps);
  const logged = await LoggedSegments.of({ log, clock, schema, memory, report });
  return { log, logged };
};

const tellRecovery = ({ recovery }: Log, { info, warn }: NodeLogDeps): void => {
  const { files, ...counts } = recovery;
  if (files.length > 0) info({ files: files.length, ...counts }, 'found the log of an earlier process');
  for (const { name, error } of unreadableFiles(recovery)) {
    warn(
      { file: name, err: error },
      'a file of the log cannot be read: what is in it is in no answer; start again once it can',
    );
  }
  if (recovery.tornBytes > 0) {
    warn({ bytes: recovery.tornBytes }, 'the log ended in the middle of a write, which nobody was told of: cut off');
  }
  if (recovery.damagedBytes > 0 || recovery.missingEntries > 0) {
    const { damagedBytes, damagedRecords, damagedSegments, missingEntries } = recovery;
    warn({ damagedBytes, damagedRecords, damagedSegments, missingEntries }, 'the log is damaged: entries are lost');
  }
};

const unreadableFiles = ({ files }: LogRecovery) => files.filter(({ state }) => state === 'unreadable');

/** Each is a request where the index is far away. */
const COMMITS_ASKED = 32;

/**
 * A process that ends between a commit and the end of its segment in the log, or right after that, leaves the commit behind. What is committed
 * is ended here; commits of segments that were on two disks stay for their time: another node may hold one for unflushed. A file that cannot
 * be read may have segments of any.
 */
const settleCommits = async (log: Log, { index, identity, report }: NodeLogDeps): Promise<void> => {
  if (unreadableFiles(log.recovery).length > 0) return;
  const old: StreamSegment[] = [];
  const live: [LogSegment, StreamSegment][] = [];
  for await (const { stream, segment: name, committedMs, isShared } of index.commits()) {
    const id = segmentIdOf(name);
    const segment = id && log.find(id);
    if (segment?.isLive) live.push([segment, { stream, segment: name }]);
    // Earlier versions had the store to themselves.
    const isOwn = id?.nodeId === identity.uid || committedMs === 0;
    if (isOwn && !isShared && !segment?.wasShared) old.push({ stream, segment: name });
  }
  try {
    await forEachConcurrent(live, COMMITS_ASKED, async ([segment, named]) => {
      // The process may have ended before all rows of the chunk were there.
      if ((await index.committed(named)) !== undefined) await log.flushed(segment, segment.count, true);
    });
  } catch (error) {
    report('the log could not be told of a stored segment', error);
    return;
  }
  if (old.length > 0) await index.forget(old);
};
