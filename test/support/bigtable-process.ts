/** Google's Bigtable emulator on loopback, as a child process that can be killed and started again; its data are gone then. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { eventually } from './eventually.ts';

const BINARY = 'cbtemulator';
const IN_SDK = `platform/bigtable-emulator/${BINARY}`;

const pathFolders = (): readonly string[] => (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean);

/** Where the Google Cloud SDK is, by the `gcloud` on the PATH: in its folder `bin`, or a package's link to it. */
const sdkFolders = (): readonly string[] =>
  pathFolders()
    .map((folder) => path.join(folder, 'gcloud'))
    .filter((file) => existsSync(file))
    .flatMap((file) => {
      const bin = path.dirname(realpathSync(file));
      return [path.dirname(bin), path.join(path.dirname(bin), 'lib/google-cloud-sdk')];
    });

const emulatorBinary = (): string | undefined => {
  const named = process.env['RINGLOG_CBTEMULATOR'];
  if (named) return existsSync(named) ? named : undefined;
  return [
    ...pathFolders().map((folder) => path.join(folder, BINARY)),
    ...sdkFolders().map((folder) => path.join(folder, IN_SDK)),
  ].find((file) => existsSync(file));
};

/** Why tests against Bigtable cannot run here; undefined if they can. */
export const whyNoBigtable = (): string | undefined => {
  if (emulatorBinary() !== undefined) return undefined;
  const named = process.env['RINGLOG_CBTEMULATOR'];
  if (named) return `RINGLOG_CBTEMULATOR names ${named}, which is not there`;
  return `there is no ${BINARY}: install it (gcloud components install bigtable, or Debian's google-cloud-cli-bigtable-emulator), or name it in RINGLOG_CBTEMULATOR`;
};

/** For `before`: skips the tests where there is no emulator, and says why. @throws in CI, where there has to be one */
export const needsBigtable = (context: Mocha.Context): void => {
  const reason = whyNoBigtable();
  if (reason === undefined) return;
  if (process.env['CI']) throw new Error(reason);
  process.stdout.write(`tests against Bigtable are skipped: ${reason}\n`);
  context.skip();
};

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

export class BigtableProcess {
  readonly port: number;
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<BigtableProcess> {
    const emulator = new BigtableProcess(await freePort());
    await emulator.restart();
    return emulator;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** On the same port, with nothing in it. */
  async restart(): Promise<void> {
    const binary = emulatorBinary();
    if (binary === undefined) throw new Error(whyNoBigtable());
    const child = spawn(binary, ['-host', '127.0.0.1', '-port', `${this.port}`], { stdio: 'ignore' });
    this.#child = child;
    // It must not outlive a test process that ends early.
    process.once('exit', () => child.kill('SIGKILL'));
    await eventually('the Bigtable emulator listens', () => child.exitCode === null && isListening(this.port));
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}
