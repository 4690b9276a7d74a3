/** A block cut (head → block content → gzip → checksum, into shared memory) against bare gzipSync of the same content, by level. */
import zlib from 'node:zlib';
import { bench, do_not_optimize, summary } from 'mitata';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { sized } from '../bench-size.ts';
import { sampleBlocks } from './sample-blocks.ts';

export const registerBenches = (): void => {
  const blocks = sampleBlocks(sized(8, 1));
  const sizeOf = (level: number): number =>
    blocks.reduce(
      (sum, { head }) => sum + cutBlock(head, { encoding: 'gzip', level, withMetadataSections: false }).bytes.length,
      0,
    );
  const atSix = blocks.reduce((sum, { plain }) => sum + zlib.gzipSync(plain, { level: 6 }).length, 0);
  for (const level of [1, 2, 3, 4, 5, 6]) {
    const ratio = `${(sizeOf(level) / atSix).toFixed(3)} × the bytes of level 6`;
    let next = 0;
    const block = () => {
      next = (next + 1) % blocks.length;
      return blocks[next]!;
    };
    summary(() => {
      bench(`gzipSync level ${level}`, () => do_not_optimize(zlib.gzipSync(block().plain, { level }).length));
      bench(`cut at gzip level ${level} (${ratio})`, () =>
        do_not_optimize(cutBlock(block().head, { encoding: 'gzip', level, withMetadataSections: false }).bytes.length),
      );
    });
  }
};
