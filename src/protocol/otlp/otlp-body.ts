import { decodeInTurns, decodeOrRelease } from '../decode-in-turns.ts';
import { BodyInflation, decompressedTooLarge } from '../inflate-body.ts';
import { compressedTooLarge, type DecodedPushBody, emptyPush, type PushBody } from '../push-body.ts';
import { badRequest } from '../wire.ts';
import { OtlpDecoder } from './otlp-decoder.ts';
import { OtlpJsonDecoder } from './otlp-json.ts';
import type { OtlpRules } from './otlp-rules.ts';

/** How a tenant's exports are read. */
export interface OtlpMapping {
  readonly rules: OtlpRules;
  /** The time of records that have none. */
  readonly nowMs: number;
}

/**
 * Decodes an export of logs over HTTP (the API specification, 2.1): Content-Encoding, then protobuf or JSON.
 * @throws RefusedError BAD_REQUEST, TOO_LARGE, EMPTY_PUSH (no records at all) with Loki's texts, OVERLOADED; nothing of the push, nor its
 *   body, is usable then
 */
export const decodeOtlpBody = async (
  push: Omit<PushBody, 'isLegacy'>,
  mapping: OtlpMapping,
): Promise<DecodedPushBody> => {
  const { body, limits, contentType = '', memory } = push;
  // Not a media type with parameters: that is what Loki takes.
  const isJson = contentType === 'application/json';
  if (!isJson && contentType !== 'application/x-protobuf') {
    throw badRequest(`content type: ${contentType} is not supported`);
  }
  if (body.length > limits.compressedBytesMax) throw compressedTooLarge(body.length, limits.compressedBytesMax);
  const inflation = new BodyInflation(limits.decompressedBytesMax, push);
  try {
    const bytes = await withoutEncoding(push, inflation);
    const options = { ...mapping, memory, bytesMax: limits.decompressedBytesMax };
    const decoder = isJson ? new OtlpJsonDecoder(bytes, options) : new OtlpDecoder(bytes, options);
    const streams = await decodeOrRelease(bytes, decoder, push.turns);
    if (streams.length > 0) return { streams, bytes: decoder.pushBytes };
  } finally {
    inflation.leave();
  }
  throw emptyPush();
};

/**
 * Decodes a bare ExportLogsServiceRequest, as gRPC carries it. Takes the bytes over. No records at all are fine here, as OTLP says.
 * @throws RefusedError BAD_REQUEST, TOO_LARGE
 */
export const decodeOtlpMessage = async (
  { body, limits, turns, memory }: Pick<PushBody, 'body' | 'limits' | 'turns' | 'memory'>,
  mapping: OtlpMapping,
): Promise<DecodedPushBody> => {
  const { decompressedBytesMax: bytesMax } = limits;
  if (body.length > bytesMax) throw decompressedTooLarge(body.length, bytesMax);
  const decoder = new OtlpDecoder(body, { ...mapping, memory, bytesMax });
  return { streams: await decodeInTurns(decoder, turns), bytes: decoder.pushBytes };
};

const withoutEncoding = (
  { contentEncoding = '', body }: PushBody,
  inflation: BodyInflation,
): Promise<Buffer> | Buffer => {
  switch (contentEncoding) {
    case '':
      return body;
    case 'gzip':
      return inflation.gunzip(body);
    case 'zstd':
      return inflation.unzstd(body);
    case 'lz4':
      return inflation.unlz4(body);
    default:
      throw badRequest(`unsupported content encoding ${contentEncoding}: only gzip, lz4 and zstd are supported`);
  }
};
