/**
 * One selector in a process that has nothing else: as compiled, for a loader of TypeScript would be half of its memory. Arguments: options of the
 * store, schema periods, tenant, range in ns, as JSON. Prints its figures as JSON.
 */
import { createSchemaConfig } from '../../../dist/src/storage/schema-config.js';
import { BigtableIndexStore } from '../../../dist/src/storage/bigtable-index-store.js';
import { SchemaIndexReader } from '../../../dist/src/storage/schema-index-reader.js';
import { holdProcess } from '../../../dist/src/hold-process.js';
import { systemClock } from '../../../dist/src/system-clock.js';

const { options, periods, tenant, startNs, endNs } = JSON.parse(process.argv[2]);
const store = await BigtableIndexStore.open(options, {
  clock: systemClock,
  chance: Math.random,
  report: () => undefined,
  holdProcess,
});
const reader = new SchemaIndexReader(store, createSchemaConfig(periods));
const before = process.memoryUsage.rss();
const began = performance.now();
const matchers = [{ name: 'app', op: '=', value: 'bench' }];
const { count } = await reader.chunkRefs(tenant, matchers, { startNs: BigInt(startNs), endNs: BigInt(endNs) });
const seconds = (performance.now() - began) / 1000;
const peak = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ count, seconds, before, peak }));
await store.close();
