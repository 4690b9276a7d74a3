/** Takes the Content-Encoding off a push body. Memory is counted as it comes: a body may become a thousand times its size. */
import { createGunzip, createInflateRaw, type ZlibOptions } from 'node:zlib';
import { decompressFrameSync } from 'lz4-napi';
import snappy from 'snappy';
import type { BodyMemory, LargeBodies } from './large-bodies.ts';
import { LZ4_RATIO_MAX, Lz4FrameError, lz4Blocks, readLz4Header } from './lz4-blocks.ts';
import { RefusedError } from './refusal.ts';
import { releaseMemory } from './release-memory.ts';
import type { TurnBudget } from './turn-budget.ts';
import { badRequest, unexpectedEnd } from './wire.ts';
import { ZstdError, zstdBlocks } from './zstd-blocks.ts';

export interface InflateDeps {
  /** Without it nothing is counted. */
  readonly memory?: BodyMemory | undefined;
  /** Shared by all bodies; without it any number is inflated at once. */
  readonly large?: LargeBodies | undefined;
  readonly turns?: TurnBudget | undefined;
}

/** Larger snappy blocks are decompressed off the event loop, where a call takes longer but holds up nobody (1 MiB: about 1.5 ms). */
const SYNC_BYTES_MAX = 4 * 1024 * 1024;

/** What is larger inflated needs a place among the large bodies (chosen: agents send 1 MiB). */
const LARGE_BYTES = 4 * 1024 * 1024;

/** No element of a snappy block gives more than 64 bytes for 3. */
const SNAPPY_RATIO_MAX = 22;

const INFLATE_CHUNK_BYTES = 256 * 1024;

/** One push body on its way to plain bytes. Call `leave` when it is decoded. */
export class BodyInflation {
  readonly #deps: InflateDeps;
  readonly #bytesMax: number;
  #hasPlace = false;

  constructor(bytesMax: number, deps: InflateDeps) {
    this.#bytesMax = bytesMax;
    this.#deps = deps;
  }

  leave(): void {
    if (this.#hasPlace) this.#deps.large?.leave();
    this.#hasPlace = false;
  }

  /** Off the event loop. @throws RefusedError BAD_REQUEST, OVERLOADED */
  async gunzip(body: Buffer): Promise<Buffer> {
    if (body.length === 0) throw badRequest('EOF');
    if (body[0] !== 0x1f || (body[1] ?? 0x8b) !== 0x8b) throw badRequest('gzip: invalid header');
    return await this.#inflated(createGunzip, body, 'gzip: invalid header');
  }

  /** Raw DEFLATE. @throws RefusedError BAD_REQUEST with `corruptText`, OVERLOADED */
  async inflateRaw(body: Buffer, corruptText: string): Promise<Buffer> {
    return await this.#inflated(createInflateRaw, body, corruptText);
  }

  /** `body` is released. @throws RefusedError BAD_REQUEST, OVERLOADED */
  async unsnappy(body: Buffer): Promise<Buffer> {
    const size = snappySize(body);
    if (size > this.#bytesMax) throw decompressedTooLarge(size, this.#bytesMax);
    // A lying length is not allocated for.
    if (size > body.length * SNAPPY_RATIO_MAX) throw corruptSnappy();
    this.#deps.memory?.take(size);
    if (size > LARGE_BYTES) await this.#takePlace();
    if (size > SYNC_BYTES_MAX) return await uncompressedAside(body);
    const { turns } = this.#deps;
    while (turns && !turns.hasTime()) await turns.nextTurn();
    const bytes = uncompressed(body);
    releaseMemory(body);
    return bytes;
  }

  /** @throws RefusedError BAD_REQUEST, OVERLOADED */
  async unzstd(body: Buffer): Promise<Buffer> {
    if (body.length === 0) throw badRequest('EOF');
    return await this.#gathered(zstdBlocks(body, (size) => this.#deps.memory?.take(size)));
  }

  /** One frame of LZ4. @throws RefusedError BAD_REQUEST, OVERLOADED */
  async unlz4(body: Buffer): Promise<Buffer> {
    if (body.length === 0) throw badRequest('EOF');
    return await this.#gathered(plainLz4Blocks(body, this.#bytesMax));
  }

  /** Pieces that are made on the event loop, each a turn's work at most. */
  async #gathered(pieces: Generator<Uint8Array, void>): Promise<Buffer> {
    const { turns, memory } = this.#deps;
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for (;;) {
        while (turns && !turns.hasTime()) await turns.nextTurn();
        const next = pieces.next();
        if (next.done) break;
        const { buffer, byteOffset, length } = next.value;
        size += length;
        if (size > this.#bytesMax) throw decompressedTooLarge(this.#bytesMax + 1, this.#bytesMax);
        memory?.take(length);
        chunks.push(Buffer.from(buffer, byteOffset, length));
        if (size > LARGE_BYTES) await this.#takePlace();
      }
    } catch (error) {
      const isCorrupt = error instanceof ZstdError || error instanceof Lz4FrameError;
      throw isCorrupt ? new RefusedError({ code: 'BAD_REQUEST', text: error.message }, { cause: error }) : error;
    }
    return await this.#joined(chunks, size);
  }

  async #inflated(
    create: (options: ZlibOptions) => ReturnType<typeof createGunzip>,
    body: Buffer,
    corruptText: string,
  ): Promise<Buffer> {
    const stream = create({ chunkSize: INFLATE_CHUNK_BYTES });
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      stream.end(body);
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > this.#bytesMax) throw decompressedTooLarge(this.#bytesMax + 1, this.#bytesMax);
        this.#deps.memory?.take(chunk.length);
        chunks.push(chunk);
        if (size > LARGE_BYTES) await this.#takePlace();
      }
    } catch (error) {
      for (const chunk of chunks) releaseWhole(chunk);
      throw error instanceof RefusedError ? error : inflateError(error as NodeJS.ErrnoException, corruptText);
    }
    return await this.#joined(chunks, size);
  }

  /** Each chunk is released once it is copied, so no body is in memory twice. */
  async #joined(chunks: readonly Buffer[], size: number): Promise<Buffer> {
    const [first] = chunks;
    if (first && chunks.length === 1) return first;
    const { turns } = this.#deps;
    const whole = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (const chunk of chunks) {
      while (turns && !turns.hasTime()) await turns.nextTurn();
      chunk.copy(whole, at);
      at += chunk.length;
      releaseWhole(chunk);
    }
    return whole;
  }

  async #takePlace(): Promise<void> {
    if (this.#hasPlace || !this.#deps.large) return;
    await this.#deps.large.enter();
    this.#hasPlace = true;
  }
}

/** Blocks that lean on those before them are left to the library, which does them in one go: only where that is bounded. */
function* plainLz4Blocks(body: Buffer, bytesMax: number): Generator<Uint8Array, void> {
  const header = readLz4Header(body);
  if (header.isIndependent) {
    yield* lz4Blocks(body, header, bytesMax);
    return;
  }
  if (body.length * LZ4_RATIO_MAX > LARGE_BYTES)
    throw new Lz4FrameError('an LZ4 frame with linked blocks is too large');
  try {
    yield decompressFrameSync(body);
  } catch (cause) {
    throw new Lz4FrameError('an LZ4 frame is corrupt', { cause });
  }
}

/** zlib goes on writing behind a chunk that does not fill its buffer. */
const releaseWhole = (chunk: Buffer): void => {
  if (chunk.length === chunk.buffer.byteLength) releaseMemory(chunk);
};

const inflateError = ({ code, message }: NodeJS.ErrnoException, corruptText: string): RefusedError => {
  if (code === 'Z_BUF_ERROR') return unexpectedEnd();
  if (message === 'incorrect data check') return badRequest('gzip: invalid checksum');
  return badRequest(message === 'incorrect header check' ? 'gzip: invalid header' : corruptText);
};

const uncompressed = (body: Buffer): Buffer => {
  try {
    return snappy.uncompressSync(body, { copyOutputData: true }) as Buffer;
  } catch (error) {
    throw corruptSnappy(error);
  }
};

const uncompressedAside = async (body: Buffer): Promise<Buffer> => {
  try {
    return (await snappy.uncompress(body, { copyOutputData: true })) as Buffer;
  } catch (error) {
    throw corruptSnappy(error);
  }
};

/** The uncompressed length that a snappy block begins with: a uvarint of at most 32 bits. */
const snappySize = (body: Buffer): number => {
  let size = 0;
  for (let index = 0; index < 5; index += 1) {
    const byte = body[index];
    if (byte === undefined) break;
    size += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      if (size > 0xffffffff) break;
      return size;
    }
  }
  throw corruptSnappy();
};

const corruptSnappy = (cause?: unknown): RefusedError =>
  new RefusedError({ code: 'BAD_REQUEST', text: 'snappy: corrupt input' }, { cause });

export const decompressedTooLarge = (size: number, sizeMax: number): RefusedError =>
  new RefusedError({
    code: 'BAD_REQUEST',
    text: `decompressed message size too large than max (${size} vs ${sizeMax})`,
  });
