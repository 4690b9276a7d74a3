import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip, inflateRaw, type ZlibOptions } from 'node:zlib';
import snappy from 'snappy';
import type { PushedStream } from './entry-columns.ts';
import { mediaTypeOf } from './media-type.ts';
import { PushDecoder } from './push-decoder.ts';
import { PushJsonDecoder } from './push-json.ts';
import { RefusedError } from './refusal.ts';
import { releaseMemory } from './release-memory.ts';
import type { TurnBudget } from './turn-budget.ts';
import { badRequest, unexpectedEnd } from './wire.ts';

export interface PushBodyLimits {
  /** Loki's max_recv_msg_size. */
  readonly compressedBytesMax: number;
  /** Loki's max_decompressed_size; counts what each step of decompression gives. */
  readonly decompressedBytesMax: number;
}

export interface PushBody {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Taken over: it may be written to, and the streams lie in it. */
  readonly body: Buffer;
  readonly limits: PushBodyLimits;
  /** JSON of the old shape (`/api/prom/push`). */
  readonly isLegacy?: boolean;
  /** Shares the event loop between all pushes being decoded; without it each takes what it needs. */
  readonly turns?: TurnBudget;
}

export interface DecodedPushBody {
  /** In the order they were sent; a stream may come twice, and may have no entries. */
  readonly streams: readonly PushedStream[];
}

/** Bytes decoded in one go: under 1 ms for real lines, under 10 ms for the worst body (measured). */
const STEP_BYTES = 1024 * 1024;

/** Of each turn of the event loop, for all pushes being decoded together (chosen: eight agents at once must not make a stall of 10 ms). */
export const DECODE_SLICE_MS = 2;

/** Larger snappy blocks are decompressed off the event loop, where a call takes longer but holds up nobody (1 MiB: about 1.5 ms). */
const SYNC_BYTES_MAX = 4 * 1024 * 1024;

/** No element of a snappy block gives more than 64 bytes for 3. */
const SNAPPY_RATIO_MAX = 22;

const INFLATE_CHUNK_BYTES = 256 * 1024;

const gunzipAsync = promisify<Buffer, ZlibOptions, Buffer>(gunzip);
const inflateRawAsync = promisify<Buffer, ZlibOptions, Buffer>(inflateRaw);

/**
 * Decodes the body of an HTTP push (the API specification, 1.2): Content-Encoding first, then JSON, or snappy and protobuf.
 * @throws RefusedError BAD_REQUEST, TOO_LARGE, EMPTY_PUSH (no streams at all) with Loki's texts; nothing of the push is usable then
 */
export const decodePushBody = async (push: PushBody): Promise<DecodedPushBody> => {
  const { body, limits, isLegacy = false } = push;
  const isJson = mediaTypeOf(push.contentType) === 'application/json';
  if (body.length > limits.compressedBytesMax) throw compressedTooLarge(body.length, limits.compressedBytesMax);
  const inflated = await withoutEncoding(push, isJson);
  const decoder = isJson
    ? new PushJsonDecoder(inflated, isLegacy)
    : new PushDecoder(await withoutSnappy(inflated, limits.decompressedBytesMax, push.turns));
  const streams = await finished(decoder, push.turns);
  if (streams.length > 0) return { streams };
  throw new RefusedError({ code: 'EMPTY_PUSH', text: 'error at least one valid stream is required for ingestion' });
};

/**
 * Decodes a bare PushRequest, as gRPC carries it. Takes the bytes over. No streams at all are fine here, as in Loki.
 * @throws RefusedError BAD_REQUEST, TOO_LARGE
 */
export const decodePushMessage = async (
  bytes: Buffer,
  limits: PushBodyLimits,
  turns?: TurnBudget,
): Promise<DecodedPushBody> => {
  if (bytes.length > limits.decompressedBytesMax) throw decompressedTooLarge(bytes.length, limits.decompressedBytesMax);
  return { streams: await finished(new PushDecoder(bytes), turns) };
};

const finished = async (
  decoder: PushDecoder | PushJsonDecoder,
  turns?: TurnBudget,
): Promise<readonly PushedStream[]> => {
  while (turns && !turns.hasTime()) await turns.nextTurn();
  while (!decoder.step(STEP_BYTES)) await (turns?.nextTurn() ?? nextTurn());
  return decoder.streams();
};

const withoutEncoding = ({ contentEncoding, body, limits }: PushBody, isJson: boolean): Promise<Buffer> | Buffer => {
  switch (contentEncoding ?? '') {
    case '':
    case 'snappy':
      return body;
    case 'gzip':
      if (body.length === 0) throw badRequest('EOF');
      if (body[0] !== 0x1f || (body[1] ?? 0x8b) !== 0x8b) throw badRequest('gzip: invalid header');
      return inflated(gunzipAsync, body, limits.decompressedBytesMax, 'gzip: invalid header');
    case 'deflate':
      // Raw DEFLATE. Corrupt input reaches Loki's JSON decoder as an empty body.
      return inflated(inflateRawAsync, body, limits.decompressedBytesMax, isJson ? 'EOF' : 'flate: corrupt input');
    default:
      throw badRequest(`Content-Encoding ${JSON.stringify(contentEncoding)} not supported`);
  }
};

/** Inflates off the event loop and stops as soon as more than `bytesMax` has come out. */
const inflated = async (
  inflate: (body: Buffer, options: ZlibOptions) => Promise<Buffer>,
  body: Buffer,
  bytesMax: number,
  corruptText: string,
): Promise<Buffer> => {
  try {
    return await inflate(body, { maxOutputLength: bytesMax, chunkSize: INFLATE_CHUNK_BYTES });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw decompressedTooLarge(bytesMax + 1, bytesMax);
    if (code === 'Z_BUF_ERROR') throw unexpectedEnd();
    if (message === 'incorrect data check') throw badRequest('gzip: invalid checksum');
    throw badRequest(message === 'incorrect header check' ? 'gzip: invalid header' : corruptText);
  }
};

const withoutSnappy = async (body: Buffer, bytesMax: number, turns?: TurnBudget): Promise<Buffer> => {
  const size = snappySize(body);
  if (size > bytesMax) throw decompressedTooLarge(size, bytesMax);
  // A lying length is not allocated for.
  if (size > body.length * SNAPPY_RATIO_MAX) throw corruptSnappy();
  if (size > SYNC_BYTES_MAX) return await uncompressedAside(body);
  while (turns && !turns.hasTime()) await turns.nextTurn();
  const bytes = uncompressed(body);
  releaseMemory(body);
  return bytes;
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

const compressedTooLarge = (size: number, sizeMax: number): RefusedError =>
  new RefusedError({
    code: 'TOO_LARGE',
    text: `request body too large: message size too large than max (${size} vs ${sizeMax})`,
  });

const decompressedTooLarge = (size: number, sizeMax: number): RefusedError =>
  new RefusedError({
    code: 'BAD_REQUEST',
    text: `decompressed message size too large than max (${size} vs ${sizeMax})`,
  });
