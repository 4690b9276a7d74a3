/** A chunk in a store that is large enough to be read in parts, and wishes for some of it. */
import { prepareCodec } from '../../../src/chunk/block-codec.ts';
import type { BlockEncoding } from '../../../src/chunk/block-encoding.ts';
import { encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { ChunkWant } from '../../../src/query/fetch-chunk.ts';
import { compileSkipTest } from '../../../src/query/scan/skip-test.ts';
import type { ChunkStore } from '../../../src/storage/chunk-store.ts';
import type { ChunkRef } from '../../../src/storage/index-reader.ts';
import { seededRandom } from '../../support/corpus.ts';
import { columnsOf } from '../../support/entries.ts';
import { at, BASE_NS } from './test-blocks.ts';

export const SECOND = 1_000_000_000;
export const BLOCKS = 12;
const SYMBOLS = Array.from({ length: 2000 }, (_, index) => `symbol number ${index} ${Math.imul(index, 0x9e3779b1)}`);

export interface StoredChunk extends ChunkRef {
  readonly bytes: Uint8Array;
}

/** A chunk of 12 blocks of about 20 KB, each of two seconds. Block `n` has the line `needle n`. */
export const storedChunk = async (
  store: Pick<ChunkStore, 'put'>,
  encoding: BlockEncoding = 'gzip',
  version: 3 | 4 = 3,
): Promise<StoredChunk> => {
  await prepareCodec(encoding);
  const random = seededRandom(3);
  const noise = (): string => Array.from({ length: 100 }, () => 'qQzZjJvV'[Math.floor(8 * random())]).join('');
  const limits = { blockSize: Number.POSITIVE_INFINITY, targetSize: Number.POSITIVE_INFINITY };
  const segment = new Segment({ nodeId: 'test', incarnation: 1, counter: 1 }, limits);
  for (let block = 0; block < BLOCKS; block += 1) {
    const entries = Array.from({ length: 500 }, (_, index) =>
      at(block * 2 * SECOND + index * 1000, index === 0 ? `needle ${block} ` : noise(), ['id', SYMBOLS[index]!]),
    );
    segment.append({ columns: columnsOf(entries), first: 0, end: entries.length });
    const { number, head } = segment.cutHead()!;
    segment.headCut(number, cutBlock(head, { encoding, withMetadataSections: version === 4 }));
  }
  const { blocks, symbols } = segment;
  const form = { version, encoding, blocks, symbols: version === 4 ? symbols : [] } as const;
  const chunk = encodeChunk({ tenant: 'test', fingerprint: 1n, labels: ['app', 'a'], ...form });
  const ref = { tenant: 'test', fingerprint: 1n, key: 'test/1/chunk', ...chunk };
  await store.put(ref.key, chunk.bytes);
  return ref;
};

/** Of so many seconds from the chunk's beginning. */
export const within = (first: number, last: number): ChunkWant => ({
  range: { startNs: BASE_NS + BigInt(first * SECOND), endNs: BASE_NS + BigInt(last * SECOND) },
  mayPass: undefined,
});

export const holding = (text: string, want = within(0, 100)): ChunkWant => ({
  ...want,
  mayPass: compileSkipTest({ kind: 'text', bytes: Buffer.from(text) }),
});
