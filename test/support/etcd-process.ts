/** A real etcd on loopback, as a child process that can be killed and started again with the same data. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';

/** Where scripts/test puts Debian's package. */
const TOOLS = path.join(import.meta.dirname, '../../.tools/etcd/usr/bin');

const etcdBinary = (): string | undefined =>
  [...(process.env['PATH'] ?? '').split(path.delimiter), TOOLS]
    .map((folder) => path.join(folder, 'etcd'))
    .find((file) => existsSync(file));

/** Why tests against etcd cannot run here; undefined if they can. */
export const whyNoEtcd = (): string | undefined =>
  etcdBinary() === undefined
    ? 'there is no etcd on the PATH; scripts/test says why it could not be installed'
    : undefined;

export class EtcdProcess extends ServerProcess {
  readonly #peerPort: number;
  readonly #folder: string;

  private constructor(port: number, peerPort: number, folder: string) {
    super(port);
    this.#peerPort = peerPort;
    this.#folder = folder;
  }

  static async start(): Promise<EtcdProcess> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-etcd-'));
    const etcd = new EtcdProcess(await freePort(), await freePort(), folder);
    await etcd.restart();
    return etcd;
  }

  get host(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** With the data of before. */
  async restart(): Promise<void> {
    const binary = etcdBinary();
    if (binary === undefined) throw new Error(whyNoEtcd());
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const args = [
      ...['--name', 'test', '--data-dir', path.join(this.#folder, 'data')],
      ...['--listen-client-urls', this.host, '--advertise-client-urls', this.host],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `test=${peer}`],
      // Elections of one: no need to wait a second for the others.
      ...['--heartbeat-interval', '20', '--election-timeout', '200', '--log-level', 'error'],
    ];
    await this.launch(binary, args);
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
