/**
 * The MemChunk: Loki's block container, versions 1–4. docs/chunk-format.md draws every byte.
 *
 *   magic u32 | version u8 | encoding u8 (v2+) | [v4: symbols, CRC] | block, CRC … | [skip section] | metas, CRC | [v4: 3 × u64] | metas offset u64
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { compressBlockParts, decompressBlock } from './block-codec.ts';
import { BLOCK_ENCODINGS, type BlockEncoding } from './block-encoding.ts';
import { crc32c } from './checksum.ts';
import { CorruptChunkError, UnknownChunkFormatError } from './corrupt-chunk-error.ts';
import type { BlockData } from './memory-format.ts';
import { decodeSkipSection, encodeSkipSection, type SkipFilter } from './skip-section.ts';
import { highWord, lowWord, uvarintSize, VarintReader, writeUvarint, writeVarint64 } from './varint.ts';

const MAGIC = 0x012ee56a;
const HEADER_SIZE = 6;
const CHECKSUM_SIZE = 4;
const OFFSET_SIZE = 8;
/** v4: symbols length, symbols offset, metas length; then the metas offset that all versions end in. */
const V4_TRAILER_SIZE = 4 * OFFSET_SIZE;
/** Most bytes of one block's meta: six varints. */
const META_SIZE_MAX = 60;
const SYMBOLS_SIZE_MAX = 64 << 20;

export type MemchunkVersion = 1 | 2 | 3 | 4;

export interface BlockMeta {
  readonly count: number;
  /** ns. Loki's own blocks may hold empty lines from before minTime. */
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** From the start of the MemChunk. */
  readonly offset: number;
  /** Stored bytes, without the checksum behind them. */
  readonly size: number;
  /** Σ line lengths, v4 plus 8 per metadata pair; 0 where the version does not say (v1, v2). */
  readonly uncompressedSize: number;
}

export interface MemchunkInput {
  /** 3, or 4 for blocks with metadata sections. */
  readonly version: 3 | 4;
  readonly encoding: BlockEncoding;
  readonly blocks: readonly BlockData[];
  /** v4 only. */
  readonly symbols: readonly string[];
}

/** Parts in order, to be concatenated by the caller. */
export const encodeMemchunk = ({ version, encoding, blocks, symbols }: MemchunkInput): readonly Uint8Array[] => {
  const header = Buffer.alloc(6);
  header.writeUInt32BE(MAGIC);
  header[4] = version;
  header[5] = BLOCK_ENCODINGS.indexOf(encoding);
  const parts: Uint8Array[] = [header];
  let offset = header.length;
  const add = (part: Uint8Array): void => {
    parts.push(part);
    offset += part.length;
  };
  const symbolsOffset = offset;
  if (version === 4) {
    const section = Buffer.concat(symbolsParts(symbols, encoding));
    add(section);
    add(u32(crc32c(section)));
  }
  const symbolsSize = version === 4 ? offset - symbolsOffset - CHECKSUM_SIZE : 0;
  const metas = new MetasWriter(blocks.length);
  for (const block of blocks) {
    metas.add(block, offset);
    add(block.bytes);
    add(u32(block.checksum));
  }
  const skipSection = encodeSkipSection(
    blocks.map(({ skipFilter }) => skipFilter),
    blocks.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
  if (skipSection) add(skipSection);
  const metasOffset = offset;
  const section = metas.section();
  add(section);
  add(u32(crc32c(section)));
  if (version === 4) for (const value of [symbolsSize, symbolsOffset, section.length]) add(u64(value));
  add(u64(metasOffset));
  return parts;
};

class MetasWriter {
  readonly #bytes: Buffer;
  #size: number;

  constructor(count: number) {
    this.#bytes = Buffer.alloc(uvarintSize(count) + META_SIZE_MAX * count);
    this.#size = writeUvarint(this.#bytes, 0, count);
  }

  add(block: BlockData, offset: number): void {
    let at = writeUvarint(this.#bytes, this.#size, block.count);
    at = writeVarint64(this.#bytes, at, lowWord(block.minTime), highWord(block.minTime));
    at = writeVarint64(this.#bytes, at, lowWord(block.maxTime), highWord(block.maxTime));
    at = writeUvarint(this.#bytes, at, offset);
    at = writeUvarint(this.#bytes, at, block.uncompressedSize);
    this.#size = writeUvarint(this.#bytes, at, block.bytes.length);
  }

  section(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }
}

/** uvarint count (plain) | (uvarint length, text) … (compressed in one piece with the chunk's encoding). */
const symbolsParts = (symbols: readonly string[], encoding: BlockEncoding): readonly Uint8Array[] => {
  const texts: Uint8Array[] = [];
  for (const symbol of symbols) {
    const text = bytesOfText(symbol);
    texts.push(uvarint(text.length), text);
  }
  return [uvarint(symbols.length), ...compressBlockParts(Buffer.concat(texts), encoding)];
};

export interface MemchunkView {
  readonly version: MemchunkVersion;
  readonly encoding: BlockEncoding;
  readonly blocks: readonly BlockMeta[];
  /** The symbols section (count and compressed texts), its checksum verified; undefined before v4. */
  readonly symbolsSection: Uint8Array | undefined;
  /** Of each block; undefined if the chunk has none that can be read. */
  readonly skipFilters: readonly SkipFilter[] | undefined;
}

/**
 * Where the blocks and what lies between them may begin, and where it ends: all that the rest says. Only the header and the trailer are looked at.
 * @throws CorruptChunkError
 */
export const memchunkOutline = (bytes: Buffer): { readonly symbolsEnd: number; readonly metasStart: number } => {
  if (bytes.length < HEADER_SIZE + CHECKSUM_SIZE + V4_TRAILER_SIZE)
    throw new CorruptChunkError('too short for a chunk');
  const metasStart = offsetAt(bytes, bytes.length - OFFSET_SIZE);
  if (bytes[4] !== 4) return { symbolsEnd: HEADER_SIZE, metasStart };
  const trailerStart = bytes.length - V4_TRAILER_SIZE;
  const symbolsEnd = offsetAt(bytes, trailerStart) + offsetAt(bytes, trailerStart + OFFSET_SIZE) + CHECKSUM_SIZE;
  if (symbolsEnd > bytes.length) throw new CorruptChunkError('the symbols lie outside the chunk');
  return { symbolsEnd, metasStart };
};

/** Header, metas and symbols section checked; blocks only for lying inside. @throws CorruptChunkError */
export const decodeMemchunk = (bytes: Buffer): MemchunkView => {
  if (bytes.length < 5 + CHECKSUM_SIZE + OFFSET_SIZE + 1 || bytes.readUInt32BE(0) !== MAGIC) {
    throw new CorruptChunkError('not a chunk: the magic number is missing');
  }
  const version = bytes[4]!;
  if (version < 1 || version > 4) throw new UnknownChunkFormatError(`unknown chunk version ${version}`);
  const encoding = version === 1 ? 'gzip' : BLOCK_ENCODINGS[bytes[5]!];
  if (encoding === undefined || encoding === 'dumb') {
    throw new UnknownChunkFormatError(`unknown block encoding ${bytes[5]}`);
  }
  const headerSize = version === 1 ? 5 : 6;
  const trailerStart = bytes.length - (version === 4 ? V4_TRAILER_SIZE : OFFSET_SIZE);
  const metasOffset = offsetAt(bytes, bytes.length - OFFSET_SIZE);
  const metasEnd = trailerStart - CHECKSUM_SIZE;
  if (metasOffset < headerSize || metasOffset >= metasEnd)
    throw new CorruptChunkError('the metas lie outside the chunk');
  if (version === 4 && offsetAt(bytes, trailerStart + 2 * OFFSET_SIZE) !== metasEnd - metasOffset) {
    throw new CorruptChunkError('the metas have a wrong length');
  }
  const metas = checkedSection(bytes, metasOffset, metasEnd, 'the metas have a wrong checksum');
  const blocks = readMetas(metas, version as MemchunkVersion, headerSize, metasOffset);
  const symbolsSection = version === 4 ? symbolsSectionOf(bytes, trailerStart, metasOffset) : undefined;
  const lastEnd = blocks.reduce((end, { offset, size }) => Math.max(end, offset + size + CHECKSUM_SIZE), headerSize);
  const skipFilters = decodeSkipSection(bytes, lastEnd, metasOffset, blocks.length);
  return { version: version as MemchunkVersion, encoding, blocks, symbolsSection, skipFilters };
};

const symbolsSectionOf = (bytes: Buffer, trailerStart: number, metasOffset: number): Uint8Array => {
  const size = offsetAt(bytes, trailerStart);
  const start = offsetAt(bytes, trailerStart + OFFSET_SIZE);
  if (start < 6 || start + size + CHECKSUM_SIZE > metasOffset) {
    throw new CorruptChunkError('the symbols lie outside the chunk');
  }
  return checkedSection(bytes, start, start + size, 'the symbols have a wrong checksum');
};

/** The section without its checksum, which directly follows it. */
const checkedSection = (bytes: Buffer, start: number, end: number, otherwise: string): Uint8Array => {
  const section = bytes.subarray(start, end);
  if (crc32c(section) !== bytes.readUInt32BE(end)) throw new CorruptChunkError(otherwise);
  return section;
};

const readMetas = (section: Uint8Array, version: MemchunkVersion, start: number, end: number): BlockMeta[] => {
  const reader = new VarintReader(section);
  const count = reader.uvarint();
  if (count > section.length) throw new CorruptChunkError('the metas name too many blocks');
  const blocks: BlockMeta[] = [];
  for (let index = 0; index < count; index += 1) {
    const entries = reader.uvarint();
    const minTime = reader.varint64();
    const maxTime = reader.varint64();
    const offset = reader.uvarint();
    const uncompressedSize = version >= 3 ? reader.uvarint() : 0;
    const size = reader.uvarint();
    if (offset < start || offset + size + CHECKSUM_SIZE > end) {
      throw new CorruptChunkError('a block lies outside the chunk');
    }
    blocks.push({ count: entries, minTime, maxTime, offset, size, uncompressedSize });
  }
  if (!reader.isAtEnd) throw new CorruptChunkError('the metas have a wrong length');
  return blocks;
};

/** Texts of a v4 chunk's structured metadata, by number. @throws CorruptChunkError */
export const readSymbols = (section: Uint8Array, encoding: BlockEncoding): string[] => {
  const head = new VarintReader(section);
  const count = head.uvarint();
  const compressed = section.subarray(head.offset);
  if (count === 0) return [];
  const plain = decompressBlock(compressed, encoding, { maxBytes: SYMBOLS_SIZE_MAX, isVerified: true });
  const reader = new VarintReader(plain);
  const symbols: string[] = [];
  while (symbols.length < count) symbols.push(textOfBytes(reader.take(reader.uvarint())));
  if (!reader.isAtEnd) throw new CorruptChunkError('the symbols have a wrong length');
  return symbols;
};

const offsetAt = (bytes: Buffer, at: number): number => {
  const value = bytes.readBigUInt64BE(at);
  if (value > BigInt(bytes.length)) throw new CorruptChunkError('an offset lies outside the chunk');
  return Number(value);
};

const uvarint = (value: number): Uint8Array => {
  const bytes = new Uint8Array(uvarintSize(value));
  writeUvarint(bytes, 0, value);
  return bytes;
};

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(CHECKSUM_SIZE);
  bytes.writeUInt32BE(value);
  return bytes;
};

const u64 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(OFFSET_SIZE);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
