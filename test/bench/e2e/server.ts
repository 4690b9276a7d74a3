/** A ringlog node as a process of its own, so that its CPU and memory can be told from the load generator's. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { request } from 'undici';
import { freePort } from '../../support/server-process.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

export interface RunningServer {
  readonly url: string;
  readonly pid: number;
  /** SIGTERM and wait; rejects unless the node exits with 0. */
  stop(): Promise<void>;
}

const waitReady = async (url: string, child: ChildProcess): Promise<void> => {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`the node ended with ${child.exitCode} before it was ready`);
    try {
      const answer = await request(`${url}/ready`);
      await answer.body.dump();
      if (answer.statusCode === 200) return;
    } catch {
      // not listening yet
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the node was not ready after 10 s');
};

/** Compiles the sources: what is measured is what is installed. */
export const build = (): void => {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
};

/** Starts `ringlog serve` on loopback; `configFile` is optional YAML. It ends with this process, however that ends. */
export const startServer = async (dataDir: string, configFile?: string): Promise<RunningServer> => {
  const port = await freePort();
  const grpcPort = await freePort();
  const flags = [
    'serve',
    '--until-stdin-ends',
    '--http-listen',
    `127.0.0.1:${port}`,
    '--grpc-listen',
    `127.0.0.1:${grpcPort}`,
    '--data-dir',
    dataDir,
  ];
  if (configFile) flags.push('--config', configFile);
  const child = spawn(process.execPath, [path.join(ROOT, 'dist/src/cli.js'), ...flags], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const url = `http://127.0.0.1:${port}`;
  await waitReady(url, child);
  return {
    url,
    pid: child.pid as number,
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = await exited;
      if (code !== 0) throw new Error(`the node ended with ${code}`);
    },
  };
};
