/**
 * Scans of flushed blocks, by kind of query, against bare inflate of the same blocks (the budgets are ratios to it). One iteration reads
 * 16 blocks of 256 KiB; all of them of the system the query is about.
 */
import zlib from 'node:zlib';
import { bench, do_not_optimize, summary } from 'mitata';
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import type { BlockData } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { MetricExpr, VectorAggregation } from '../../../src/logql/ast.ts';
import { labelHints, metricStages } from '../../../src/logql/hints.ts';
import { parseExpr } from '../../../src/logql/parser.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { leavesOf } from '../../../src/query/evaluate.ts';
import { entryRangeOf } from '../../../src/query/metric-leaf.ts';
import type { MetricTask } from '../../../src/query/scan/scan-messages.ts';
import { compileScan } from '../../../src/query/scan/scan-runner.ts';
import { runMetricTask } from '../../../src/query/scan/scan-tasks.ts';
import { gridOf } from '../../../src/query/step-windows.ts';
import { LineSource, SYSTEMS, type System } from '../../support/corpus.ts';
import { columnsOf } from '../../support/entries.ts';
import { sized } from '../bench-size.ts';

const BLOCKS = sized(16, 1);
const START_NS = 1_700_000_000_000_000_000n;

interface Kind {
  readonly name: string;
  readonly query: string;
  readonly system: System;
}

export const KINDS: readonly Kind[] = [
  { name: 'needle that is nowhere', query: 'count_over_time({app="x"} |= "no such needle" [1m])', system: 'access' },
  { name: 'needle, few lines', query: 'count_over_time({app="x"} |= "user=1234 " [1m])', system: 'jvm' },
  { name: 'needle in every other line', query: 'count_over_time({app="x"} |= "GET" [1m])', system: 'access' },
  { name: 'count by app', query: 'sum by (app) (count_over_time({app="x"}[1m]))', system: 'access' },
  { name: 'bytes by app', query: 'sum by (app) (bytes_over_time({app="x"}[1m]))', system: 'access' },
  {
    name: 'json, status >= 500',
    query: 'sum by (app) (count_over_time({app="x"} | json | status >= 500 [1m]))',
    system: 'json',
  },
  { name: 'json by method', query: 'sum by (method) (count_over_time({app="x"} | json [1m]))', system: 'json' },
  { name: 'logfmt by level', query: 'sum by (level) (count_over_time({app="x"} | logfmt [1m]))', system: 'logfmt' },
  {
    name: 'regex with a literal',
    query: 'sum by (app) (count_over_time({app="x"} |~ "slow query .*user=1[0-9]+" [1m]))',
    system: 'jvm',
  },
  {
    name: 'regex without a literal',
    query: 'sum by (app) (count_over_time({app="x"} |~ "[0-9]{3}[a-z]{2}[0-9]+" [1m]))',
    system: 'jvm',
  },
];

/** Blocks of one stream, one behind the other: a line every 7 ms. */
export const blocksOf = (system: System): readonly BlockData[] => {
  const source = new LineSource(system, 1);
  const limits = { blockSize: 262_144, targetSize: Number.POSITIVE_INFINITY };
  const segment = new Segment({ nodeId: 'bench', incarnation: 1, counter: 1 }, limits);
  const startMs = Number(START_NS / 1_000_000n);
  for (let entry = 0; segment.blocks.length < BLOCKS; ) {
    const entries = Array.from({ length: 500 }, () => {
      entry += 1;
      const timeMs = startMs + 7 * entry;
      return { timeNs: BigInt(timeMs) * 1_000_000n + BigInt((entry * 7919) % 1_000_000), line: source.next(timeMs) };
    });
    segment.append({ columns: columnsOf(entries), first: 0, end: entries.length });
    for (let cut = segment.nextCut(); cut; cut = segment.nextCut()) {
      segment.headCut(cut.number, cutBlock(cut.head, { encoding: 'gzip', withMetadataSections: false }));
    }
  }
  return segment.blocks;
};

const chunkOf = (blocks: readonly BlockData[]) => {
  const labels = labelSetOf(['app', 'x']);
  const { fingerprint } = labels;
  const form = { version: 3, encoding: 'gzip', symbols: [] } as const;
  const { bytes, checksum } = encodeChunk({ tenant: 't', fingerprint, labels: labels.pairs, blocks, ...form });
  return { key: 'bench', bytes, checksum };
};

export const taskOf = (query: string, blocks: readonly BlockData[]): MetricTask => {
  const expr = parseExpr(query) as MetricExpr;
  const [leaf] = leavesOf(expr);
  if (!leaf) throw new Error('no range aggregation');
  const outer = expr.kind === 'vectorAggregation' ? (expr as VectorAggregation) : undefined;
  const { rangeNs, offsetNs, log } = leaf.expr.range;
  const grid = gridOf(START_NS, START_NS + 3_600_000_000_000n, 60_000_000_000n, false);
  const plan = {
    scanId: query,
    tenant: 't',
    namesTenant: false,
    matchers: log.matchers,
    stages: metricStages(leaf.expr),
    hints: labelHints(leaf.expr, outer),
    ...entryRangeOf(grid, rangeNs, offsetNs),
    scan: {
      kind: 'metric',
      grid,
      rangeNs,
      offsetNs,
      measure: query.includes('bytes') ? 'bytes' : 'count',
      unwrap: undefined,
      group: leaf.group,
      seriesMax: 0,
    },
  } as const;
  const { startNs, endNs } = plan;
  return { kind: 'metric', plan, slices: [{ startNs, endNs, memory: [], chunks: [chunkOf(blocks)] }] };
};

export const registerBenches = (): void => {
  for (const system of SYSTEMS) {
    const blocks = blocksOf(system);
    summary(() => {
      bench(`bare inflate of ${system} blocks`, () => {
        let size = 0;
        for (const { bytes, uncompressedSize, count } of blocks) {
          const plain = uncompressedSize + 16 * count;
          const body = bytes.subarray(10, bytes.length - 8);
          size += zlib.inflateRawSync(body, { chunkSize: plain }).length;
        }
        return do_not_optimize(size);
      }).baseline();
      for (const { name, query } of KINDS.filter((kind) => kind.system === system)) {
        const task = taskOf(query, blocks);
        const compiled = compileScan(task.plan);
        bench(`${name}: ${query}`, () => do_not_optimize(runMetricTask(task, compiled).counts.decompressedLines));
      }
    });
  }
};
