import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { eventually } from '../support/eventually.ts';
import { buildNodes } from '../support/node-process.ts';

const SERVER = path.join(import.meta.dirname, '../bench/e2e/server.ts');

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('the node of a benchmark', function () {
  this.timeout(120_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'ringlog-bench-node-'));
  let bench: ChildProcess | undefined;
  let nodePid = 0;

  before(() => buildNodes());
  afterEach(() => {
    bench?.kill('SIGKILL');
    if (nodePid > 0 && isRunning(nodePid)) process.kill(nodePid, 'SIGKILL');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    it(`ends when the benchmark ends by ${signal}`, async () => {
      const script = `import { startServer } from ${JSON.stringify(SERVER)};
        console.log((await startServer(${JSON.stringify(path.join(folder, signal))})).pid);`;
      bench = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(createInterface({ input: bench.stdout as NodeJS.ReadableStream }), 'line');
      nodePid = Number(line);
      expect(isRunning(nodePid)).to.equal(true);
      const ended = once(bench, 'exit');
      bench.kill(signal);
      await ended;
      await eventually('the node to end', () => !isRunning(nodePid));
    });
  }
});
