/** Blocks of realistic lines for the chunk benches: one system a block, 256 KiB of line bytes, as a push on the wire lays them out. */
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { HeadBlock } from '../../../src/chunk/head-block.ts';
import type { HeadSnapshot } from '../../../src/chunk/memory-format.ts';
import { SymbolTable } from '../../../src/chunk/symbol-table.ts';
import { timeWordsOf } from '../../../src/chunk/time-words.ts';
import { writeUvarint } from '../../../src/chunk/varint.ts';
import type { EntryColumns } from '../../../src/protocol/entry-columns.ts';
import { LineSource, SYSTEMS } from '../../support/corpus.ts';

const BLOCK_SIZE = 262_144;
/** Bytes of protobuf framing in front of a line's length. */
const FRAMING = 17;
const START_MS = 1_700_000_000_000;

export interface SampleBlock {
  readonly columns: EntryColumns;
  readonly count: number;
  readonly lineBytes: number;
  readonly head: HeadSnapshot;
  /** Block content. */
  readonly plain: Buffer;
}

const SYMBOLS = new SymbolTable();

export const appendAll = (
  head: HeadBlock,
  columns: EntryColumns,
  lineBytes: number,
  first: number,
  end: number,
): void => {
  const { bytes, lineOffsets, metadata } = columns;
  const run = { bytes, lineOffsets, metadata, timeWords: timeWordsOf(columns), first, end, lineBytes };
  head.append(run, SYMBOLS);
};

const sampleBlock = (number: number): SampleBlock => {
  const source = new LineSource(SYSTEMS[number % SYSTEMS.length] ?? 'access', number + 1);
  const parts: Buffer[] = [];
  const offsets: number[] = [];
  const times: bigint[] = [];
  let offset = 0;
  let lineBytes = 0;
  while (lineBytes < BLOCK_SIZE) {
    const timeMs = START_MS + times.length * 7;
    const line = Buffer.from(source.next(timeMs));
    const part = Buffer.alloc(FRAMING + 2);
    const size = writeUvarint(part, FRAMING, line.length);
    parts.push(part.subarray(0, size), line);
    offsets.push(offset + FRAMING);
    times.push(BigInt(timeMs) * 1_000_000n + BigInt((times.length * 7919) % 1_000_000));
    offset += size + line.length;
    lineBytes += line.length;
  }
  const columns: EntryColumns = {
    bytes: Buffer.concat(parts),
    lineOffsets: Uint32Array.from(offsets),
    times: BigInt64Array.from(times),
    metadata: undefined,
  };
  const open = new HeadBlock(1, 1);
  appendAll(open, columns, lineBytes, 0, times.length);
  const head = open.snapshot();
  const plain = Buffer.from(encodeHead(head, { withMetadataSections: false }).bytes);
  return { columns, count: times.length, lineBytes, head, plain };
};

export const sampleBlocks = (count: number): readonly SampleBlock[] =>
  Array.from({ length: count }, (_, number) => sampleBlock(number));
