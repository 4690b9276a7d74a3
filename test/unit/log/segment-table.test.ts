import { expect } from 'chai';
import fc from 'fast-check';
import { prefixOf } from '../../../src/log/log-reader.ts';
import { RecordType } from '../../../src/log/record-format.ts';
import { IndexedFile, type LogSegment, SegmentTable } from '../../../src/log/segment-table.ts';
import { propertyRuns } from '../../support/property-runs.ts';

describe('the table of segments', () => {
  it('counts a segment once in each file when it comes back and its first records are gone', () => {
    const table = new SegmentTable('own');
    const segment = table.segment(table.writer('other', 1), 1);
    const files = [1, 2, 3].map((number) => new IndexedFile(number, 0, 0));
    for (const file of files) table.files.set(file.number, file);
    let offset = 0;
    const add = (file: number, type: number, first: number, count: number): void => {
      offset += 64;
      table.add(files[file - 1]!, segment, { type, first, count, offset, length: 64 });
    };
    add(1, RecordType.OPEN, 0, 0);
    add(1, RecordType.APPEND, 0, 5);
    add(2, RecordType.APPEND, 5, 5);
    add(2, RecordType.CUSTODY, 1, 10);
    add(2, RecordType.RELEASED, 10, 2);
    table.forgetFile(files[0]!);
    table.setAdopting(segment, true, prefixOf(segment));
    add(3, RecordType.OPEN, 0, 0);
    add(3, RecordType.APPEND, 0, 10);
    expect(files.map(({ liveSegments }) => liveSegments)).to.deep.equal([0, 1, 1]);
    add(3, RecordType.CUSTODY, 3, 10);
    table.setAdopting(segment, false);
    add(3, RecordType.FLUSHED, 10, 1);
    expect(files.map(({ liveSegments }) => liveSegments)).to.deep.equal([0, 0, 0]);
    expect(files.map(({ liveBytes }) => liveBytes)).to.deep.equal([0, 0, 0]);
  });

  it('numbers segments in the order in which it first hears of them, whoever wrote them', () => {
    const table = new SegmentTable('own');
    const heardOf: readonly (readonly [string, number])[] = [
      ['own', 7],
      ['other', 9],
      ['own', 2],
      ['other', 9],
      ['own', 7],
    ];
    const ordinals = heardOf.map(([name, counter]) => table.segment(table.writer(name, 1), counter).ordinal);
    expect(ordinals).to.deep.equal([0, 1, 2, 1, 0]);
  });

  it('counts the segments that are this node’s to store, through adoption, custody and release', () => {
    const table = new SegmentTable('own');
    const file = new IndexedFile(1, 0, 0);
    table.files.set(1, file);
    const [own, foreign] = ['own', 'other'].map((name) => table.segment(table.writer(name, 1), 1));
    const counts: number[] = [];
    let offset = 0;
    const add = (segment: LogSegment | undefined, type: number, first: number, count: number): void => {
      offset += 64;
      table.add(file, segment!, { type, first, count, offset, length: 64 });
      counts.push(table.unflushedCount);
    };
    add(own, RecordType.OPEN, 0, 0);
    add(own, RecordType.APPEND, 0, 5);
    table.setAdopting(foreign!, true);
    add(foreign, RecordType.APPEND, 0, 3);
    add(foreign, RecordType.CUSTODY, 1, 3);
    table.setAdopting(foreign!, false);
    add(own, RecordType.FLUSHED, 5, 0);
    add(own, RecordType.APPEND, 5, 1);
    add(foreign, RecordType.RELEASED, 3, 2);
    add(own, RecordType.DROP, 0, 0);
    expect(counts).to.deep.equal([0, 1, 1, 2, 1, 2, 1, 0]);
  });

  it('knows how many entries a segment has without a gap, wherever its records and copies of them lie', () => {
    const someFiles = fc.array(
      fc.array(fc.record({ first: fc.nat(12), count: fc.integer({ min: 1, max: 4 }) }), { maxLength: 4 }),
      { minLength: 1, maxLength: 3 },
    );
    // Mostly in line, as they are: a record begins where the one before it ends, but for some.
    const inLine = fc.array(
      fc.array(fc.record({ skip: fc.constantFrom(0, 0, 0, 0, 1, -1), count: fc.integer({ min: 1, max: 4 }) }), {
        maxLength: 4,
      }),
      { minLength: 1, maxLength: 3 },
    );
    const placed = inLine.map((files) => {
      let next = 0;
      return files.map((records) =>
        records.map(({ skip, count }) => {
          const first = Math.max(0, next + skip);
          next = first + count;
          return { first, count };
        }),
      );
    });
    fc.assert(
      fc.property(fc.oneof(someFiles, placed), fc.nat(3), fc.nat(8), (files, openIn, leaving) => {
        const table = new SegmentTable('own');
        const segment = table.segment(table.writer('other', 1), 1);
        table.setAdopting(segment, true);
        const there = new Set<number>();
        let isNamed = false;
        files.forEach((records, index) => {
          const file = new IndexedFile(index + 1, 0, 0);
          table.files.set(file.number, file);
          const isOpen = openIn === index;
          if (isOpen) table.add(file, segment, { type: RecordType.OPEN, first: 0, count: 0, offset: 0, length: 64 });
          for (const record of records) {
            table.add(file, segment, { type: RecordType.APPEND, ...record, offset: 0, length: 64 });
          }
          file.isLeaving = leaving === index;
          if (file.isLeaving) return;
          isNamed ||= isOpen;
          for (const { first, count } of records) for (let at = first; at < first + count; at += 1) there.add(at);
        });
        let expected = 0;
        while (isNamed && there.has(expected)) expected += 1;
        expect(prefixOf(segment)).to.equal(expected);
      }),
      { numRuns: propertyRuns(4) },
    );
  });
});
