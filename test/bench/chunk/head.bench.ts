/** Per-line work of ingest: appending a push to a head, and making block content of a head. About 2,000 entries an iteration. */
import { bench, do_not_optimize, summary } from 'mitata';
import { BlockCursor, readBlockEntries } from '../../../src/chunk/block-reader.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { HeadBlock } from '../../../src/chunk/head-block.ts';
import { appendAll, sampleBlocks } from './sample-blocks.ts';

export const registerBenches = (): void => {
  const [block] = sampleBlocks(1);
  if (!block) return;
  const { columns, count, lineBytes, head, plain } = block;
  const entries = `${count} entries of ${Math.round(lineBytes / count)} B`;
  summary(() => {
    bench(`head append: ${entries} in one push`, () => {
      const open = new HeadBlock(count, columns.bytes.length);
      appendAll(open, columns, lineBytes, 0, count);
      return do_not_optimize(open.count);
    });
    bench(`head append: ${entries} in pushes of 20`, () => {
      const open = new HeadBlock(20, 3000);
      for (let first = 0; first < count; first += 20) {
        const end = Math.min(count, first + 20);
        appendAll(open, columns, ((end - first) * lineBytes) / count, first, end);
      }
      return do_not_optimize(open.count);
    });
    bench(`encodeHead v3: ${entries}`, () => do_not_optimize(encodeHead(head, { withMetadataSections: false }).count));
    bench(`encodeHead v4: ${entries}`, () => do_not_optimize(encodeHead(head, { withMetadataSections: true }).count));
    bench(`encodeHead, unsorted: ${entries}`, () =>
      do_not_optimize(encodeHead({ ...head, isSorted: false }, { withMetadataSections: false }).count),
    );
    bench(`walk a block: ${entries}`, () => {
      const cursor = new BlockCursor(plain, false);
      let walked = 0;
      while (cursor.next()) walked += 1;
      return do_not_optimize(walked);
    });
    bench(`read a block as columns: ${entries}`, () => do_not_optimize(readBlockEntries(plain, false, count).count));
  });
};
