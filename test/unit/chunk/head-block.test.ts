import { expect } from 'chai';
import fc from 'fast-check';
import { prepareCodec } from '../../../src/chunk/block-codec.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { HeadBlock } from '../../../src/chunk/head-block.ts';
import { lineLengthAt } from '../../../src/chunk/line-bounds.ts';
import { SymbolTable } from '../../../src/chunk/symbol-table.ts';
import { timeWordsOf } from '../../../src/chunk/time-words.ts';
import { entriesOf } from './chunk-fixtures.ts';
import {
  anyEntries,
  columnsOf,
  type Entry,
  entriesOfHead,
  PROPERTY_TIMEOUT_MS,
  propertyRuns,
  sortedDistinct,
} from './entries.ts';

const T = 1_700_000_000_000_000_000n;

/** A head with its symbols. */
const openHead = (capacity = 1, size = 1) => {
  const head = new HeadBlock(capacity, size);
  const symbols = new SymbolTable();
  const append = (entries: readonly Entry[], gap = 17) => {
    const columns = columnsOf(entries, gap);
    const lineBytes = entries.reduce((sum, { line }) => sum + line.length, 0);
    const { bytes, lineOffsets, metadata } = columns;
    return head.append(
      { bytes, lineOffsets, metadata, timeWords: timeWordsOf(columns), first: 0, end: entries.length, lineBytes },
      symbols,
    );
  };
  const entries = () => entriesOfHead(head.snapshot(), symbols.texts);
  const encoded = (withMetadataSections: boolean) => {
    const block = encodeHead(head.snapshot(), { withMetadataSections });
    return { ...block, entries: entriesOf(block.bytes, withMetadataSections, symbols.texts) };
  };
  return { head, symbols, append, entries, encoded };
};

describe('head block', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  before(() => prepareCodec('zstd'));

  it('keeps what it was given, in that order, however it grows', () => {
    const { append, entries } = openHead();
    const pushed: Entry[] = Array.from({ length: 500 }, (_, n) => ({ time: T + BigInt(n), line: `line ${n}` }));
    for (let at = 0; at < pushed.length; at += 7) append(pushed.slice(at, at + 7), at % 40);
    expect(entries()).to.deep.equal(pushed);
  });

  it('counts line bytes, entries and bounds', () => {
    const { head, append } = openHead();
    const counts = append([
      { time: T + 5n, line: 'five' },
      { time: T + 9n, line: '' },
      { time: T + 1n, line: 'one' },
    ]);
    expect(counts).to.deep.equal({ accepted: 3, duplicates: 0, acceptedBytes: 7 });
    expect([head.count, head.lineBytes, head.minTime, head.maxTime]).to.deep.equal([3, 7, T + 1n, T + 9n]);
  });

  it('does not keep what lies between far-apart lines', () => {
    const { head, append, entries } = openHead();
    const pushed = Array.from({ length: 50 }, (_, n) => ({ time: T + BigInt(n), line: `line ${n}` }));
    append(pushed, 1000);
    expect(head.snapshot().byteCount).to.be.below(50 * 10);
    expect(entries()).to.deep.equal(pushed);
  });

  it('drops an entry equal to one at the highest time so far, and only that', () => {
    const { append, entries } = openHead();
    append([
      { time: T, line: 'a' },
      { time: T, line: 'b' },
    ]);
    expect(append([{ time: T, line: 'a' }])).to.include({ accepted: 0, duplicates: 1 });
    expect(append([{ time: T + 1n, line: 'a' }])).to.include({ accepted: 1 });
    expect(append([{ time: T + 1n, line: 'A' }])).to.include({ accepted: 1 });
    expect(entries().length).to.equal(4);
  });

  it('drops duplicates among a thousand lines at one time', () => {
    const { append, head } = openHead();
    const pushed = Array.from({ length: 1000 }, (_, n) => ({ time: T, line: `line ${n}` }));
    append(pushed);
    expect(append(pushed.slice().reverse())).to.include({ accepted: 0, duplicates: 1000 });
    expect(head.count).to.equal(1000);
  });

  it('takes lines at one time that share a checksum in reasonable time, and keeps them apart', () => {
    // Lines that differ by a multiple of the CRC-32C polynomial have the same checksum.
    const polynomial = [0x82, 0xf6, 0x3b, 0x78];
    const { append, head } = openHead();
    append(Array.from({ length: 20 }, (_, n) => ({ time: T, line: `${n}` })));
    const same = Array.from({ length: 200 }, (_, n) => ({
      time: T,
      line: Buffer.from([n, ...polynomial, n, 0, 0, 0, 0]).toString('latin1'),
    }));
    expect(append(same).accepted).to.equal(200);
    expect(head.count).to.equal(220);
  });

  it('keeps entries apart that differ in metadata only', () => {
    const { append, entries } = openHead();
    append([
      { time: T, line: 'a', metadata: ['id', '1'] },
      { time: T, line: 'x' },
      { time: T, line: 'a', metadata: ['id', '2'] },
      { time: T, line: 'x' },
      { time: T, line: 'a', metadata: ['id', '1'] },
    ]);
    expect(entries()).to.deep.equal([
      { time: T, line: 'a', metadata: ['id', '1'] },
      { time: T, line: 'x' },
      { time: T, line: 'a', metadata: ['id', '2'] },
    ]);
  });

  it('numbers names and values in order of first use', () => {
    const { append, symbols } = openHead();
    append([{ time: T, line: 'a', metadata: ['id', '1', 'user', 'id'] }]);
    append([{ time: T, line: 'b', metadata: ['user', '2'] }]);
    expect(symbols.texts).to.deep.equal(['id', '1', 'user', '2']);
  });

  it('shows a reader of an earlier snapshot the same entries whatever comes later', () => {
    const { head, symbols, append } = openHead();
    append([{ time: T, line: 'first', metadata: ['id', '1'] }]);
    const early = head.snapshot();
    for (let n = 0; n < 200; n += 1) append([{ time: T + BigInt(n), line: `later ${n}`, metadata: ['id', `${n}`] }]);
    append([{ time: 0n, line: 'late' }]);
    expect(entriesOfHead(early, symbols.texts)).to.deep.equal([{ time: T, line: 'first', metadata: ['id', '1'] }]);
    expect(early.isSorted).to.equal(true);
    expect(head.snapshot().isSorted).to.equal(false);
  });

  it('holds a short line in little memory', () => {
    const { head, append } = openHead(1, 20);
    append([{ time: T, line: 'x'.repeat(10) }]);
    expect(head.memoryBytes).to.be.at.most(64);
  });
});

describe('encoding a head', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  it('writes the entries of any head sorted, without duplicates, with true figures', () => {
    fc.assert(
      fc.property(
        fc.array(anyEntries(20), { maxLength: 4 }),
        fc.nat({ max: 120 }),
        fc.boolean(),
        (pushes, gap, sections) => {
          const { head, append, encoded } = openHead();
          for (const push of pushes) if (push.length > 0) append(push, gap);
          if (head.count === 0) return;
          const block = encoded(sections);
          const kept = sortedDistinct(pushes.flat());
          expect(block.entries).to.deep.equal(
            kept.map(({ time, line, metadata }) => ({
              time: String(time),
              line,
              metadata: sections ? (metadata ?? []) : [],
            })),
          );
          const lineBytes = kept.reduce((sum, { line }) => sum + line.length, 0);
          const pairs = kept.reduce((sum, { metadata }) => sum + (metadata?.length ?? 0) / 2, 0);
          expect(block.count).to.equal(kept.length);
          expect(block.minTime).to.equal(kept[0]!.time);
          expect(block.maxTime).to.equal(kept.at(-1)!.time);
          expect(block.uncompressedSize).to.equal(lineBytes + (sections ? 8 * pairs : 0));
        },
      ),
      propertyRuns,
    );
  });

  it('writes sections longer than one byte can say', () => {
    const metadata = Array.from({ length: 400 }, (_, n) => `${n % 2 === 0 ? 'name' : 'value'} ${n}`);
    const { append, encoded } = openHead();
    append([
      { time: T, line: 'a', metadata },
      { time: T + 1n, line: 'b' },
    ]);
    const { entries } = encoded(true);
    expect(entries.map((entry) => entry.metadata)).to.deep.equal([metadata, []]);
  });

  it('writes lines of any length', () => {
    const lines = [0, 1, 127, 128, 129, 16383, 16384, 300_000].map((size, n) => ({
      time: T + BigInt(n),
      line: `${n}`.repeat(size),
    }));
    const { append, encoded } = openHead();
    append(lines);
    expect(encoded(false).entries.map(({ line }) => line.length)).to.deep.equal(lines.map(({ line }) => line.length));
  });

  it('reads lengths that are not as short as they could be', () => {
    expect(lineLengthAt(Buffer.from('858000', 'hex'), 0)).to.equal(5);
  });
});
