/**
 * The three calls of Bigtable that ringlog makes for every chunk and query, over a plain gRPC client: a quarter of the CPU of the official one's
 * (docs/benchmarks.md, Bigtable). The messages are those of the official package.
 */
// The package's index declares them, and exports undefined.
import protos, { type google } from '@google-cloud/bigtable/build/protos/protos.js';
import { type CallOptions, type ChannelCredentials, Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../protocol/clock.ts';
import { decodeOutcomes, encodeMutateRows, type RowMutations } from './bigtable-mutate-message.ts';
import { BigtableError, bigtableErrorOf, withinMs } from './bigtable-status.ts';
import { MessageQueue } from './message-queue.ts';

const { v2 } = protos.google.bigtable;

export type ReadRequest = Omit<google.bigtable.v2.IReadRowsRequest, 'tableName' | 'appProfileId'>;
export type ConditionalMutation = Omit<google.bigtable.v2.ICheckAndMutateRowRequest, 'tableName' | 'appProfileId'>;

export interface BigtableAddress {
  /** `host:port`. */
  readonly endpoint: string;
  readonly credentials: ChannelCredentials;
  /** `projects/p/instances/i`. */
  readonly instanceName: string;
  /** Of the instance; empty: its default. */
  readonly appProfile: string;
}

/** The server's way back is found within 0.5 s; gRPC's own back-off goes up to 2 minutes. */
export const CHANNEL_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // The emulator sends a row as one message, whatever its size.
  'grpc.max_receive_message_length': 64 << 20,
  // Measured: with 64 KiB, gRPC's own, reading takes a third more CPU; what has come is taken apart in a few turns of the event loop.
  'grpc-node.flow_control_window': 256 << 10,
} as const;

const OWN_CONNECTION_OPTIONS = {
  ...CHANNEL_OPTIONS,
  // Otherwise clients of one address share a connection.
  'grpc.use_local_subchannel_pool': 1,
};

/** Chosen: a connection carries up to 100 calls and its own flow control; a query has four under way. */
const READ_CONNECTIONS = 2;

export class BigtableRpc {
  /** Of flushes: a large query holds up none of them. */
  readonly #writes: Client;
  readonly #reads: readonly Client[];
  #nextRead = 0;
  readonly #address: BigtableAddress;
  readonly #clock: Clock;
  readonly #metadata = new Map<string, Metadata>();

  constructor(address: BigtableAddress, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
    const { endpoint, credentials } = address;
    const connected = (): Client => new Client(endpoint, credentials, OWN_CONNECTION_OPTIONS);
    this.#writes = connected();
    this.#reads = Array.from({ length: READ_CONNECTIONS }, connected);
  }

  tableName(table: string): string {
    return `${this.#address.instanceName}/tables/${table}`;
  }

  /**
   * @returns for each entry by its place what became of it: undefined if it is durable
   * @throws BigtableError if none of them has an answer
   */
  async mutateRows(
    table: string,
    entries: readonly RowMutations[],
    timeoutMs: number,
  ): Promise<readonly (BigtableError | undefined)[]> {
    const { tableName, appProfileId } = this.#scope(table);
    const request = encodeMutateRows(tableName, appProfileId, entries);
    const outcomes = new Map<number, BigtableError | undefined>();
    let failure: BigtableError | undefined;
    try {
      const deadline = { deadline: this.#clock.nowMs() + timeoutMs };
      for await (const messages of this.#stream(this.#writes, 'MutateRows', request, table, timeoutMs, deadline)) {
        for (const message of messages) decodeOutcomes(message, outcomes);
      }
    } catch (error) {
      failure = bigtableErrorOf(error);
      if (outcomes.size === 0) throw failure;
    }
    const silent = failure ?? new BigtableError(UNKNOWN, 'no answer for a row');
    return entries.map((_, index) => (outcomes.has(index) ? outcomes.get(index) : silent));
  }

  /** @returns true if the predicate held @throws BigtableError; it may have been done all the same */
  async checkAndMutateRow(table: string, mutation: ConditionalMutation, timeoutMs: number): Promise<boolean> {
    const request = v2.CheckAndMutateRowRequest.encode({ ...this.#scope(table), ...mutation }).finish() as Buffer;
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      this.#writes.makeUnaryRequest(
        path('CheckAndMutateRow'),
        asTheyAre,
        asTheyAre,
        request,
        this.#metadataOf(table),
        { deadline: this.#clock.nowMs() + timeoutMs },
        (error: ServiceError | null, answer?: Buffer) => {
          if (error || !answer) reject(bigtableErrorOf(error ?? new Error('no answer')));
          else resolve(answer);
        },
      );
    });
    return v2.CheckAndMutateRowResponse.decode(bytes).predicateMatched;
  }

  /**
   * Messages of ReadRows as bytes, as many at a time as have come.
   * @param timeoutMs to wait for the next
   * @param isOfFlush on the connection of writes: a commit looks at what was committed before
   * @throws BigtableError
   */
  readRows(
    table: string,
    request: ReadRequest,
    timeoutMs: number,
    isOfFlush = false,
  ): AsyncIterable<readonly Buffer[]> {
    const bytes = v2.ReadRowsRequest.encode({ ...this.#scope(table), ...request }).finish() as Buffer;
    this.#nextRead = (this.#nextRead + 1) % READ_CONNECTIONS;
    const client = isOfFlush ? this.#writes : this.#reads[this.#nextRead];
    return this.#stream(client ?? this.#writes, 'ReadRows', bytes, table, timeoutMs);
  }

  close(): void {
    for (const client of [this.#writes, ...this.#reads]) client.close();
  }

  async *#stream(
    client: Client,
    method: string,
    request: Buffer,
    table: string,
    timeoutMs: number,
    options: CallOptions = {},
  ): AsyncIterable<readonly Buffer[]> {
    const call = client.makeServerStreamRequest(
      path(method),
      asTheyAre,
      asTheyAre,
      request,
      this.#metadataOf(table),
      options,
    );
    const messages = new MessageQueue(call);
    try {
      for (;;) {
        const next = messages.take() ?? (await withinMs(this.#clock, timeoutMs, messages.next()));
        if (next.length === 0) return;
        yield next;
      }
    } catch (error) {
      throw bigtableErrorOf(error);
    } finally {
      call.cancel();
    }
  }

  #scope(table: string): { tableName: string; appProfileId: string } {
    return { tableName: this.tableName(table), appProfileId: this.#address.appProfile };
  }

  /** Bigtable routes calls by these headers. */
  #metadataOf(table: string): Metadata {
    const known = this.#metadata.get(table);
    if (known) return known;
    const { tableName, appProfileId } = this.#scope(table);
    const metadata = new Metadata();
    const routing = `table_name=${encodeURIComponent(tableName)}&app_profile_id=${encodeURIComponent(appProfileId)}`;
    metadata.set('x-goog-request-params', routing);
    metadata.set('google-cloud-resource-prefix', tableName);
    if (this.#metadata.size >= METADATA_MAX) this.#metadata.clear();
    this.#metadata.set(table, metadata);
    return metadata;
  }
}

const UNKNOWN = 2;

/** Bigtable's limit of tables in an instance. */
const METADATA_MAX = 1_000;

const path = (method: string): string => `/google.bigtable.v2.Bigtable/${method}`;

const asTheyAre = (bytes: Buffer): Buffer => bytes;
