/**
 * The skip filters of a chunk's blocks, in the bytes between the last block and the metas, which belong to nobody (docs/chunk-format.md, section 9):
 *
 *   uvarint size | filter  for each block, size 0 = none │ u32 length of these │ u32 CRC of these and the length │ "RLS1"        big-endian
 *
 * It ends where the metas begin. A chunk without it, or with one that does not fit, has no skip data: it is read as ever.
 */
import { crc32c } from './checksum.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { uvarintSize, VarintReader, writeUvarint } from './varint.ts';

/** Names the hash of `skip-filter.ts` too: another one gets another name. */
const MAGIC = 0x524c5331;
const WORD_SIZE = 4;
export const SKIP_FOOTER_SIZE = 3 * WORD_SIZE;
/** Of a chunk's compressed blocks: more is not spent. */
const SHARE_MAX = 1 / 20;

export type SkipFilter = Uint8Array | undefined;

/** undefined if no block has a filter, or if they are too little data for what they skip. `blocksSize`: Σ compressed bytes. */
export const encodeSkipSection = (filters: readonly SkipFilter[], blocksSize: number): Uint8Array | undefined => {
  if (!filters.some((filter) => filter)) return undefined;
  let size = SKIP_FOOTER_SIZE;
  for (const filter of filters) size += uvarintSize(filter?.length ?? 0) + (filter?.length ?? 0);
  if (size > SHARE_MAX * blocksSize) return undefined;
  const section = Buffer.alloc(size);
  let at = 0;
  for (const filter of filters) {
    at = writeUvarint(section, at, filter?.length ?? 0);
    if (filter) section.set(filter, at);
    at += filter?.length ?? 0;
  }
  section.writeUInt32BE(at, at);
  section.writeUInt32BE(crc32c(section.subarray(0, at + WORD_SIZE)), at + WORD_SIZE);
  section.writeUInt32BE(MAGIC, at + 2 * WORD_SIZE);
  return section;
};

/** Where the section that ends at `end` begins; undefined if there is none. Looks at its footer only. */
export const skipSectionStart = (bytes: Buffer, end: number): number | undefined => {
  const footer = end - SKIP_FOOTER_SIZE;
  if (footer < 0 || bytes.readUInt32BE(footer + 2 * WORD_SIZE) !== MAGIC) return undefined;
  const start = footer - bytes.readUInt32BE(footer);
  return start < 0 ? undefined : start;
};

/** The filters of `count` blocks, views of `bytes`; undefined if no section ends at `end`, or if it is damaged or reaches before `start`. */
export const decodeSkipSection = (
  bytes: Buffer,
  start: number,
  end: number,
  count: number,
): readonly SkipFilter[] | undefined => {
  const from = skipSectionStart(bytes, end);
  if (from === undefined || from < start) return undefined;
  const checksumAt = end - 2 * WORD_SIZE;
  if (crc32c(bytes.subarray(from, checksumAt)) !== bytes.readUInt32BE(checksumAt)) return undefined;
  try {
    return readFilters(bytes.subarray(from, end - SKIP_FOOTER_SIZE), count);
  } catch (error) {
    if (error instanceof CorruptChunkError) return undefined;
    throw error;
  }
};

const readFilters = (section: Uint8Array, count: number): readonly SkipFilter[] | undefined => {
  const reader = new VarintReader(section);
  const filters: SkipFilter[] = [];
  while (filters.length < count) {
    const size = reader.uvarint();
    filters.push(size === 0 ? undefined : reader.take(size));
  }
  return reader.isAtEnd ? filters : undefined;
};
