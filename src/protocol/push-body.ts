import { decodeInTurns, decodeOrRelease } from './decode-in-turns.ts';
import type { PushedStream } from './entry-columns.ts';
import { BodyInflation, decompressedTooLarge } from './inflate-body.ts';
import type { BodyMemory, LargeBodies } from './large-bodies.ts';
import { mediaTypeOf } from './media-type.ts';
import { PushDecoder } from './push-decoder.ts';
import { PushJsonDecoder } from './push-json.ts';
import { RefusedError } from './refusal.ts';
import { releaseMemory } from './release-memory.ts';
import type { TurnBudget } from './turn-budget.ts';
import { badRequest } from './wire.ts';

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
  /** Counts what the body becomes; without it nobody does. */
  readonly memory?: BodyMemory;
  /** Bounds how many large bodies are inflated at once; without it nobody does. */
  readonly large?: LargeBodies;
}

export interface DecodedPushBody {
  /** In the order they were sent; a stream may come twice, and may have no entries. */
  readonly streams: readonly PushedStream[];
  /** What the push stands for in memory and in the log, where that is more than the bytes of its columns. */
  readonly bytes?: number;
}

/** Of each turn of the event loop, for all pushes being decoded together (chosen: eight agents at once must not make a stall of 10 ms). */
export const DECODE_SLICE_MS = 2;

/**
 * Decodes the body of an HTTP push (the API specification, 1.2): Content-Encoding first, then JSON, or snappy and protobuf.
 * @throws RefusedError BAD_REQUEST, TOO_LARGE, EMPTY_PUSH (no streams at all) with Loki's texts, OVERLOADED; nothing of the push, nor its
 *   body, is usable then
 */
export const decodePushBody = async (push: PushBody): Promise<DecodedPushBody> => {
  const { body, limits, isLegacy = false } = push;
  const isJson = mediaTypeOf(push.contentType) === 'application/json';
  if (body.length > limits.compressedBytesMax) throw compressedTooLarge(body.length, limits.compressedBytesMax);
  const inflation = new BodyInflation(limits.decompressedBytesMax, push);
  try {
    const bytes = await plainBytes(push, isJson, inflation);
    const streams = await decodeOrRelease(
      bytes,
      isJson ? new PushJsonDecoder(bytes, isLegacy) : new PushDecoder(bytes),
      push.turns,
    );
    if (streams.length > 0) return { streams };
  } finally {
    inflation.leave();
  }
  throw emptyPush();
};

/** A push that names no stream. */
export const emptyPush = (): RefusedError =>
  new RefusedError({ code: 'EMPTY_PUSH', text: 'error at least one valid stream is required for ingestion' });

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
  return { streams: await decodeInTurns(new PushDecoder(bytes), turns) };
};

const plainBytes = async (push: PushBody, isJson: boolean, inflation: BodyInflation): Promise<Buffer> => {
  const bytes = await withoutEncoding(push, isJson, inflation);
  if (isJson) return bytes;
  try {
    return await inflation.unsnappy(bytes);
  } catch (error) {
    if (bytes !== push.body) releaseMemory(bytes);
    throw error;
  }
};

const withoutEncoding = (
  { contentEncoding, body }: PushBody,
  isJson: boolean,
  inflation: BodyInflation,
): Promise<Buffer> | Buffer => {
  switch (contentEncoding ?? '') {
    case '':
    case 'snappy':
      return body;
    case 'gzip':
      return inflation.gunzip(body);
    case 'deflate':
      // Corrupt input reaches Loki's JSON decoder as an empty body.
      return inflation.inflateRaw(body, isJson ? 'EOF' : 'flate: corrupt input');
    default:
      throw badRequest(`Content-Encoding ${JSON.stringify(contentEncoding)} not supported`);
  }
};

export const compressedTooLarge = (size: number, sizeMax: number): RefusedError =>
  new RefusedError({
    code: 'TOO_LARGE',
    text: `request body too large: message size too large than max (${size} vs ${sizeMax})`,
  });
