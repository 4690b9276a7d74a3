/** A real etcd on loopback, as a child process that can be killed and started again with the same data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { eventually } from './eventually.ts';

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

const freePort = async (): Promise<number> => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

export class EtcdProcess {
  readonly port: number;
  readonly #peerPort: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, peerPort: number, folder: string) {
    this.port = port;
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
    const child = spawn(binary, args, { stdio: 'ignore' });
    this.#child = child;
    await eventually('etcd listens', () => child.exitCode === null && isListening(this.port));
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
