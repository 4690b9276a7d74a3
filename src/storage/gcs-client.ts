/**
 * Single requests to Cloud Storage's JSON API, without retries: the official client, but downloads, which it cannot end. Its download stream does not close the
 * connection when it is given up, and when one fails it destroys the agent that all requests of the process share (both seen in version 7.22). So bytes are
 * fetched over connections of our own, with the client's credentials.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type Bucket, IdempotencyStrategy, Storage } from '@google-cloud/storage';
import { EnvHttpProxyAgent, stream } from 'undici';
import { crc32c } from '../chunk/checksum.ts';
import { parseRfc3339 } from '../protocol/time-text.ts';
import { BodyCollector } from './body-collector.ts';
import { type ObjectPart, type ObjectRange, type ObjectState, rangeWithin } from './chunk-store.ts';
import { callErrorOf, statusError } from './gcs-error.ts';
import { CallError } from './retried-calls.ts';

export interface GcsClientOptions {
  readonly bucket: string;
  /** `https://host` or `http://host:port`; Cloud Storage itself unless it is said. */
  readonly endpoint?: string | undefined;
  /** Whether an `endpoint` gets credentials; Cloud Storage itself always does. Chosen: not in plain text. */
  readonly sendsCredentials?: boolean | undefined;
  /** Of one request, in ms. */
  readonly timeoutMs: number;
  /** Downloads at a time. */
  readonly connectionsMax: number;
}

/** One page of names. */
export interface GcsPage {
  readonly names: readonly string[];
  readonly nextPageToken: string | undefined;
}

/** An object as the bucket knows it. */
export interface GcsObjectState extends ObjectState {
  readonly crc32c: string | undefined;
}

interface MediaAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Chosen: chunks have 64 MiB at the most by configuration. */
const OBJECT_BYTES_MAX = 256 << 20;
/** Google's front ends keep idle connections for minutes; fewer handshakes than with undici's 4 s. */
const IDLE_CONNECTION_MS = 30_000;

export class GcsClient {
  /** Where the requests go. */
  readonly endpoint: string;
  readonly #bucket: Bucket;
  readonly #storage: Storage;
  readonly #sendsCredentials: boolean;
  readonly #downloads: EnvHttpProxyAgent;
  readonly #timeoutMs: number;

  constructor(options: GcsClientOptions) {
    const { bucket, endpoint, timeoutMs, connectionsMax } = options;
    const { sendsCredentials = endpoint === undefined || endpoint.startsWith('https:') } = options;
    this.#storage = new Storage({
      ...(endpoint !== undefined && { apiEndpoint: endpoint, useAuthWithCustomEndpoint: sendsCredentials }),
      timeout: timeoutMs,
      // RetriedCalls retries. RetryAlways all the same: with the default one request without a precondition changes the client's options for good.
      retryOptions: { autoRetry: false, idempotencyStrategy: IdempotencyStrategy.RetryAlways },
    });
    this.endpoint = this.#storage.apiEndpoint;
    // With STORAGE_EMULATOR_HOST the client asks below `/b`, without a scheme nothing at all.
    this.#storage.baseUrl = `${this.endpoint}/storage/v1`;
    this.#sendsCredentials = sendsCredentials;
    this.#bucket = this.#storage.bucket(bucket);
    this.#timeoutMs = timeoutMs;
    this.#downloads = new EnvHttpProxyAgent({ connections: connectionsMax, keepAliveTimeout: IDLE_CONNECTION_MS });
  }

  /** Undefined where none are sent. @throws CallError if there are none */
  async credentials(): Promise<Record<string, string> | undefined> {
    if (!this.#sendsCredentials) return undefined;
    try {
      return await this.#storage.authClient.getRequestHeaders(`${this.endpoint}/`);
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  /** The next request asks for a new token: the one that there is was revoked before its time. */
  async #forgetToken(): Promise<void> {
    try {
      const client = await this.#storage.authClient.getClient();
      client.setCredentials({ ...client.credentials, expiry_date: 1 });
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  /**
   * One request with everything in it (`resumable: false`); the service compares the checksum. The client's own CRC-32C is JavaScript and would cost more than
   * all the rest, so it gets ours.
   * @returns false if there is an object of this name already
   */
  async insert(name: string, bytes: Uint8Array, checksum: string): Promise<boolean> {
    const file = this.#bucket.file(name);
    try {
      await file.save(bytes as Buffer, {
        resumable: false,
        validation: false,
        contentType: 'application/octet-stream',
        metadata: { crc32c: checksum },
        preconditionOpts: { ifGenerationMatch: 0 },
      });
    } catch (error) {
      const failure = callErrorOf(error);
      if (failure.status === 412) return false;
      throw failure.status === 400 ? damagedOnTheWay(failure) : failure;
    }
    const stored = file.metadata.crc32c;
    if (stored !== undefined && stored !== checksum) {
      throw new CallError(`stored with CRC-32C ${stored} instead of ${checksum}`, true);
    }
    return true;
  }

  /**
   * Checked against the bucket's CRC-32C. Undefined if there is no such object, or no such bucket.
   * @param checksum as the caller knows it, where the bucket does not tell (emulators)
   */
  async download(
    name: string,
    checksum: string | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { status, headers, bytes } = await this.#media(name, '', {}, signal);
    if (status === 404) return undefined;
    if (status !== 200) throw statusError(status, Buffer.from(bytes).toString());
    const wanted = crc32cIn(headers['x-goog-hash']) ?? checksum;
    const found = checksumText(crc32c(bytes));
    if (wanted === undefined || wanted === found) return bytes;
    throw new CallError(`the object came damaged: CRC-32C ${found} instead of ${wanted}`, true);
  }

  /**
   * A part, which no checksum comes with. 'missing': no such object, or no such bucket; 'none': no byte of it is in the range, or its generation is another.
   * @param generation as a part that came before had it
   */
  async downloadPart(
    name: string,
    range: ObjectRange,
    generation: string | undefined,
    signal: AbortSignal,
  ): Promise<ObjectPart | 'missing' | 'none'> {
    if (generation !== undefined && !/^\d+$/.test(generation)) return 'none';
    const condition = generation === undefined ? '' : `&ifGenerationMatch=${generation}`;
    const { status, headers, bytes } = await this.#media(name, condition, { range: rangeHeader(range) }, signal);
    if (status === 404) return 'missing';
    if (status === 412 || status === 416) return 'none';
    if (status !== 200 && status !== 206) throw statusError(status, Buffer.from(bytes).toString());
    const version = headers['x-goog-generation']?.toString();
    // Of an emulator that does not say: parts of two objects could not be told apart.
    if (version === undefined) return 'none';
    return { ...partOf(status, headers['content-range'], bytes, range), version };
  }

  async #media(
    name: string,
    condition: string,
    more: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<MediaAnswer> {
    const object = `${this.#bucket.name}/o/${encodeURIComponent(name)}`;
    const url = `${this.endpoint}/storage/v1/b/${object}?alt=media${condition}`;
    const answer = await this.#get(url, more, signal);
    if (answer.status !== 401 || !this.#sendsCredentials) return answer;
    await this.#forgetToken();
    return await this.#get(url, more, signal);
  }

  async #get(url: string, more: Readonly<Record<string, string>>, signal: AbortSignal): Promise<MediaAnswer> {
    // gzip: an object stored as such comes as it is stored, and so fits its checksum.
    const asked = { ...(await this.credentials()), 'accept-encoding': 'gzip', 'cache-control': 'no-store', ...more };
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    let body = new BodyCollector(0, 0);
    try {
      await stream(
        url,
        {
          method: 'GET',
          dispatcher: this.#downloads,
          headers: asked,
          signal,
          headersTimeout: this.#timeoutMs,
          bodyTimeout: this.#timeoutMs,
        },
        (answer) => {
          status = answer.statusCode;
          headers = answer.headers as IncomingHttpHeaders;
          const size = headers['content-length'];
          body = new BodyCollector(size === undefined ? undefined : Number(size), OBJECT_BYTES_MAX);
          return body;
        },
      );
    } catch (error) {
      throw callErrorOf(error);
    }
    return { status, headers, bytes: body.bytes };
  }

  /** False if there is no such object, or no such bucket. */
  async delete(name: string): Promise<boolean> {
    try {
      await this.#bucket.file(name).delete();
      return true;
    } catch (error) {
      const failure = callErrorOf(error);
      if (failure.status === 404) return false;
      throw failure;
    }
  }

  /** Undefined if there is no such object, or no such bucket. */
  async state(name: string): Promise<GcsObjectState | undefined> {
    try {
      const [{ crc32c: checksum, size, timeCreated }] = await this.#bucket.file(name).getMetadata();
      const time = parseRfc3339(timeCreated ?? '');
      // An emulator that does not say when: as if it were new, so that nobody takes it for left over.
      const storedMs = time ? time.seconds * 1000 + Math.floor(time.nanos / 1e6) : Number.POSITIVE_INFINITY;
      return { crc32c: checksum, size: Number(size), storedMs };
    } catch (error) {
      const failure = callErrorOf(error);
      if (failure.status === 404) return undefined;
      throw failure;
    }
  }

  async page(prefix: string, pageToken: string | undefined, namesMax: number): Promise<GcsPage> {
    try {
      const [files, next] = await this.#bucket.getFiles({
        prefix,
        maxResults: namesMax,
        autoPaginate: false,
        fields: 'items/name,nextPageToken',
        ...(pageToken !== undefined && { pageToken }),
      });
      // The client gives null at the end, whatever its types say.
      return { names: files.map(({ name }) => name), nextPageToken: next?.pageToken };
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  /** Those of the permissions that the caller does not hold. */
  async missingPermissions(permissions: readonly string[]): Promise<readonly string[]> {
    try {
      const [held] = await this.#bucket.iam.testPermissions([...permissions]);
      return permissions.filter((permission) => held[permission] !== true);
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  async close(): Promise<void> {
    await this.#downloads.destroy();
  }
}

/** The name was checked before: only the checksum can be wrong. */
const damagedOnTheWay = (cause: CallError): CallError => new CallError(cause.message, true, cause.status, { cause });

/** As the API has it: big-endian, base64. */
export const checksumText = (checksum: number): string => {
  const text = Buffer.alloc(4);
  text.writeUInt32BE(checksum >>> 0);
  return text.toString('base64');
};

const rangeHeader = ({ start, end }: ObjectRange): string =>
  start < 0 ? `bytes=${start}` : `bytes=${start}-${end === undefined ? '' : end - 1}`;

/** @throws CallError if it is not what was asked for: worth another try */
const partOf = (
  status: number,
  contentRange: string | undefined,
  bytes: Uint8Array<ArrayBuffer>,
  range: ObjectRange,
): Omit<ObjectPart, 'version'> => {
  const told = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? '');
  const size = status === 200 ? bytes.length : Number(told?.[2]);
  const within = rangeWithin(range, size);
  if (status === 200 && within) return { bytes: bytes.slice(within.start, within.end), start: within.start, size };
  if (within && within.start === Number(told?.[1]) && within.end - within.start === bytes.length) {
    return { bytes, start: within.start, size };
  }
  throw new CallError(`another part came than was asked for: ${contentRange}, ${bytes.length} bytes`, true);
};

/** `crc32c=…,md5=…`, in one header or in two. */
const crc32cIn = (header: string | string[] | undefined): string | undefined =>
  /(?:^|,)\s*crc32c=([^,]+)/.exec(header?.toString() ?? '')?.[1];
