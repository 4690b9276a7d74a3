/**
 * The chunk object as it lies in a bucket: metadata in front, the MemChunk behind. docs/chunk-format.md draws every byte.
 *
 *   u32 M | metadata JSON, snappy framed (M - 4 bytes) | u32 D | MemChunk (D bytes)        big-endian
 */
import { floorMs } from '../protocol/whole-ms.ts';
import { decompressBlock } from './block-codec.ts';
import type { BlockEncoding } from './block-encoding.ts';
import { BlockCursor } from './block-reader.ts';
import { crc32c } from './checksum.ts';
import { type ChunkMetadata, decodeChunkMetadata, encodeChunkMetadata } from './chunk-metadata.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import {
  type BlockMeta,
  decodeMemchunk,
  encodeMemchunk,
  type MemchunkInput,
  type MemchunkVersion,
  type MemchunkView,
  readSymbols,
} from './memchunk.ts';
import type { SkipFilter } from './skip-section.ts';
import { compressSnappyFrames, decompressSnappyFrames } from './snappy-framing.ts';

const LENGTH_SIZE = 4;
const METADATA_SIZE_MAX = 16 << 20;
const NAME_LABEL = '__name__';
/** The metric name of every log stream. */
const METRIC_NAME = 'logs';

export interface ChunkInput extends MemchunkInput {
  readonly tenant: string;
  readonly fingerprint: bigint;
  /** The stream's labels, sorted flat pairs. `__name__` is set to `logs`, whatever was pushed. */
  readonly labels: readonly string[];
}

export interface EncodedChunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bounds of the entries, in ms: rounded down and up. */
  readonly fromMs: number;
  readonly throughMs: number;
  /** CRC-32C of the object: the last part of its key. */
  readonly checksum: number;
}

/** Blocks must be ascending and not overlap (`rebuildBlocks`), at least one. `prepareCodec(encoding)` must have resolved. */
export const encodeChunk = (input: ChunkInput): EncodedChunk => {
  const { tenant, fingerprint, blocks } = input;
  if (blocks.length === 0) throw new Error('a chunk without blocks would lose its stream');
  const fromMs = floorMs(minOf(blocks.map((block) => block.minTime)));
  const throughMs = -floorMs(-maxOf(blocks.map((block) => block.maxTime)));
  const metric = metricOf(input.labels);
  const metadata = compressSnappyFrames(encodeChunkMetadata({ fingerprint, tenant, fromMs, throughMs, metric }));
  const data = encodeMemchunk(input);
  const dataSize = data.reduce((sum, part) => sum + part.length, 0);
  const parts = [u32(LENGTH_SIZE + metadata.length), metadata, u32(dataSize), ...data];
  const bytes = new Uint8Array(2 * LENGTH_SIZE + metadata.length + dataSize);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return { bytes, fromMs, throughMs, checksum: crc32c(bytes) };
};

const minOf = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b < a ? b : a));
const maxOf = (values: readonly bigint[]): bigint => values.reduce((a, b) => (b > a ? b : a));

/** Labels with `__name__="logs"` in its place: names are sorted by their bytes, which are ASCII. */
const metricOf = (labels: readonly string[]): string[] => {
  const metric: string[] = [];
  let isNamed = false;
  for (let index = 0; index < labels.length; index += 2) {
    const name = labels[index]!;
    if (!isNamed && name >= NAME_LABEL) {
      metric.push(NAME_LABEL, METRIC_NAME);
      isNamed = true;
    }
    if (name !== NAME_LABEL) metric.push(name, labels[index + 1]!);
  }
  if (!isNamed) metric.push(NAME_LABEL, METRIC_NAME);
  return metric;
};

export interface DecodeOptions {
  /** The checksum of the object's key. With it every byte is verified at once, without it block by block. */
  readonly checksum?: number;
  /** Plain bytes a block may have. Default 64 MiB. */
  readonly blockBytesMax?: number;
  /**
   * Gives the object's bytes [start, end), to keep. For an object that lies in memory without its blocks, and only for as long as its skip filters are looked
   * at: blocks are asked for here, and nothing else is read of it later.
   */
  readonly readBlock?: (start: number, end: number) => Buffer;
}

const BLOCK_BYTES_MAX = 64 << 20;

/** Encodings by which other bytes might be read: those of all others begin with bytes that nothing else begins with. */
const WITHOUT_MAGIC: ReadonlySet<BlockEncoding> = new Set(['none', 'flate']);

/** @throws CorruptChunkError if the bytes are not a whole, valid chunk object (blocks are looked at when they are asked for) */
export const decodeChunk = (bytes: Uint8Array, options: DecodeOptions = {}): ChunkView => {
  if (options.checksum !== undefined && crc32c(bytes) !== options.checksum >>> 0) {
    throw new CorruptChunkError('invalid chunk checksum');
  }
  const object = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const metadataEnd = dataStartOf(object) - LENGTH_SIZE;
  const metadata = decodeChunkMetadata(
    decompressSnappyFrames(object.subarray(LENGTH_SIZE, metadataEnd), METADATA_SIZE_MAX),
  );
  return new ChunkView(metadata, object, metadataEnd + LENGTH_SIZE, options);
};

/**
 * Where the MemChunk begins. Very old objects do not count the first length field itself; the data's length tells which it is.
 * @throws CorruptChunkError
 */
export const dataStartOf = (object: Buffer): number => {
  if (object.length >= 2 * LENGTH_SIZE) {
    const said = object.readUInt32BE(0);
    for (const end of [said, said + LENGTH_SIZE]) {
      const dataStart = end + LENGTH_SIZE;
      if (end < LENGTH_SIZE || dataStart > object.length) continue;
      if (object.readUInt32BE(end) === object.length - dataStart) return dataStart;
    }
  }
  throw new CorruptChunkError('the lengths in the chunk object do not fit its size');
};

/** A decoded chunk object: a view of its bytes, which must not change while it is used. */
export class ChunkView {
  readonly tenant: string;
  readonly fingerprint: bigint;
  readonly fromMs: number;
  readonly throughMs: number;
  /** All labels as stored, flat pairs, `__name__` included. */
  readonly metric: readonly string[];
  /** The stream's labels: without `__name__`. */
  readonly labels: readonly string[];
  readonly encoding: BlockEncoding;
  readonly version: MemchunkVersion;
  readonly blocks: readonly BlockMeta[];
  /** Of the MemChunk. */
  readonly #bytesAt: (start: number, end: number) => Buffer;
  readonly #dataStart: number;
  readonly #isVerified: boolean;
  readonly #blockBytesMax: number;
  readonly #symbolsSection: Uint8Array | undefined;
  readonly #skipFilters: readonly SkipFilter[] | undefined;
  /** Of metadata, and its values: told apart by nothing. */
  #names: ReadonlySet<string> | undefined;
  #symbols: readonly string[] | undefined = undefined;

  constructor(metadata: ChunkMetadata, object: Buffer, dataStart: number, options: DecodeOptions) {
    const memchunk = object.subarray(dataStart);
    const view: MemchunkView = decodeMemchunk(memchunk);
    this.tenant = metadata.tenant;
    this.fingerprint = metadata.fingerprint;
    this.fromMs = metadata.fromMs;
    this.throughMs = metadata.throughMs;
    this.metric = metadata.metric;
    this.labels = withoutName(metadata.metric);
    this.encoding = view.encoding;
    this.version = view.version;
    this.blocks = view.blocks;
    const { readBlock } = options;
    this.#bytesAt = readBlock
      ? (start, end) => readBlock(dataStart + start, dataStart + end)
      : (start, end) => memchunk.subarray(start, end);
    this.#dataStart = dataStart;
    this.#isVerified = options.checksum !== undefined;
    this.#blockBytesMax = options.blockBytesMax ?? BLOCK_BYTES_MAX;
    this.#symbolsSection = readBlock && view.symbolsSection ? Buffer.from(view.symbolsSection) : view.symbolsSection;
    this.#skipFilters = view.skipFilters;
  }

  /** v4: a metadata section follows each line. */
  get hasMetadataSections(): boolean {
    return this.version === 4;
  }

  /** An entry may have structured metadata. */
  get hasMetadata(): boolean {
    return this.#symbolsSection !== undefined && this.#symbolsSection[0] !== 0;
  }

  /** An entry may have structured metadata of this name. @throws CorruptChunkError */
  mayHaveMetadata(name: string): boolean {
    this.#names ??= new Set(this.symbols());
    return this.#names.has(name);
  }

  /** Texts of structured metadata by number; empty before v4. @throws CorruptChunkError */
  symbols(): readonly string[] {
    this.#symbols ??= this.#symbolsSection ? readSymbols(this.#symbolsSection, this.encoding) : [];
    return this.#symbols;
  }

  /** Where the block lies in the object, its checksum included. */
  blockSpan(index: number): { readonly start: number; readonly end: number } {
    const { offset, size } = this.#meta(index);
    return { start: this.#dataStart + offset, end: this.#dataStart + offset + size + LENGTH_SIZE };
  }

  /** What says which texts the block may hold (skip-filter.ts); undefined if nothing does. */
  skipFilter(index: number): SkipFilter {
    return this.#skipFilters?.[index];
  }

  /** Stored bytes of a block, a view where the object lies in memory, its checksum verified. @throws CorruptChunkError */
  blockBytes(index: number): Uint8Array {
    const { offset, size } = this.#meta(index);
    const stored = this.#bytesAt(offset, offset + size + LENGTH_SIZE);
    const bytes = stored.subarray(0, size);
    if (!this.#isVerified && crc32c(bytes) !== stored.readUInt32BE(size)) {
      throw new CorruptChunkError(`block ${index} has a wrong checksum`);
    }
    return bytes;
  }

  /** Plain content of a block (for encoding none a view). `prepareCodec(encoding)` must have resolved. @throws CorruptChunkError */
  inflateBlock(index: number): Buffer {
    const bytes = this.blockBytes(index);
    const plain = decompressBlock(bytes, this.encoding, { maxBytes: this.#blockBytesMax, isVerified: true });
    // No checksum but the object's covers the encoding byte; gzip bytes read as stored ones do not hold that many entries.
    const mayBeOther = !this.#isVerified && WITHOUT_MAGIC.has(this.encoding);
    if (mayBeOther && entryCountOf(plain, this.hasMetadataSections) !== this.#meta(index).count) {
      throw new CorruptChunkError(`block ${index} does not hold as many entries as its meta says`);
    }
    return plain;
  }

  #meta(index: number): BlockMeta {
    const meta = this.blocks[index];
    if (!meta) throw new RangeError(`no block ${index}`);
    return meta;
  }
}

const entryCountOf = (plain: Uint8Array, hasMetadataSections: boolean): number => {
  const cursor = new BlockCursor(plain, hasMetadataSections);
  let count = 0;
  while (cursor.next()) count += 1;
  return count;
};

const withoutName = (metric: readonly string[]): string[] => {
  const labels: string[] = [];
  for (let index = 0; index < metric.length; index += 2) {
    if (metric[index] !== NAME_LABEL) labels.push(metric[index]!, metric[index + 1]!);
  }
  return labels;
};

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(LENGTH_SIZE);
  bytes.writeUInt32BE(value);
  return bytes;
};
