import { createHash } from 'node:crypto';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { GcsError, invalid, noSuchObject, preconditionFailed } from './gcs-error.ts';

/** What an upload says about its object; hashes are base64, the CRC-32C big-endian. */
export interface ObjectMetadata {
  readonly name?: string | undefined;
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly crc32c?: string | undefined;
  readonly md5Hash?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface StoredObject {
  readonly bucket: string;
  readonly name: string;
  readonly bytes: Buffer;
  readonly generation: string;
  readonly contentType: string;
  readonly contentEncoding: string | undefined;
  readonly crc32c: string;
  readonly md5Hash: string;
  readonly timeCreated: string;
  readonly metadata: Readonly<Record<string, string>> | undefined;
}

/** The conditions of a request, as its query has them. */
export interface Preconditions {
  readonly ifGenerationMatch?: string | undefined;
  readonly ifGenerationNotMatch?: string | undefined;
  readonly ifMetagenerationMatch?: string | undefined;
}

export interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly pageToken: string | undefined;
  readonly maxResults: number;
}

export interface ListPage {
  readonly items: readonly StoredObject[];
  readonly prefixes: readonly string[];
  readonly nextPageToken: string | undefined;
}

/** Objects are never updated in place here, so there is only one. */
const METAGENERATION = '1';
const NAME_BYTES_MAX = 1024;

/** The buckets and their objects, with the checks that the service makes. */
export class GcsObjects {
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #objectsMax: number;
  #generation = 1_700_000_000_000_000n;

  /** @param objectsMax of a bucket; the oldest is forgotten. For loads: the service has no such bound */
  constructor(objectsMax = Number.POSITIVE_INFINITY) {
    this.#objectsMax = objectsMax;
  }

  createBucket(name: string): void {
    if (!/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(name)) throw invalid(`Invalid bucket name: '${name}'`);
    if (this.#buckets.has(name)) {
      throw new GcsError(409, 'conflict', 'You already own this bucket. Please select another name.');
    }
    this.#buckets.set(name, new Map());
  }

  deleteBucket(name: string): void {
    if (this.bucket(name).size > 0) {
      throw new GcsError(409, 'conflict', 'The bucket you tried to delete is not empty.');
    }
    this.#buckets.delete(name);
  }

  bucket(name: string): Map<string, StoredObject> {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw new GcsError(404, 'notFound', 'The specified bucket does not exist.');
    return bucket;
  }

  /** Checks what can be checked before the bytes are there. */
  checkInsert(bucket: string, name: string, conditions: Preconditions): void {
    checkName(name);
    checkConditions(this.bucket(bucket).get(name), conditions);
  }

  insert(bucket: string, name: string, bytes: Buffer, said: ObjectMetadata, conditions: Preconditions): StoredObject {
    this.checkInsert(bucket, name, conditions);
    const [actualCrc32c, actualMd5] = [crc32cText(bytes), createHash('md5').update(bytes).digest('base64')];
    checkHash('CRC32C', said.crc32c, actualCrc32c);
    checkHash('MD5 hash', said.md5Hash, actualMd5);
    this.#generation += 1n;
    const stored: StoredObject = {
      bucket,
      name,
      bytes,
      generation: this.#generation.toString(),
      contentType: said.contentType ?? 'application/octet-stream',
      contentEncoding: said.contentEncoding,
      crc32c: actualCrc32c,
      md5Hash: actualMd5,
      timeCreated: new Date().toISOString(),
      metadata: said.metadata,
    };
    const objects = this.bucket(bucket);
    objects.set(name, stored);
    for (const oldest of objects.keys()) {
      if (objects.size <= this.#objectsMax) break;
      objects.delete(oldest);
    }
    return stored;
  }

  /** @throws GcsError 404, 412; 304 for a condition of the kind `NotMatch` */
  read(bucket: string, name: string, generation: string | undefined, conditions: Preconditions): StoredObject {
    const found = this.bucket(bucket).get(name);
    if (!found || (generation !== undefined && generation !== found.generation)) throw noSuchObject(bucket, name);
    if (conditions.ifGenerationNotMatch === found.generation) throw new GcsError(304, 'notModified', 'Not Modified');
    checkConditions(found, conditions);
    return found;
  }

  delete(bucket: string, name: string, generation: string | undefined, conditions: Preconditions): void {
    this.read(bucket, name, generation, conditions);
    this.bucket(bucket).delete(name);
  }

  /** In the order of the names' UTF-8 bytes; prefixes count as results. */
  list(bucket: string, { prefix, delimiter, pageToken, maxResults }: ListQuery): ListPage {
    const after = pageToken === undefined ? undefined : parsedToken(pageToken);
    const items: StoredObject[] = [];
    const prefixes = new Set<string>();
    let last = '';
    const all = [...this.bucket(bucket).values()].filter(({ name }) => name.startsWith(prefix));
    for (const stored of all.sort((a, b) => compareBytes(a.name, b.name))) {
      const end = delimiter === '' ? -1 : stored.name.indexOf(delimiter, prefix.length);
      const result = end < 0 ? stored.name : stored.name.slice(0, end + delimiter.length);
      if (after !== undefined && compareBytes(result, after) <= 0) continue;
      if (end >= 0 && prefixes.has(result)) continue;
      if (items.length + prefixes.size === maxResults) {
        return { items, prefixes: [...prefixes], nextPageToken: Buffer.from(`after:${last}`).toString('base64') };
      }
      if (end < 0) items.push(stored);
      else prefixes.add(result);
      last = result;
    }
    return { items, prefixes: [...prefixes], nextPageToken: undefined };
  }
}

/** The resource `storage#object`, numbers as text as the API has them. */
export const objectResource = (stored: StoredObject): Record<string, unknown> => ({
  kind: 'storage#object',
  id: `${stored.bucket}/${stored.name}/${stored.generation}`,
  name: stored.name,
  bucket: stored.bucket,
  generation: stored.generation,
  metageneration: METAGENERATION,
  contentType: stored.contentType,
  ...(stored.contentEncoding !== undefined && { contentEncoding: stored.contentEncoding }),
  storageClass: 'STANDARD',
  size: stored.bytes.length.toString(),
  md5Hash: stored.md5Hash,
  crc32c: stored.crc32c,
  etag: etagOf(stored),
  timeCreated: stored.timeCreated,
  updated: stored.timeCreated,
  ...(stored.metadata && { metadata: stored.metadata }),
});

export const etagOf = ({ generation }: StoredObject): string => Buffer.from(generation).toString('base64');

const crc32cText = (bytes: Buffer): string => {
  const text = Buffer.alloc(4);
  text.writeUInt32BE(crc32c(bytes));
  return text.toString('base64');
};

const checkHash = (what: string, provided: string | undefined, calculated: string): void => {
  if (provided === undefined || provided === calculated) return;
  throw invalid(`Provided ${what} "${provided}" doesn't match calculated ${what} "${calculated}".`);
};

const checkName = (name: string): void => {
  const size = Buffer.byteLength(name);
  const isAllowed =
    !/[\r\n]/.test(name) && name !== '.' && name !== '..' && !name.startsWith('.well-known/acme-challenge/');
  if (size === 0) throw new GcsError(400, 'required', 'Required parameter: name');
  if (size > NAME_BYTES_MAX) throw invalid('The specified object name is too long.');
  if (!isAllowed) throw invalid(`Invalid object name: ${JSON.stringify(name)}`);
};

const checkConditions = (found: StoredObject | undefined, conditions: Preconditions): void => {
  const { ifGenerationMatch, ifGenerationNotMatch, ifMetagenerationMatch } = conditions;
  for (const [key, value] of Object.entries(conditions)) {
    if (value !== undefined && !/^\d+$/.test(value)) throw invalid(`Invalid value for ${key}: ${value}`);
  }
  const generation = found?.generation ?? '0';
  const isMet =
    (ifGenerationMatch === undefined || ifGenerationMatch === generation) &&
    (ifGenerationNotMatch === undefined || ifGenerationNotMatch !== generation) &&
    (ifMetagenerationMatch === undefined || (found !== undefined && ifMetagenerationMatch === METAGENERATION));
  if (!isMet) throw preconditionFailed();
};

const parsedToken = (token: string): string => {
  const text = Buffer.from(token, 'base64').toString();
  if (!text.startsWith('after:')) throw invalid('Invalid value for pageToken');
  return text.slice('after:'.length);
};

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
