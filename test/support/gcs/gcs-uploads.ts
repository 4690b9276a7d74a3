import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { GcsError, invalid } from './gcs-error.ts';
import type { GcsObjects, ObjectMetadata, Preconditions, StoredObject } from './gcs-objects.ts';

/** Parts of a resumable upload but the last are at least this, and kept in multiples of it. */
export const RESUMABLE_UNIT = 256 << 10;

export interface UploadRequest {
  readonly bucket: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly conditions: Preconditions;
}

/** An upload that goes on, or the object it made. */
export type UploadAnswer =
  | { readonly kind: 'stored'; readonly stored: StoredObject }
  | { readonly kind: 'session'; readonly id: string }
  | { readonly kind: 'incomplete'; readonly keptBytes: number }
  | { readonly kind: 'cancelled' };

interface Session {
  readonly bucket: string;
  readonly name: string;
  readonly said: ObjectMetadata;
  readonly conditions: Preconditions;
  bytes: Buffer;
  stored: StoredObject | undefined;
}

/** The three kinds of upload: bytes alone, metadata and bytes in one request, a session. */
export class GcsUploads {
  readonly #objects: GcsObjects;
  readonly #sessions = new Map<string, Session>();

  constructor(objects: GcsObjects) {
    this.#objects = objects;
  }

  post(request: UploadRequest): UploadAnswer {
    const { bucket, query, headers, body, conditions } = request;
    this.#objects.bucket(bucket);
    switch (query.get('uploadType')) {
      case 'media': {
        const said = { contentType: headers['content-type'], ...hashesIn(headers['x-goog-hash']) };
        return this.#stored(bucket, nameIn(query, said), body, said, conditions);
      }
      case 'multipart': {
        const { said, bytes } = multipartOf(headers['content-type'], body);
        return this.#stored(bucket, nameIn(query, said), bytes, said, conditions);
      }
      case 'resumable':
        return this.#begin(request);
      default:
        throw invalid(`Invalid value for uploadType: ${query.get('uploadType')}`);
    }
  }

  /** The next part of a session, or the question how much of it is there. */
  put({ query, headers, body }: UploadRequest): UploadAnswer {
    const session = this.#session(query);
    if (session.stored) return { kind: 'stored', stored: session.stored };
    const range = contentRange(headers['content-range'], body.length);
    const { start, total } = range;
    if (start !== undefined) this.#append(session, start, body, total === undefined);
    if (total === undefined || session.bytes.length < total) {
      return { kind: 'incomplete', keptBytes: session.bytes.length };
    }
    if (session.bytes.length > total) throw invalid(`Upload is larger than ${total} bytes`);
    const answer = this.#stored(session.bucket, session.name, session.bytes, session.said, session.conditions);
    session.stored = answer.stored;
    session.bytes = Buffer.alloc(0);
    return answer;
  }

  delete({ query }: UploadRequest): UploadAnswer {
    this.#session(query);
    this.#sessions.delete(query.get('upload_id') ?? '');
    return { kind: 'cancelled' };
  }

  #begin({ bucket, query, headers, body, conditions }: UploadRequest): UploadAnswer {
    const contentType = headers['x-upload-content-type'];
    const said = {
      ...(typeof contentType === 'string' && { contentType }),
      ...(body.length > 0 && metadataOf(body.toString())),
    };
    const name = nameIn(query, said);
    this.#objects.checkInsert(bucket, name, conditions);
    const id = randomUUID();
    this.#sessions.set(id, { bucket, name, said, conditions, bytes: Buffer.alloc(0), stored: undefined });
    return { kind: 'session', id };
  }

  #append(session: Session, start: number, body: Buffer, isMoreToCome: boolean): void {
    const kept = session.bytes.length;
    if (start > kept) throw invalid(`Upload goes on at ${start}, but only ${kept} bytes are there`);
    const bytes = Buffer.concat([session.bytes, body.subarray(kept - start)]);
    if (isMoreToCome && body.length < RESUMABLE_UNIT) {
      throw invalid(
        `Invalid request. The number of bytes uploaded is required to be equal or greater than ${RESUMABLE_UNIT}, except for the final request.`,
      );
    }
    session.bytes = isMoreToCome ? bytes.subarray(0, bytes.length - (bytes.length % RESUMABLE_UNIT)) : bytes;
  }

  #session(query: URLSearchParams): Session {
    const session = this.#sessions.get(query.get('upload_id') ?? '');
    if (!session) throw new GcsError(404, 'notFound', 'No such upload session');
    return session;
  }

  #stored(bucket: string, name: string, bytes: Buffer, said: ObjectMetadata, conditions: Preconditions) {
    return { kind: 'stored', stored: this.#objects.insert(bucket, name, bytes, said, conditions) } as const;
  }
}

/** The name in the query goes before that in the metadata. */
const nameIn = (query: URLSearchParams, said: ObjectMetadata): string => query.get('name') ?? said.name ?? '';

/** `crc32c=…,md5=…` */
const hashesIn = (header: string | string[] | undefined): ObjectMetadata => {
  const hashes = new Map(
    (header ?? '')
      .toString()
      .split(',')
      .map((hash) => {
        const at = hash.indexOf('=');
        return [hash.slice(0, at).trim(), hash.slice(at + 1).trim()] as const;
      }),
  );
  return { crc32c: hashes.get('crc32c'), md5Hash: hashes.get('md5') };
};

const metadataOf = (text: string): ObjectMetadata => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw parseError(error);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw invalid('Invalid metadata');
  return parsed;
};

const parseError = (cause: unknown): GcsError =>
  Object.assign(new GcsError(400, 'parseError', 'Parse Error'), { cause });

/** The two parts of `multipart/related`: the metadata as JSON, then the bytes (RFC 2387). */
const multipartOf = (contentType: string | undefined, body: Buffer): { said: ObjectMetadata; bytes: Buffer } => {
  const boundary = /^multipart\/related\s*;.*\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  const malformed = (why: string): GcsError => new GcsError(400, 'badContent', `Malformed multipart body: ${why}.`);
  if (!boundary) throw malformed('no boundary');
  const delimiter = `--${boundary[1] ?? boundary[2]}`;
  const parts: { head: string; content: Buffer }[] = [];
  if (!body.subarray(0, delimiter.length).equals(Buffer.from(delimiter))) throw malformed('no first boundary');
  let at = delimiter.length;
  while (body.subarray(at, at + 2).toString() !== '--') {
    const end = body.indexOf(`\r\n${delimiter}`, at);
    const headEnd = body.indexOf('\r\n\r\n', at);
    if (end < 0 || headEnd < 0) throw malformed('no last boundary');
    parts.push({
      head: body.toString('latin1', at, headEnd),
      content: body.subarray(headEnd + 4, Math.max(end, headEnd + 4)),
    });
    at = end + 2 + delimiter.length;
  }
  const [first, second] = parts;
  if (!first || !second || parts.length !== 2) throw malformed(`${parts.length} parts`);
  if (!/content-type:\s*application\/json/i.test(first.head)) throw malformed('the first part is no JSON');
  const said = metadataOf(first.content.toString());
  const contentType2 = /content-type:\s*([^\r\n]+)/i.exec(second.head)?.[1];
  // A copy: the request's buffer has more than the object.
  return { said: { contentType: contentType2, ...said }, bytes: Buffer.from(second.content) };
};

/** `bytes 0-99/100`, `bytes 0-99/*`, or `bytes *` and a slash and the total to ask; without it the body is all there is. */
const contentRange = (
  header: string | undefined,
  bodySize: number,
): { start: number | undefined; total: number | undefined } => {
  if (header === undefined) return { start: 0, total: bodySize };
  // The Node client's one and only part: whatever comes is all there is.
  const open = /^bytes (\d+)-\*\/\*$/.exec(header);
  if (open) return { start: Number(open[1]), total: Number(open[1]) + bodySize };
  const match = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(header);
  if (!match) throw invalid(`Invalid Content-Range: ${header}`);
  const start = match[1] === undefined ? undefined : Number(match[1]);
  if (start !== undefined && Number(match[2]) - start + 1 !== bodySize) {
    throw invalid(`Content-Range ${header} does not match the ${bodySize} bytes sent`);
  }
  return { start, total: match[3] === '*' ? undefined : Number(match[3]) };
};
