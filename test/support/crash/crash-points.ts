/** Stores and files that tell of each step they take: a test ends the process there. */
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import type { LogFile, LogFiles } from '../../../src/log/log-files.ts';
import type { NodeWorkers } from '../../../src/node-workers.ts';
import { rewriteChunk } from '../../../src/query/scan/rewrite-chunk.ts';
import type { ChunkStore } from '../../../src/storage/chunk-store.ts';
import type { IndexStore } from '../../../src/storage/index-store.ts';

export type CrashStep =
  | 'log write: before'
  | 'log write: not synced'
  | 'log write: synced'
  | 'log truncate: before'
  | 'log unlink: before'
  | 'log unlink: after'
  | 'log folder: before sync'
  | 'log folder: synced'
  | 'cut: before'
  | 'encode: before'
  | 'object: before'
  | 'object: durable'
  | 'commit: before'
  | 'commit: under way'
  | 'commit: durable'
  | 'forget: before'
  | 'forget: done'
  | 'idle';

/** Awaited at each step. */
export type OnStep = (step: CrashStep) => Promise<void>;

export const watchedLogFiles = (files: LogFiles, onStep: OnStep): LogFiles => ({
  list: () => files.list(),
  open: async (name, mode) => {
    const file = await files.open(name, mode);
    return mode === 'read' ? file : watchedFile(file, onStep);
  },
  rename: (from, to) => files.rename(from, to),
  unlink: async (name) => {
    await onStep('log unlink: before');
    await files.unlink(name);
    await onStep('log unlink: after');
  },
  syncFolder: async () => {
    await onStep('log folder: before sync');
    await files.syncFolder();
    await onStep('log folder: synced');
  },
  space: () => files.space(),
  close: () => files.close(),
});

const watchedFile = (file: LogFile, onStep: OnStep): LogFile => ({
  size: () => file.size(),
  read: (offset, into) => file.read(offset, into),
  write: async (offset, bytes, isSynced) => {
    if (!isSynced) return await file.write(offset, bytes, false);
    await onStep('log write: before');
    await file.write(offset, bytes, false);
    await onStep('log write: not synced');
    await file.datasync();
    await onStep('log write: synced');
  },
  datasync: () => file.datasync(),
  truncate: async (size) => {
    await onStep('log truncate: before');
    await file.truncate(size);
  },
  close: () => file.close(),
});

export const watchedChunks = (chunks: ChunkStore, onStep: OnStep): ChunkStore => ({
  put: async (key, bytes) => {
    await onStep('object: before');
    await chunks.put(key, bytes);
    await onStep('object: durable');
  },
  get: (key) => chunks.get(key),
  getRange: (key, range, version) => chunks.getRange(key, range, version),
  state: (key) => chunks.state(key),
  delete: (key) => chunks.delete(key),
  list: (prefix) => chunks.list(prefix),
  close: () => chunks.close(),
});

export const watchedIndex = (index: IndexStore, onStep: OnStep): IndexStore => ({
  write: (entries) => index.write(entries),
  commit: async (segments, chunkKey, entries, shared) => {
    await onStep('commit: before');
    const committed = index.commit(segments, chunkKey, entries, shared);
    // The store has it in its queue, or in a transaction.
    await new Promise((resolve) => setImmediate(resolve));
    await onStep('commit: under way');
    const committedIn = await committed;
    await onStep('commit: durable');
    return committedIn;
  },
  committed: (segment) => index.committed(segment),
  commits: () => index.commits(),
  forget: async (segments) => {
    await onStep('forget: before');
    await index.forget(segments);
    await onStep('forget: done');
  },
  unsettled: (keys) => index.unsettled(keys),
  delete: (entries) => index.delete(entries),
  rows: (table, rangeEnd) => index.rows(table, rangeEnd),
  scan: (lookups, visit) => index.scan(lookups, visit),
  tables: () => index.tables?.() ?? Promise.resolve([]),
  close: () => index.close(),
});

/** Cuts in the thread of the event loop: another one takes a second to start. */
export const watchedCutting = (workers: NodeWorkers, onStep: OnStep): NodeWorkers => {
  workers.cut.run = async (task) => {
    await onStep(task.kind === 'cut' ? 'cut: before' : 'encode: before');
    if (task.kind === 'rewrite') return await rewriteChunk(task);
    if (task.kind === 'cut') return cutBlock(task.head, task);
    const form = { ...task, withMetadataSections: task.version === 4, maxBytes: 64 << 20 };
    return encodeChunk({ ...task, blocks: rebuildBlocks(task.blocks, form) });
  };
  return workers;
};
