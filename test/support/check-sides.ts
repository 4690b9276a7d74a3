/** Checks of stores, as tests run them. */
import { checkStore } from '../../src/check/check-store.ts';
import { DANGLING_MAX } from '../../src/check/dangling-rows.ts';
import { CheckFigures, type Finding, type FindingKind } from '../../src/check/findings.ts';
import type { CheckDeps, CheckOptions } from '../../src/check/store-check.ts';
import { Suspects } from '../../src/check/suspects.ts';
import { encodeChunk } from '../../src/chunk/chunk-object.ts';
import type { CopySide } from '../../src/copy/copy-chunks.ts';
import type { Clock } from '../../src/protocol/clock.ts';
import type { LabelSet } from '../../src/protocol/label-set.ts';
import { chunkKey } from '../../src/storage/chunk-key.ts';
import type { IndexedChunk } from '../../src/storage/index-row.ts';
import type { IndexEntry } from '../../src/storage/index-store.ts';
import { DAY_MS } from '../../src/storage/schema-config.ts';
import { systemClock } from '../../src/system-clock.ts';
import { segmentOf } from '../unit/query/test-blocks.ts';
import { textsOf } from './copy-sides.ts';

/** Two days ahead: what was put just now is old for it. */
export const LATER: Clock = {
  nowMs: () => systemClock.nowMs() + 2 * DAY_MS,
  monotonicMs: () => systemClock.monotonicMs(),
  after: (delayMs, callback) => systemClock.after(delayMs, callback),
};

type Options = Parameters<typeof checkStore>[1];

const PLAIN: Options = {
  scope: { tenants: [], fromMs: Number.NEGATIVE_INFINITY, throughMs: Number.POSITIVE_INFINITY },
  graceMs: DAY_MS,
  concurrency: 4,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  isQuick: false,
  fixes: false,
  deletesOrphans: false,
  removalShareMax: 0.5,
  orphanHoldMs: 0,
  secondLookMs: 0,
  unindexesCorrupt: false,
};

export interface CheckOutcome {
  readonly findings: readonly Finding[];
  /** Of the findings, in order. */
  readonly kinds: readonly FindingKind[];
  readonly figures: CheckFigures;
}

export const checked = async (
  side: CopySide,
  options: Partial<CheckOptions> = {},
  {
    clock = LATER,
    signal = new AbortController().signal,
    suspects = new Suspects(),
    danglingMax = DANGLING_MAX,
    keepBytes = async (key) => key,
  }: {
    readonly clock?: Clock;
    readonly signal?: AbortSignal;
    readonly suspects?: Suspects;
    readonly danglingMax?: number;
    readonly keepBytes?: CheckDeps['keepBytes'];
  } = {},
): Promise<CheckOutcome> => {
  const figures = new CheckFigures();
  const findings: Finding[] = [];
  const onFinding = async (finding: Finding): Promise<void> => void findings.push(finding);
  const deps = { clock, signal, figures, onFinding, onPart: () => undefined, keepBytes };
  await checkStore(side, { ...PLAIN, ...options }, deps, { suspects, danglingMax });
  return { findings, kinds: findings.map(({ kind }) => kind).sort(), figures };
};

/** All rows and the keys of all objects, in order. */
export const contentOf = async (
  side: CopySide,
): Promise<{ readonly keys: readonly string[]; readonly rows: readonly string[] }> => {
  const keys: string[] = [];
  for await (const key of side.chunks.list('')) keys.push(key);
  return { keys: keys.sort(), rows: textsOf(await entriesIn(side)) };
};

export const entriesIn = async ({ index }: CopySide): Promise<readonly IndexEntry[]> => {
  const entries: IndexEntry[] = [];
  for (const table of (await index.tables?.()) ?? []) {
    for await (const rows of index.rows(table, '\0')) {
      for (const { hashValue, cells } of rows) {
        for (const { rangeValue, value } of cells) entries.push({ table, hashValue, rangeValue, value });
      }
    }
  }
  return entries;
};

/** A chunk of one line, and its object. */
export const madeChunk = (
  { schema }: CopySide,
  labels: LabelSet,
  atMs: number,
  { tenant = 'tenant-a', fingerprint = labels.fingerprint } = {},
): { readonly chunk: IndexedChunk; readonly bytes: Uint8Array } => {
  const segment = segmentOf([[{ timeNs: BigInt(atMs) * 1_000_000n, line: `made at ${atMs}` }]]);
  const { bytes, fromMs, throughMs, checksum } = encodeChunk({
    tenant,
    fingerprint,
    labels: labels.pairs,
    version: 4,
    encoding: 'snappy',
    blocks: segment.blocks,
    symbols: segment.symbols,
  });
  const key = chunkKey(schema, { tenant, fingerprint, fromMs, throughMs, checksum });
  return { chunk: { tenant, labels, fromMs, throughMs, key }, bytes };
};
