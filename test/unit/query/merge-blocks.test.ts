import { expect } from 'chai';
import fc from 'fast-check';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { segmentBlocks, withoutCopies } from '../../../src/query/scan/block-sources.ts';
import { BlockMerge, type EntryVisitor, groupBlocks } from '../../../src/query/scan/merge-blocks.ts';
import { noCounts } from '../../../src/query/scan/scan-messages.ts';
import type { TestEntry } from '../../support/entries.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { at, BASE_NS, Recorder, segmentOf } from './test-blocks.ts';

const RUNS = { numRuns: propertyRuns(10) };
const EVERYTHING = { startNs: BASE_NS - 10_000n, endNs: BASE_NS + 10_000n };

const read = (segments: readonly SegmentSnapshot[], needle?: string, range = EVERYTHING) => {
  const counts = noCounts();
  const literals = needle === undefined ? [] : [{ anyOf: [Buffer.from(needle)] }];
  const merge = new BlockMerge([literals], BASE_NS, counts);
  merge.setRange(Number(range.startNs - BASE_NS), Number(range.endNs - BASE_NS));
  const choice = { range, mayPass: undefined, baseNs: BASE_NS, counts, labels: labelSetOf([]) };
  const blocks = segments.flatMap((segment, source) => segmentBlocks(segment, source, choice));
  const groups = groupBlocks(withoutCopies(blocks, counts));
  const recorder = new Recorder();
  for (const group of groups) merge.visitGroup(group, [recorder]);
  return { entries: recorder.entries, counts, groups };
};

const keyOf = ({ timeNs, line, metadata = [] }: TestEntry): string => JSON.stringify([String(timeNs), line, metadata]);

/** Sorted by time, distinct. */
const sortedDistinct = (entries: readonly TestEntry[]): string[] => {
  const keys = new Map(entries.map((entry) => [keyOf(entry), entry]));
  return [...keys.values()].sort((a, b) => Number(a.timeNs - b.timeNs)).map(keyOf);
};

/** Equal times may come in either order of their sources. */
const settled = (keys: readonly string[]): string[] => [...keys].sort();

/** Metadata goes with the line: a segment drops an entry that repeats time and line of the one before it, whatever its metadata. */
const METADATA: Readonly<Record<string, readonly string[]>> = { b: ['id', '1'], ab: ['id', '2'] };

const entryLists = fc.array(
  fc.array(
    fc
      .record({ time: fc.integer({ min: 0, max: 30 }), line: fc.constantFrom('', 'a', 'b', 'ab', 'a'.repeat(140)) })
      .map(({ time, line }) => at(time, line, METADATA[line])),
    { minLength: 1, maxLength: 20 },
  ),
  { minLength: 1, maxLength: 5 },
);

describe('groups of blocks', () => {
  it('hold what overlaps in time, and keep the rest apart', () => {
    const { groups } = read([
      segmentOf([[at(1, 'a'), at(5, 'b')], [at(9, 'c')]]),
      segmentOf([[at(4, 'd'), at(6, 'e')]]),
    ]);
    expect(groups.map((group) => group.length)).to.deep.equal([2, 1]);
  });

  it('do not join blocks of one source that share a border time, but those of two', () => {
    const touching = [
      [at(1, 'a'), at(5, 'b')],
      [at(5, 'c'), at(9, 'd')],
    ];
    expect(read([segmentOf(touching)]).groups).to.have.length(2);
    expect(read(touching.map((entries) => segmentOf([entries]))).groups).to.have.length(1);
  });
});

describe('a merge of blocks', () => {
  it('gives sorted, distinct entries, whatever overlaps', () => {
    fc.assert(
      fc.property(fc.array(entryLists, { minLength: 1, maxLength: 4 }), fc.boolean(), (segments, openHead) => {
        const snapshots = segments.map((lists, counter) => segmentOf(lists, { openHead, counter }));
        const { entries } = read(snapshots);
        const times = entries.map(({ timeNs }) => timeNs);
        expect(times).to.deep.equal([...times].sort((a, b) => Number(a - b)));
        expect(settled(entries.map(keyOf))).to.deep.equal(settled(sortedDistinct(segments.flat(2))));
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('gives the part of them that is in a range, sorted and distinct, wherever it begins', () => {
    const ranges = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }));
    fc.assert(
      fc.property(fc.array(entryLists, { minLength: 1, maxLength: 4 }), ranges, (segments, [first, length]) => {
        const range = { startNs: BASE_NS + BigInt(first), endNs: BASE_NS + BigInt(first + length) };
        const { entries } = read(
          segments.map((lists, counter) => segmentOf(lists, { counter })),
          undefined,
          range,
        );
        const times = entries.map(({ timeNs }) => timeNs);
        expect(times).to.deep.equal([...times].sort((a, b) => Number(a - b)));
        const within = segments.flat(2).filter(({ timeNs }) => timeNs >= range.startNs && timeNs <= range.endNs);
        expect(settled(entries.map(keyOf))).to.deep.equal(settled(sortedDistinct(within)));
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('lets go of the memory of a block once it is read, and not before', () => {
    const long = (time: number) => at(time, String(time).padStart(1000));
    const lists = [0, 1].map((first) => Array.from({ length: 80 }, (_, index) => long(first + 2 * index)));
    const counts = noCounts();
    const merge = new BlockMerge([[]], BASE_NS, counts);
    merge.setRange(0, 1000);
    const blocks = lists.flatMap((list, source) => {
      const choice = { range: EVERYTHING, mayPass: undefined, baseNs: BASE_NS, counts, labels: labelSetOf([]) };
      return segmentBlocks(segmentOf([list], { encoding: 'gzip' }), source, choice);
    });
    const recorder = new Recorder();
    const seen = new Set<Buffer>();
    for (const group of groupBlocks(blocks)) {
      const visitor: EntryVisitor = {
        visit: (...visited) => {
          seen.add(visited[0].bytes);
          recorder.visit(...visited);
        },
      };
      merge.visitGroup(group, [visitor]);
    }
    expect(recorder.entries.map(({ line }) => Number(line))).to.deep.equal(Array.from({ length: 160 }, (_, n) => n));
    expect([...seen].map((bytes) => bytes.length)).to.deep.equal([0, 0]);
    expect(counts.decompressedLines).to.equal(160);
  });

  it('gives each entry of two overlapping segments once', () => {
    const first = [at(1, 'a'), at(2, 'b'), at(2, 'c'), at(4, 'd')];
    const second = [at(2, 'c'), at(2, 'e'), at(3, 'f'), at(4, 'd')];
    const { entries, counts } = read([segmentOf([first]), segmentOf([second])]);
    expect(entries.map(({ line }) => line)).to.deep.equal(['a', 'b', 'c', 'e', 'f', 'd']);
    expect(counts.duplicates).to.equal(2);
  });

  it('does not inflate the copy of a block that is in two sources', () => {
    const segment = segmentOf([[at(1, 'a'), at(2, 'b')]]);
    const { entries, counts } = read([segment, segment]);
    expect(entries).to.have.length(2);
    expect(counts.decompressedLines).to.equal(2);
    expect(counts.duplicates).to.equal(2);
  });

  it('keeps entries apart that differ in metadata alone', () => {
    const { entries } = read([segmentOf([[at(1, 'a', ['id', '1'])]]), segmentOf([[at(1, 'a', ['id', '2'])]])]);
    expect(entries).to.have.length(2);
  });

  it('gives entries of the range only, both ends included', () => {
    const segment = segmentOf([[at(1, 'a'), at(2, 'b'), at(3, 'c'), at(4, 'd')]]);
    const range = { startNs: BASE_NS + 2n, endNs: BASE_NS + 3n };
    expect(read([segment], undefined, range).entries.map(({ line }) => line)).to.deep.equal(['b', 'c']);
  });

  it('drops what a block that came late has again, though the block between them is not in the range', () => {
    const segment = segmentOf([[at(2, 'a')], [at(3, 'b')], [at(2, 'a')]]);
    const range = { startNs: BASE_NS, endNs: BASE_NS + 2n };
    expect(read([segment], undefined, range).entries.map(({ line }) => line)).to.deep.equal(['a']);
  });

  it('sorts a head whose entries came late, and drops what came twice', () => {
    const head = segmentOf([[at(5, 'e'), at(2, 'b'), at(2, 'a'), at(2, 'b'), at(9, 'f')]], { openHead: true });
    expect(read([head]).entries.map(({ line }) => line)).to.deep.equal(['b', 'a', 'e', 'f']);
  });

  it('drops duplicates among thousands of entries at one time without comparing each with each', () => {
    const many = Array.from({ length: 5000 }, (_, index) => at(1, `line ${index}`));
    const { entries } = read([
      segmentOf([many]),
      segmentOf([[...many].reverse(), [at(1, 'last')]].map((one) => [...one])),
    ]);
    expect(entries).to.have.length(5001);
  });
});

describe('a search for a literal', () => {
  it('finds the lines that hold it, in heads and blocks', () => {
    fc.assert(
      fc.property(entryLists, fc.constantFrom('a', 'b', 'ab', 'aaa'), fc.boolean(), (lists, needle, openHead) => {
        const all = read([segmentOf(lists, { openHead })]).entries.map(keyOf);
        const wanted = read([segmentOf(lists, { openHead })]).entries.filter(({ line }) => line.includes(needle));
        const found = read([segmentOf(lists, { openHead })], needle).entries.map(keyOf);
        expect(found).to.deep.equal(wanted.map(keyOf));
        expect(all).to.include.members(found);
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('passes over hits in times, lengths and metadata', () => {
    // A line of 65 bytes has the length byte 'A'; metadata and times hold bytes of their own.
    const entries = [at(1, 'x'.repeat(65)), at(2, 'has an A'), at(3, 'y'.repeat(65), ['id', 'A'])];
    for (const openHead of [false, true]) {
      expect(read([segmentOf([entries], { openHead })], 'A').entries.map(({ line }) => line)).to.deep.equal([
        'has an A',
      ]);
    }
  });

  it('finds needles made of the bytes that times are written in', () => {
    const entries = Array.from({ length: 50 }, (_, index) => at(index, `l${String.fromCharCode(33 + index)}`));
    for (let byte = 1; byte < 128; byte += 1) {
      const needle = String.fromCharCode(byte);
      const wanted = entries.filter(({ line }) => line.includes(needle));
      expect(read([segmentOf([entries])], needle).entries.map(keyOf)).to.deep.equal(wanted.map(keyOf));
    }
  });

  it('passes over a hit that reaches from one line into the next', () => {
    const entries = [at(1, 'ends with ab'), at(2, 'c begins'), at(3, 'abc')];
    expect(read([segmentOf([entries], { openHead: true })], 'abc').entries.map(({ line }) => line)).to.deep.equal([
      'abc',
    ]);
  });

  it('does not walk a block without a hit', () => {
    const { entries, counts } = read([segmentOf([[at(1, 'a')], [at(2, 'needle')]])], 'needle');
    expect(entries).to.have.length(1);
    expect(counts.decompressedLines).to.equal(2);
  });
});
