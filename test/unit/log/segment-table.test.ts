import { expect } from 'chai';
import { prefixOf } from '../../../src/log/log-reader.ts';
import { RecordType } from '../../../src/log/record-format.ts';
import { IndexedFile, SegmentTable } from '../../../src/log/segment-table.ts';

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
});
