import { compressBlock } from './block-codec.ts';
import type { BlockEncoding } from './block-encoding.ts';
import { crc32c } from './checksum.ts';
import { encodeHead } from './encode-head.ts';
import type { BlockData, HeadSnapshot } from './memory-format.ts';
import { buildSkipFilter } from './skip-filter.ts';

export interface BlockForm {
  readonly encoding: BlockEncoding;
  /** Compression level; undefined = the encoding's default. */
  readonly level?: number;
  readonly withMetadataSections: boolean;
}

/** Head → compressed block. `prepareCodec(encoding)` must have resolved. */
export const cutBlock = (head: HeadSnapshot, form: BlockForm): BlockData => {
  const { bytes, ...figures } = encodeHead(head, form);
  return blockOf(bytes, figures, form);
};

export interface BlockFigures {
  readonly count: number;
  readonly minTime: bigint;
  readonly maxTime: bigint;
  readonly uncompressedSize: number;
}

/** Plain content → block with its skip filter; copies. */
export const blockOf = (plain: Uint8Array, figures: BlockFigures, form: BlockForm): BlockData => {
  const bytes = compressBlock(plain, form.encoding, form.level);
  const { count, minTime, maxTime, uncompressedSize } = figures;
  return {
    bytes,
    encoding: form.encoding,
    checksum: crc32c(bytes),
    count,
    minTime,
    maxTime,
    uncompressedSize,
    hasMetadataSections: form.withMetadataSections,
    skipFilter: buildSkipFilter(plain, form.withMetadataSections, bytes.length),
  };
};
