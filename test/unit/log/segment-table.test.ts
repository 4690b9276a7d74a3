import { expect } from 'chai';
import { prefixOf } from '../../../src/log/log-reader.ts';
import { RecordType } from '../../../src/log/record-format.ts';
import { IndexedFile, type LogSegment, SegmentTable } from '../../../src/log/segment-table.ts';

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
});
