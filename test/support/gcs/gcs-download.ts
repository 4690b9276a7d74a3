import type { ServerResponse } from 'node:http';
import { GcsError } from './gcs-error.ts';
import type { GcsFault } from './gcs-faults.ts';
import { etagOf, type StoredObject } from './gcs-objects.ts';

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Sends an object or a range of it; the hashes in the header are those of the whole object in both cases. */
export const sendMedia = (
  response: ServerResponse,
  stored: StoredObject,
  rangeHeader: string | undefined,
  fault: GcsFault['body'],
): void => {
  const { bytes } = stored;
  const range = fault === 'whole' ? undefined : rangeOf(rangeHeader, bytes.length);
  const { start, end } = range ?? { start: 0, end: bytes.length };
  response.writeHead(range ? 206 : 200, {
    'Content-Type': stored.contentType,
    ...(stored.contentEncoding !== undefined && { 'Content-Encoding': stored.contentEncoding }),
    'Content-Length': end - start,
    ...(range && { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}` }),
    'Accept-Ranges': 'bytes',
    ETag: etagOf(stored),
    'x-goog-generation': stored.generation,
    'x-goog-metageneration': '1',
    ...(fault !== 'damaged-untold' && { 'x-goog-hash': `crc32c=${stored.crc32c},md5=${stored.md5Hash}` }),
    'x-goog-stored-content-encoding': stored.contentEncoding ?? 'identity',
    'x-goog-stored-content-length': bytes.length,
    'x-goog-storage-class': 'STANDARD',
  });
  const part = bytes.subarray(start, end);
  if (fault === 'trickled') trickle(response, part);
  else if (fault === 'cut' || fault === 'stalled') {
    response.write(part.subarray(0, part.length >> 1), () => {
      if (fault === 'cut') response.destroy();
    });
  } else response.end(fault?.startsWith('damaged') ? damaged(part) : part);
};

const TRICKLE_MS = 20;

const trickle = (response: ServerResponse, bytes: Buffer): void => {
  let sent = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(sent, ++sent));
    if (sent >= bytes.length) response.end();
  }, TRICKLE_MS);
  response.once('close', () => clearInterval(timer));
};

const damaged = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  const middle = copy.length >> 1;
  if (copy.length > 0) copy.writeUInt8(copy.readUInt8(middle) ^ 1, middle);
  return copy;
};

/** undefined = all of it: without a header, and with one that is no range of bytes (RFC 9110). @throws GcsError 416 */
const rangeOf = (header: string | undefined, size: number): Range | undefined => {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  if (start < end) return { start, end };
  throw new GcsError(416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable', {
    'Content-Range': `bytes */${size}`,
  });
};
