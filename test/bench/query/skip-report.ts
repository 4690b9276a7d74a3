/**
 * What skip filters save and cost:   npm run bench -- skip [--mb N]
 *
 * Writes N MB of lines of each kind of log into chunks as the flusher does, then counts lines with a text in all of them. `absent` texts are
 * nowhere; the others are taken from lines that come later, so that they look like what is stored. Of the blocks that do not hold a text,
 * those inflated all the same are false positives.
 */
import { decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import type { BlockData, HeadSnapshot } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { buildSkipFilter } from '../../../src/chunk/skip-filter.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { compileScan } from '../../../src/query/scan/compiled-scan.ts';
import type { ChunkBytes, ScanCounts } from '../../../src/query/scan/scan-messages.ts';
import { addCounts, noCounts } from '../../../src/query/scan/scan-messages.ts';
import { runMetricTask } from '../../../src/query/scan/scan-tasks.ts';
import { LineSource, SYSTEMS, type System, seededRandom } from '../../support/corpus.ts';
import { columnsOf } from '../../support/entries.ts';
import { metricPlanOf, START_NS } from './metric-plan.ts';

const BLOCK_SIZE = 262_144;
const CHUNK_SIZE = 1_572_864;
const FORM = { encoding: 'gzip', level: 4, withMetadataSections: false } as const;
const PUSH_LINES = 500;
const STEP_NS = 7_000_000n;

type Kind = System | 'uuid';
export const KINDS: readonly Kind[] = [...SYSTEMS, 'uuid'];

/** Texts of a kind of log that people look for. */
const PATTERNS: Readonly<Record<string, RegExp>> = {
  'trace id, 8 digits': /(?<="trace_id":")[0-9a-f]{8}/,
  'trace id with its key': /"trace_id":"[0-9a-f]{8}"/,
  'trace id, 32 digits': /[0-9a-f]{32}$/,
  'user=NNNN': /user=\d{4}(?= )/,
  'path with an id': /\/api\/v1\/orders\/\d+/,
  address: /10\.\d+\.\d+\.\d+/,
  'time of day': /\d\d:\d\d:\d\d\.\d{3}Z/,
  'sequence number': /(?<=seq=)\d+/,
};
const ABSENT = ['no such needle', 'OutOfMemoryError', 'panic: runtime error', 'certificate has expired'];
const SAMPLES = 10;

/** Endless lines of one kind. */
const linesOf = (kind: Kind): (() => string) => {
  const source = new LineSource(kind === 'uuid' ? 'logfmt' : kind, 1);
  const random = seededRandom(7);
  let line = 0;
  const hex = (): string => Array.from({ length: 32 }, () => Math.floor(16 * random()).toString(16)).join('');
  return () => {
    line += 1;
    const text = source.next(Number(START_NS / 1_000_000n) + 7 * line);
    return kind === 'uuid' ? `${text} trace_id=${hex()}` : text;
  };
};

interface Written {
  readonly chunks: readonly ChunkBytes[];
  readonly lineBytes: number;
  readonly blocks: number;
  /** CPU seconds of cutting blocks, and of the filters alone. */
  readonly cutSeconds: number;
  readonly filterSeconds: number;
  readonly compressedBytes: number;
  readonly filterBytes: number;
  /** A line in a hundred thousand, for each text that is looked for. */
  readonly later: readonly string[];
}

const cpuSeconds = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
};

export const write = (kind: Kind, megabytes: number): Written => {
  const next = linesOf(kind);
  const totals = { lineBytes: 0, blocks: 0, cutSeconds: 0, filterSeconds: 0, compressedBytes: 0, filterBytes: 0 };
  const chunks: ChunkBytes[] = [];
  let entry = 0n;
  const cut = (head: HeadSnapshot): BlockData => {
    let block: BlockData | undefined;
    totals.cutSeconds += cpuSeconds(() => {
      block = cutBlock(head, FORM);
    });
    const { bytes } = encodeHead(head, FORM);
    totals.filterSeconds += cpuSeconds(() => {
      buildSkipFilter(bytes, false, block!.bytes.length);
    });
    totals.blocks += 1;
    totals.compressedBytes += block!.bytes.length;
    totals.filterBytes += block!.skipFilter?.length ?? 0;
    return block!;
  };
  while (totals.lineBytes < megabytes * 1e6) {
    const segment = new Segment(
      { nodeId: 'bench', incarnation: 1, counter: chunks.length },
      { blockSize: BLOCK_SIZE, targetSize: CHUNK_SIZE },
    );
    for (let isFull = false; !isFull && totals.lineBytes + segment.lineBytes < megabytes * 1e6; ) {
      const entries = Array.from({ length: PUSH_LINES }, () => {
        entry += 1n;
        return { timeNs: START_NS + entry * STEP_NS, line: next() };
      });
      const columns = columnsOf(entries);
      for (let first = 0; first < entries.length && !isFull; ) {
        const appended = segment.append({ columns, first, end: entries.length });
        first = appended.next;
        isFull = appended.isFull;
        for (let head = segment.nextCut(); head; head = segment.nextCut()) segment.headCut(head.number, cut(head.head));
      }
    }
    for (let head = segment.cutHead(); head; head = segment.cutHead()) segment.headCut(head.number, cut(head.head));
    totals.lineBytes += segment.lineBytes;
    chunks.push(chunkOf(segment.blocks, chunks.length));
  }
  return { chunks, ...totals, later: Array.from({ length: 2000 }, next) };
};

const chunkOf = (blocks: readonly BlockData[], number: number): ChunkBytes => {
  const { pairs, fingerprint } = labelSetOf(['app', 'x']);
  const form = { version: 3, encoding: 'gzip', symbols: [] } as const;
  const { bytes, checksum } = encodeChunk({ tenant: 't', fingerprint, labels: pairs, blocks, ...form });
  return { key: `chunk ${number}`, bytes, checksum, isPart: false };
};

export interface Search {
  readonly counts: ScanCounts;
  readonly lines: number;
  readonly cpuSeconds: number;
}

/** Counts the lines with a text in all chunks. */
export const search = (chunks: readonly ChunkBytes[], text: string): Search => {
  const plan = metricPlanOf(`sum(count_over_time({app="x"} |= ${JSON.stringify(text)} [200h]))`, 200);
  const counts = noCounts();
  let lines = 0;
  const seconds = cpuSeconds(() => {
    const compiled = compileScan(plan);
    const { startNs, endNs } = plan;
    for (const chunk of chunks) {
      const result = runMetricTask(
        { kind: 'metric', plans: [plan], slices: [{ startNs, endNs, memory: [], chunks: [chunk] }] },
        [compiled],
      );
      addCounts(counts, result.counts);
      lines += result.parts[0]?.series?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
    }
  });
  return { counts, lines, cpuSeconds: seconds };
};

/** Texts to look for in what was written, by what they are. */
export const textsFor = (later: readonly string[]): ReadonlyMap<string, readonly string[]> => {
  const texts = new Map<string, readonly string[]>([['absent', ABSENT]]);
  for (const [name, pattern] of Object.entries(PATTERNS)) {
    const found = new Set(later.flatMap((line) => pattern.exec(line)?.[0] ?? []));
    if (found.size > 0) texts.set(name, [...found].slice(0, SAMPLES));
  }
  return texts;
};

/** Blocks that hold each text. */
const holdersOf = (chunks: readonly ChunkBytes[], texts: readonly string[]): ReadonlyMap<string, number> => {
  const holders = new Map(texts.map((text) => [text, 0]));
  for (const { bytes } of chunks) {
    const view = decodeChunk(bytes);
    for (const index of view.blocks.keys()) {
      const plain = view.inflateBlock(index);
      for (const [text, count] of holders) if (plain.includes(text)) holders.set(text, count + 1);
    }
  }
  return holders;
};

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

export const runSkipReport = (megabytes: number): void => {
  for (const kind of KINDS) {
    const written = write(kind, megabytes / KINDS.length);
    const { chunks, blocks, lineBytes, compressedBytes, filterBytes, cutSeconds, filterSeconds } = written;
    console.log(
      `\n${kind}: ${(lineBytes / 1e6).toFixed(0)} MB of lines, ${chunks.length} chunks, ${blocks} blocks; filters ` +
        `${percent(filterBytes, compressedBytes)} of the compressed bytes, ` +
        `${percent(filterSeconds, cutSeconds - filterSeconds)} of the CPU of cutting without them`,
    );
    const kinds = textsFor(written.later);
    const holders = holdersOf(chunks, [...kinds.values()].flat());
    for (const [name, texts] of kinds) {
      const found = texts.map((text) => search(chunks, text));
      const inflated = found.reduce((sum, { counts }) => sum + counts.blocksInflated, 0);
      const seconds = found.reduce((sum, { cpuSeconds: one }) => sum + one, 0);
      const holding = texts.reduce((sum, text) => sum + (holders.get(text) ?? 0), 0);
      const without = blocks * texts.length - holding;
      const gigabytes = (lineBytes * texts.length) / 1e9;
      console.log(
        `  ${name.padEnd(24)} ${percent(inflated, blocks * texts.length).padStart(8)} of the blocks inflated, ` +
          `${percent(inflated - holding, without).padStart(7)} of those without it, ${(seconds / gigabytes).toFixed(2)} CPU-s/GB`,
      );
    }
  }
};
