/** The two inflate engines on our own blocks, by plain size; and the way a reader calls them. */
import zlib from 'node:zlib';
import { bench, do_not_optimize, summary } from 'mitata';
import { compressBlock, decompressBlock } from '../../../src/chunk/block-codec.ts';
import { FlushedInflater, isZlibSyncLoaded } from '../../../src/chunk/zlib-sync-inflate.ts';
import { sized } from '../bench-size.ts';
import { sampleBlocks } from './sample-blocks.ts';

const KIB = 1024;

export const registerBenches = (): void => {
  const blocks = sampleBlocks(sized(8, 1));
  for (const size of [4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB, 160 * KIB, 192 * KIB, 256 * KIB]) {
    const members = blocks.map(({ plain }) => {
      const content = plain.subarray(0, size);
      const bytes = Buffer.from(compressBlock(content, 'gzip'));
      return { bytes, size: content.length };
    });
    let at = 0;
    const member = () => {
      at = (at + 1) % members.length;
      return members[at]!;
    };
    const inflater = new FlushedInflater();
    summary(() => {
      bench(`inflate ${size / KIB} KiB: node:zlib`, () => {
        const { bytes, size: plain } = member();
        const body = bytes.subarray(10, bytes.length - 8);
        return do_not_optimize(zlib.inflateRawSync(body, { chunkSize: plain + 1, maxOutputLength: plain + 1 }));
      });
      if (isZlibSyncLoaded()) {
        bench(`inflate ${size / KIB} KiB: zlib-sync`, () => {
          const { bytes, size: plain } = member();
          return do_not_optimize(inflater.inflate(bytes.subarray(10, bytes.length - 13), plain));
        });
      }
      bench(`inflate ${size / KIB} KiB: decompressBlock`, () =>
        do_not_optimize(decompressBlock(member().bytes, 'gzip', { maxBytes: 1 << 20, isVerified: true })),
      );
    });
  }
};
