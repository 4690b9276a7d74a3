/**
 * Starts a cluster on this machine, as `ringlog cluster` does (see `--help`); without arguments three nodes in ./ringlog-cluster.
 *
 *   node --import tsx scripts/bootstrap-cluster.ts [--nodes N] [--base-port P] [--data-dir D] [--etcd URL]
 */
import path from 'node:path';

process.argv.splice(1, 1, path.join(import.meta.dirname, '../bin/ringlog.js'), 'cluster');
await import('../bin/ringlog.js' as string);
