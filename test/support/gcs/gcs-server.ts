import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendMedia } from './gcs-download.ts';
import { faultError, GcsError, invalid } from './gcs-error.ts';
import { type GcsFault, GcsFaults, type GcsOperation } from './gcs-faults.ts';
import { selected } from './gcs-fields.ts';
import { GcsObjects, type ListPage, type ListQuery, objectResource, type Preconditions } from './gcs-objects.ts';
import { GcsUploads, type UploadAnswer } from './gcs-uploads.ts';

const BODY_BYTES_MAX = 64 << 20;
const LIST_RESULTS_MAX = 1000;

export interface GcsServerOptions {
  readonly buckets?: readonly string[];
  /** What the caller may do, as `testPermissions` tells; everything unless it is said. `unknown`: the server has no such call, as emulators do not. */
  readonly permissions?: readonly string[] | 'unknown';
  /** Requests without this bearer token are refused. */
  readonly token?: string;
  /** The oldest objects of a bucket go when there are more: for loads. */
  readonly objectsMax?: number;
}

/** One request as it came. */
interface Seen {
  readonly operation: GcsOperation;
  readonly method: string;
  /** Undecoded, with the query. */
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer;
  readonly query: URLSearchParams;
  readonly conditions: Preconditions;
  readonly fault: GcsFault;
}

/**
 * The part of Cloud Storage's JSON API that a store of objects needs, with the service's checks and with faults on demand. Both below `/storage/v1`, and at
 * the root, where the Node client looks with STORAGE_EMULATOR_HOST. Downloads also as `GET /bucket/object`, as in the XML API.
 */
export class GcsServer {
  readonly objects: GcsObjects;
  readonly faults = new GcsFaults();
  /** Since the start, or since a test emptied it; nothing under loads. */
  readonly seen: Seen[] = [];
  /** Most requests that were under way together. */
  inFlightMax = 0;
  readonly #uploads: GcsUploads;
  readonly #options: GcsServerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #server: http.Server;
  #inFlight = 0;

  private constructor(options: GcsServerOptions) {
    this.#options = options;
    this.objects = new GcsObjects(options.objectsMax);
    this.#uploads = new GcsUploads(this.objects);
    for (const bucket of options.buckets ?? ['chunks']) this.objects.createBucket(bucket);
    this.#server = http.createServer(
      { keepAliveTimeout: 60_000 },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(options: GcsServerOptions = {}, port = 0): Promise<GcsServer> {
    const server = new GcsServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(port, '127.0.0.1', resolve);
    });
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests that are neither answered nor ended with their connection. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** How many of the requests seen were of a kind. */
  count(operation: GcsOperation): number {
    return this.seen.filter((one) => one.operation === operation).length;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
    response.once('close', () => {
      this.#inFlight -= 1;
    });
    try {
      await this.#answer(request, response);
    } catch (error) {
      if (!response.headersSent) sendError(response, error, /[?&]alt=media/.test(request.url ?? ''));
      else response.destroy();
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://server');
    const route = routeOf(request.method ?? 'GET', url);
    const { method = 'GET', headers } = request;
    if (this.#options.objectsMax === undefined) {
      this.seen.push({ operation: route.operation, method, url: request.url ?? '', headers });
    }
    const fault = this.faults.take(route.operation);
    const body = await bodyOf(request);
    if (fault.delayMs !== undefined) await sleep(fault.delayMs);
    if (fault.hangs) return;
    if (fault.drop === 'before') {
      request.socket.destroy();
      return;
    }
    if (fault.status !== undefined) throw faultError(fault.status, fault.reason);
    const { token } = this.#options;
    if (token !== undefined && headers.authorization !== `Bearer ${token}`) throw faultError(401);
    const call = {
      request,
      response,
      body,
      query: url.searchParams,
      conditions: conditionsOf(url.searchParams),
      fault,
    };
    route.run(this, call);
  }

  upload({ request, response, body, query, conditions, fault }: Call, bucket: string): void {
    const upload = { bucket, query, headers: request.headers, body, conditions };
    const answer =
      request.method === 'POST'
        ? this.#uploads.post(upload)
        : request.method === 'PUT'
          ? this.#uploads.put(upload)
          : this.#uploads.delete(upload);
    if (fault.drop === 'after') request.socket.destroy();
    else this.#sendUpload(response, answer, bucket, query);
  }

  #sendUpload(response: ServerResponse, answer: UploadAnswer, bucket: string, query: URLSearchParams): void {
    switch (answer.kind) {
      case 'stored':
        sendJson(response, selected(objectResource(answer.stored), query.get('fields') ?? undefined));
        return;
      case 'session': {
        const location = `${this.url}/upload/storage/v1/b/${bucket}/o?uploadType=resumable&upload_id=${answer.id}`;
        response.writeHead(200, { Location: location, 'X-GUploader-UploadID': answer.id, 'Content-Length': 0 }).end();
        return;
      }
      case 'incomplete': {
        const range = answer.keptBytes > 0 ? { Range: `bytes=0-${answer.keptBytes - 1}` } : {};
        response.writeHead(308, { ...range, 'Content-Length': 0 }).end();
        return;
      }
      case 'cancelled':
        response.writeHead(499, { 'Content-Length': 0 }).end();
        return;
    }
  }

  object({ request, response, query, conditions, fault }: Call, bucket: string, name: string): void {
    const generation = query.get('generation') ?? undefined;
    if (request.method === 'DELETE') {
      this.objects.delete(bucket, name, generation, conditions);
      if (fault.drop === 'after') request.socket.destroy();
      else response.writeHead(204).end();
      return;
    }
    const stored = this.objects.read(bucket, name, generation, conditions);
    if (fault.drop === 'after') request.socket.destroy();
    else if (query.get('alt') === 'media') sendMedia(response, stored, request.headers.range, fault.body);
    else sendJson(response, selected(objectResource(stored), query.get('fields') ?? undefined));
  }

  list({ request, response, query, fault }: Call, bucket: string): void {
    const page = this.objects.list(bucket, listQueryOf(query));
    if (fault.drop === 'after') request.socket.destroy();
    else sendJson(response, selected(listResource(page), query.get('fields') ?? undefined));
  }

  permissions({ response, query }: Call, bucket: string): void {
    this.objects.bucket(bucket);
    const { permissions } = this.#options;
    if (permissions === 'unknown') throw new GcsError(404, 'notFound', 'Not Found');
    const asked = query.getAll('permissions');
    if (asked.length === 0) throw new GcsError(400, 'required', 'Required parameter: permissions');
    const held = asked.filter((permission) => !permissions || permissions.includes(permission));
    sendJson(response, {
      kind: 'storage#testIamPermissionsResponse',
      ...(held.length > 0 && { permissions: held }),
    });
  }

  bucket({ request, response, body }: Call, named: string | undefined): void {
    let name = named;
    if (name === undefined) {
      name = (JSON.parse(body.toString()) as { name: string }).name;
      this.objects.createBucket(name);
    } else if (request.method === 'DELETE') {
      this.objects.deleteBucket(name);
      response.writeHead(204).end();
      return;
    } else this.objects.bucket(name);
    sendJson(response, { kind: 'storage#bucket', id: name, name, storageClass: 'STANDARD', location: 'EU' });
  }
}

interface Route {
  readonly operation: GcsOperation;
  run(server: GcsServer, call: Call): void;
}

/** An object's name is one segment of the path: its slashes are encoded. */
const routeOf = (method: string, url: URL): Route => {
  const segments = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const isUpload = segments[0] === 'upload';
  if (isUpload || segments[0] === 'download') segments.shift();
  if (segments[0] === 'storage' && segments[1] === 'v1') segments.splice(0, 2);
  const [root, bucket, kind, ...rest] = segments;
  const wants = (...methods: string[]): void => {
    if (!methods.includes(method)) throw new GcsError(405, 'httpMethodNotAllowed', `Method not allowed: ${method}`);
  };
  if (root !== 'b') return xmlRouteOf(method, url);
  if (isUpload && bucket !== undefined && kind === 'o' && rest.length === 0) {
    wants('POST', 'PUT', 'DELETE');
    return { operation: 'upload', run: (server, call) => server.upload(call, bucket) };
  }
  if (kind === undefined) {
    wants(...(bucket === undefined ? ['POST'] : ['GET', 'DELETE']));
    return { operation: 'bucket', run: (server, call) => server.bucket(call, bucket) };
  }
  if (bucket !== undefined && kind === 'iam' && rest[0] === 'testPermissions') {
    wants('GET');
    return { operation: 'permissions', run: (server, call) => server.permissions(call, bucket) };
  }
  if (bucket !== undefined && kind === 'o' && rest.length === 0) {
    wants('GET');
    return { operation: 'list', run: (server, call) => server.list(call, bucket) };
  }
  const [name] = rest;
  if (bucket === undefined || kind !== 'o' || name === undefined || rest.length > 1) throw notFound();
  wants('GET', 'DELETE');
  const read = url.searchParams.get('alt') === 'media' ? 'download' : 'metadata';
  return {
    operation: method === 'DELETE' ? 'delete' : read,
    run: (server, call) => server.object(call, bucket, name),
  };
};

/** `GET /bucket/object`: there a slash of the object's name may stand as it is. */
const xmlRouteOf = (method: string, url: URL): Route => {
  const [, bucket, ...rest] = url.pathname.split('/').map(decodeURIComponent);
  if (method !== 'GET' || !bucket || rest.length === 0) throw notFound();
  url.searchParams.set('alt', 'media');
  return { operation: 'download', run: (server, call) => server.object(call, bucket, rest.join('/')) };
};

const notFound = (): GcsError => new GcsError(404, 'notFound', 'Not Found');

const conditionsOf = (query: URLSearchParams): Preconditions => ({
  ifGenerationMatch: query.get('ifGenerationMatch') ?? undefined,
  ifGenerationNotMatch: query.get('ifGenerationNotMatch') ?? undefined,
  ifMetagenerationMatch: query.get('ifMetagenerationMatch') ?? undefined,
});

const listQueryOf = (query: URLSearchParams): ListQuery => {
  const wanted = query.get('maxResults') ?? LIST_RESULTS_MAX.toString();
  if (!/^\d+$/.test(wanted) || Number(wanted) === 0) throw invalid(`Invalid value for maxResults: ${wanted}`);
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    pageToken: query.get('pageToken') ?? undefined,
    maxResults: Math.min(LIST_RESULTS_MAX, Number(wanted)),
  };
};

/** What is empty is left out, as the API does. */
const listResource = ({ items, prefixes, nextPageToken }: ListPage): Record<string, unknown> => ({
  kind: 'storage#objects',
  ...(nextPageToken !== undefined && { nextPageToken }),
  ...(prefixes.length > 0 && { prefixes }),
  ...(items.length > 0 && { items: items.map(objectResource) }),
});

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > BODY_BYTES_MAX) throw new GcsError(413, 'uploadTooLarge', 'Request entity is too large');
    parts.push(part);
  }
  return Buffer.concat(parts);
};

const sendJson = (response: ServerResponse, resource: unknown): void => {
  const body = JSON.stringify(resource);
  const headers = { 'Content-Type': 'application/json; charset=UTF-8', 'Content-Length': Buffer.byteLength(body) };
  response.writeHead(200, headers).end(body);
};

/** As JSON, but plain text to who wanted an object's bytes. */
const sendError = (response: ServerResponse, error: unknown, isMedia: boolean): void => {
  const known = error instanceof GcsError ? error : new GcsError(500, 'internalError', String(error));
  const body = known.status === 304 ? '' : isMedia ? known.message : known.json();
  response.writeHead(known.status, {
    ...known.headers,
    'Content-Type': isMedia ? 'text/html; charset=UTF-8' : 'application/json; charset=UTF-8',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
};
