/**
 * Takes the steps of deploy/Dockerfile on this machine, for where no Docker runs: the build stage in one clean folder, what the last stage copies in another.
 * Runs the result as the image's user and waits for the health check. As root on Linux, since it changes users.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const READY_MS = 30_000;
const USER = 10001;

const work = mkdtempSync(path.join(os.tmpdir(), 'ringlog-image-'));
chmodSync(work, 0o755);
const [build, image, data] = ['build', 'image', 'data'].map((name) => path.join(work, name)) as [
  string,
  string,
  string,
];
for (const folder of [build, image, data]) mkdirSync(folder);

const instructions = readFileSync(path.join(ROOT, 'deploy/Dockerfile'), 'utf8')
  .replace(/\\\n\s*/g, '')
  .split('\n')
  .flatMap((line) => (/^[A-Z]+ /.test(line) ? [line] : []));
const lastStage = instructions.findLastIndex((line) => line.startsWith('FROM '));

const take = (line: string, folder: string, isFirst: boolean): void => {
  const [what = '', ...words] = line.split(' ');
  if (what === 'COPY') {
    const isStage = words[0]?.startsWith('--from=') === true;
    const target = path.join(folder, words.at(-1) ?? '');
    for (const name of words.slice(isStage ? 1 : 0, -1)) {
      const source = isStage ? path.join(build, path.relative('/app', name)) : path.join(ROOT, name);
      cpSync(source, words.at(-1) === './' ? path.join(target, path.basename(name)) : target, { recursive: true });
    }
  } else if (what === 'RUN' && isFirst) execFileSync('sh', ['-ec', words.join(' ')], { cwd: folder, stdio: 'inherit' });
  else return;
  console.log(`done: ${line}`);
};

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce(
    (sum, name) => sum + lstatSync(path.join(folder, name)).size,
    0,
  );

const healthOf = (line: string): readonly string[] => JSON.parse(line.slice(line.indexOf('['))) as string[];

try {
  for (const [index, line] of instructions.entries()) take(line, index < lastStage ? build : image, index < lastStage);
  rmSync(build, { recursive: true });
  console.log(`${Math.round(sizeOf(image) / 1e6)} MB without Node`);
  chownSync(data, USER, USER);
  const health = healthOf(instructions.find((line) => line.startsWith('HEALTHCHECK')) ?? '');
  const args = [
    'bin/ringlog.js',
    'serve',
    '--data-dir',
    data,
    '--http-listen',
    '127.0.0.1:3100',
    '--grpc-listen',
    'off',
  ];
  const options = { cwd: image, uid: USER, gid: USER, env: { PATH: process.env['PATH'], NODE_ENV: 'production' } };
  const node = spawn('node', args, { ...options, stdio: 'inherit' });
  const ended = once(node, 'exit');
  const isHealthy = async (): Promise<boolean> => {
    const [command = '', ...rest] = health;
    const [code] = (await once(spawn(command, rest, options), 'exit')) as [number];
    return code === 0;
  };
  const endMs = Date.now() + READY_MS;
  while (!(await isHealthy())) if (Date.now() > endMs || node.exitCode !== null) throw new Error('not healthy');
  console.log(`healthy as user ${USER}; its own files are root's`);
  node.kill('SIGTERM');
  const [code] = (await ended) as [number];
  console.log(`ended with ${code}`);
  process.exitCode = code;
} finally {
  rmSync(work, { recursive: true });
}
