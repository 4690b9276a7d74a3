/** Stands between a Bigtable store and the emulator, passes calls on as they are, and does to some what a test wants. */
import protos from '@google-cloud/bigtable/build/protos/protos.js';
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';

const { v2 } = protos.google.bigtable;

export type DataMethod = 'MutateRows' | 'ReadRows' | 'CheckAndMutateRow';

export interface ProxiedCall {
  readonly method: DataMethod;
  /** Without the names of project and instance. */
  readonly table: string;
  /** Of MutateRows: how many rows. */
  readonly rowCount: number;
}

export type Fault =
  /** Not passed on. */
  | { readonly kind: 'refuse'; readonly code: status }
  /** Done, but the caller does not hear of it. */
  | { readonly kind: 'lose-answer' }
  /** ReadRows: all rows come, and then an error in place of the end. */
  | { readonly kind: 'lose-end' }
  /** Neither passed on nor answered. */
  | { readonly kind: 'hang' }
  /** MutateRows: these rows are not written. */
  | { readonly kind: 'fail-rows'; readonly rows: readonly number[]; readonly code: status }
  /** Passed on once this resolves. */
  | { readonly kind: 'delay'; readonly until: Promise<void> };

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type StreamCall = ServerWritableStream<Buffer, Buffer>;

const DATA = '/google.bigtable.v2.Bigtable/';
const ADMIN = '/google.bigtable.admin.v2.BigtableTableAdmin/';

const asItIs = (bytes: Buffer): Buffer => bytes;

const methodOf = (path: string, isStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: false,
  responseStream: isStream,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
});

const errorOf = (code: status): Partial<ServiceError> => ({ code, details: 'a fault of the test' });

const lastPart = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

export class BigtableProxy {
  /** Asked before each data call; undefined passes it on. */
  fault: (call: ProxiedCall) => Fault | undefined = () => undefined;
  readonly calls: ProxiedCall[] = [];
  readonly #client: Client;
  readonly #server = new Server();
  #port = 0;

  private constructor(emulatorHost: string) {
    this.#client = new Client(emulatorHost, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
    this.#server.addService(
      {
        MutateRows: methodOf(`${DATA}MutateRows`, true),
        ReadRows: methodOf(`${DATA}ReadRows`, true),
        CheckAndMutateRow: methodOf(`${DATA}CheckAndMutateRow`, false),
        ...Object.fromEntries(
          ['ListTables', 'CreateTable', 'DeleteTable', 'GetTable'].map((name) => [name, methodOf(ADMIN + name, false)]),
        ),
      },
      {
        MutateRows: (call: StreamCall) => this.#mutateRows(call),
        ReadRows: (call: StreamCall) => {
          const { tableName } = v2.ReadRowsRequest.decode(call.request);
          this.#pass({ method: 'ReadRows', table: lastPart(tableName), rowCount: 0 }, call);
        },
        CheckAndMutateRow: (call: UnaryCall, done: sendUnaryData<Buffer>) => this.#checkAndMutateRow(call, done),
        ...Object.fromEntries(
          ['ListTables', 'CreateTable', 'DeleteTable', 'GetTable'].map((name) => [
            name,
            (call: UnaryCall, done: sendUnaryData<Buffer>) => this.#unary(ADMIN + name, call, done),
          ]),
        ),
      },
    );
  }

  static async start(emulatorHost: string): Promise<BigtableProxy> {
    const proxy = new BigtableProxy(emulatorHost);
    proxy.#port = await new Promise<number>((resolve, reject) => {
      proxy.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  stop(): void {
    this.#server.forceShutdown();
    this.#client.close();
  }

  #faultOf(call: ProxiedCall): Fault | undefined {
    this.calls.push(call);
    return this.fault(call);
  }

  #mutateRows(call: StreamCall): void {
    const request = v2.MutateRowsRequest.decode(call.request);
    const about: ProxiedCall = {
      method: 'MutateRows',
      table: lastPart(request.tableName),
      rowCount: request.entries.length,
    };
    const fault = this.#faultOf(about);
    if (fault?.kind !== 'fail-rows') {
      this.#passOn(fault, about, call);
      return;
    }
    const failing = new Set(fault.rows);
    const kept = request.entries.map((_, index) => index).filter((index) => !failing.has(index));
    const entries = kept.map((index) => request.entries[index]!);
    const failures = [...failing].map((index) => ({
      index,
      status: { code: fault.code, message: 'a fault of the test' },
    }));
    const answer = (passed: readonly number[]): void => {
      const done = passed.map((index) => ({ index, status: { code: 0 } }));
      call.write(Buffer.from(v2.MutateRowsResponse.encode({ entries: [...done, ...failures] }).finish()));
      call.end();
    };
    if (entries.length === 0) answer([]);
    else {
      const bytes = Buffer.from(v2.MutateRowsRequest.encode({ ...request, entries }).finish());
      const upstream = this.#client.makeServerStreamRequest(`${DATA}MutateRows`, asItIs, asItIs, bytes);
      upstream
        .on('data', () => undefined)
        .on('error', (error) => call.emit('error', error))
        .on('end', () => answer(kept));
    }
  }

  #pass(about: ProxiedCall, call: StreamCall): void {
    this.#passOn(this.#faultOf(about), about, call);
  }

  #passOn(fault: Fault | undefined, { method }: ProxiedCall, call: StreamCall): void {
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'refuse') {
      call.emit('error', errorOf(fault.code));
      return;
    }
    const pass = (): void => {
      const upstream = this.#client.makeServerStreamRequest(DATA + method, asItIs, asItIs, call.request);
      call.on('cancelled', () => upstream.cancel());
      upstream.on('data', (bytes: Buffer) => fault?.kind !== 'lose-answer' && call.write(bytes));
      upstream.on('error', (error: ServiceError) => call.emit('error', { code: error.code, details: error.details }));
      upstream.on('end', () =>
        fault?.kind === 'lose-answer' || fault?.kind === 'lose-end'
          ? call.emit('error', errorOf(status.UNAVAILABLE))
          : call.end(),
      );
    };
    if (fault?.kind === 'delay') void fault.until.then(pass);
    else pass();
  }

  #checkAndMutateRow(call: UnaryCall, done: sendUnaryData<Buffer>): void {
    const { tableName } = v2.CheckAndMutateRowRequest.decode(call.request);
    const fault = this.#faultOf({ method: 'CheckAndMutateRow', table: lastPart(tableName), rowCount: 1 });
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'refuse') {
      done(errorOf(fault.code));
      return;
    }
    const pass = (): void =>
      this.#unary(`${DATA}CheckAndMutateRow`, call, (error, answer) => {
        if (fault?.kind === 'lose-answer') done(errorOf(status.UNAVAILABLE));
        else done(error, answer);
      });
    if (fault?.kind === 'delay') void fault.until.then(pass);
    else pass();
  }

  #unary(path: string, call: UnaryCall, done: sendUnaryData<Buffer>): void {
    this.#client.makeUnaryRequest(path, asItIs, asItIs, call.request, (error: ServiceError | null, answer?: Buffer) => {
      if (error || !answer) done({ code: error?.code ?? status.UNKNOWN, details: error?.details ?? '' });
      else done(null, answer);
    });
  }
}
