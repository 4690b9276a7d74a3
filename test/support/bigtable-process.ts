/** Google's Bigtable emulator on loopback, as a child process that can be killed and started again; its data are gone then. */
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';

const HOST_VARIABLE = 'BIGTABLE_EMULATOR_HOST';
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
const needsBigtable = (context: Mocha.Context): void => {
  const reason = whyNoBigtable();
  if (reason === undefined) return;
  if (process.env['CI']) throw new Error(reason);
  process.stdout.write(`tests against Bigtable are skipped: ${reason}\n`);
  context.skip();
};

export class BigtableProcess extends ServerProcess {
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
    await this.launch(binary, ['-host', '127.0.0.1', '-port', `${this.port}`]);
  }
}

/** The emulator of a suite: it runs from before its tests until after them. @param isNamed where Google's libraries look for one */
export const suiteBigtable = ({ isNamed = false } = {}): (() => BigtableProcess) => {
  let emulator: BigtableProcess | undefined;
  const hostBefore = process.env[HOST_VARIABLE];

  before(async function () {
    needsBigtable(this);
    emulator = await BigtableProcess.start();
    if (isNamed) process.env[HOST_VARIABLE] = emulator.host;
  });

  after(async () => {
    if (hostBefore === undefined) delete process.env[HOST_VARIABLE];
    else process.env[HOST_VARIABLE] = hostBefore;
    await emulator?.kill();
  });

  return () => {
    if (!emulator) throw new Error('the emulator does not run yet');
    return emulator;
  };
};
