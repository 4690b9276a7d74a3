/**
 * `ringlog serve` with stores that fail on command. Argument: a configuration file. Speaks over IPC: takes an Outage, tells a NodeReport
 * every so often.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import { NodeLogFiles } from '../../src/log/node-log-files.ts';
import { nextIdentity } from '../../src/node-identity.ts';
import { startServer } from '../../src/serve.ts';
import { FileChunkStore } from '../../src/storage/file-chunk-store.ts';
import { FolderLock } from '../../src/storage/folder-lock.ts';
import { LmdbIndexStore } from '../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { FaultyChunkStore, FaultyIndexStore, type Outage, OutageSwitch } from './faulty-stores.ts';
import type { NodeReport } from './node-report.ts';

const REPORT_MS = 250;

const [file = ''] = process.argv.slice(2);
const config = loadConfig({ file: { name: file, text: readFileSync(file, 'utf8') } });
const log = pino({ level: config.log_level, base: null }, pino.destination({ dest: 2, sync: true }));

const folder = (name: string): string => {
  const made = path.join(config.data_dir, name);
  mkdirSync(made, { recursive: true });
  return made;
};
const logFolder = folder('log');
await FolderLock.take(config.data_dir);
const chunks = await FileChunkStore.open(folder('chunks'));
const index = await LmdbIndexStore.open({ path: folder('index'), clock: systemClock });
const identity = await nextIdentity(config.data_dir, Date.now());
const outages = { chunks: new OutageSwitch('chunks'), index: new OutageSwitch('index') };
const server = await startServer(config, 'soak', log, {
  chunks: new FaultyChunkStore(chunks, outages.chunks),
  index: new FaultyIndexStore(index, outages.index),
  logDisk: { files: new NodeLogFiles(logFolder), identity },
});
log.info({ http: server.httpAddress }, 'ringlog is serving');

process.on('message', ({ store, kind, ms }: Outage) => outages[store].start(kind, ms));
setInterval(() => {
  const { flush, unflushedBytes, headBytes, appendBytesInFlight, recoveredSegments, log: wal } = server.node.figures();
  const report: NodeReport = {
    flushed: flush.flushed,
    flushesPending: flush.pending,
    flushFailures: flush.failures,
    unflushedBytes,
    headBytes,
    appendBytesInFlight,
    recoveredSegments,
    removedFiles: wal?.removedFiles ?? 0,
    compactedFiles: wal?.compactedFiles ?? 0,
    logBytes: wal?.bytes ?? 0,
    memory: process.memoryUsage(),
  };
  process.send?.(report, undefined, undefined, () => undefined);
}, REPORT_MS).unref();

process.once('SIGTERM', () => {
  server.close().then(
    () => process.exit(0),
    (error: unknown) => {
      log.error({ err: error }, 'did not stop cleanly');
      process.exit(1);
    },
  );
});
