import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import snappy from 'snappy';
import { request } from 'undici';
import { type ConfigInput, loadConfig } from '../../../src/config.ts';
import { encodePushRequest, type PushedEntry } from '../../../src/protocol/logproto.ts';
import { type RunningServer, startServer } from '../../../src/serve.ts';
import { PLAIN_LIMITS } from '../../support/plain-limits.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A whole node on free ports of loopback, with a data folder of its own. */
export class TestServer {
  readonly dataDir: string;
  readonly #flags: ConfigInput;
  #running: RunningServer;

  private constructor(dataDir: string, flags: ConfigInput, running: RunningServer) {
    this.dataDir = dataDir;
    this.#flags = flags;
    this.#running = running;
  }

  static async start(settings: ConfigInput = {}): Promise<TestServer> {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'ringlog-'));
    const flags = {
      http_listen: '127.0.0.1:0',
      grpc_listen: '127.0.0.1:0',
      data_dir: dataDir,
      ingester: { cut_workers: 1 },
      querier: { scan_workers: 1 },
      ...settings,
      limits: { ...PLAIN_LIMITS, ...(settings['limits'] as object) },
    };
    return new TestServer(dataDir, flags, await TestServer.#run(flags));
  }

  static #run(flags: ConfigInput): Promise<RunningServer> {
    return startServer(loadConfig({ flags }), 'test', pino({ level: 'silent' }));
  }

  get http(): string {
    return this.#running.httpAddress ?? '';
  }

  get grpc(): string {
    return this.#running.grpcAddress ?? '';
  }

  async restart(): Promise<void> {
    await this.#running.close();
    this.#running = await TestServer.#run(this.#flags);
  }

  async stop(): Promise<void> {
    await this.#running.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async ask(pathAndQuery: string, options: Parameters<typeof request>[1] = {}): Promise<Answer> {
    const response = await request(`http://${this.http}${pathAndQuery}`, options);
    return { status: response.statusCode, text: await response.body.text() };
  }

  async push(body: Buffer | string, headers: Record<string, string>, where = '/loki/api/v1/push'): Promise<Answer> {
    return this.ask(where, { method: 'POST', body, headers });
  }

  /** Snappy protobuf, as agents send it. */
  pushProto(labels: string, entries: readonly PushedEntry[], headers: Record<string, string> = {}): Promise<Answer> {
    const body = snappy.compressSync(encodePushRequest({ streams: [{ labels, entries }] }));
    return this.push(body as Buffer, { 'content-type': 'application/x-protobuf', ...headers });
  }

  async query(parameters: Record<string, string>, headers: Record<string, string> = {}, endpoint = 'query_range') {
    const { status, text } = await this.ask(`/loki/api/v1/${endpoint}?${new URLSearchParams(parameters)}`, { headers });
    if (status !== 200) throw new Error(`${status} ${text}`);
    return JSON.parse(text).data;
  }

  /** Times and lines of the last hour, oldest first. */
  async linesOf(query: string, headers: Record<string, string> = {}): Promise<readonly string[]> {
    const data = await this.query({ query, direction: 'forward', limit: '5000' }, headers);
    const values: [string, string][] = data.result.flatMap((stream: { values: [string, string][] }) => stream.values);
    return values.sort(([left], [right]) => (BigInt(left) < BigInt(right) ? -1 : 1)).map(([, line]) => line);
  }
}

export const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;
