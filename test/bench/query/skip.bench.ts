/** Skip filters: made beside the compression of a block, and looked up. `npm run bench -- skip` reports what they save. */
import { bench, do_not_optimize, summary } from 'mitata';
import { compressBlock } from '../../../src/chunk/block-codec.ts';
import { buildSkipFilter, gramHashes, mayHold } from '../../../src/chunk/skip-filter.ts';
import { sized } from '../bench-size.ts';
import { sampleBlocks } from '../chunk/sample-blocks.ts';
import { search, textsFor, write } from './skip-report.ts';

export const registerBenches = (): void => {
  const blocks = sampleBlocks(sized(8, 1)).map(({ plain }) => ({
    plain,
    size: compressBlock(plain, 'gzip', 4).length,
  }));
  const filters = blocks.map(({ plain, size }) => buildSkipFilter(plain, false, size) ?? new Uint8Array(1));
  const hashes = gramHashes(Buffer.from('no such needle'));
  let at = 0;
  const next = (): number => {
    at = (at + 1) % blocks.length;
    return at;
  };
  summary(() => {
    bench('gzip of a block at level 4', () => do_not_optimize(compressBlock(blocks[next()]!.plain, 'gzip', 4).length));
    bench('skip filter of a block', () => {
      const { plain, size } = blocks[next()]!;
      return do_not_optimize(buildSkipFilter(plain, false, size));
    });
  });
  bench('look a text up in a skip filter', () => do_not_optimize(mayHold(filters[next()]!, hashes)));
  const { chunks, lineBytes, later } = write('access', sized(20, 1));
  const [text] = textsFor(later).get('absent') ?? [];
  bench(`a text that is nowhere, in ${(lineBytes / 1e6).toFixed(0)} MB of lines`, () =>
    do_not_optimize(search(chunks, text ?? '').counts.blocksSkipped),
  );
};
