import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import type { RingStatus, StreamStatus } from '../../../src/member/cluster-services.ts';
import { eventually } from '../../support/eventually.ts';
import { buildNodes } from '../../support/node-process.ts';
import { PLAIN_LIMITS } from '../../support/plain-limits.ts';

const CLI = path.join(import.meta.dirname, '../../../bin/ringlog.js');
const LINES = 40;

const run = async (...args: string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args], { timeout: 30_000 });
  return stdout;
};

describe('a cluster of processes', function () {
  this.timeout(180_000);
  let folder: string;
  let cluster: LocalCluster;

  before(async () => {
    buildNodes();
    folder = mkdtempSync(path.join(os.tmpdir(), 'rl-'));
    cluster = await LocalCluster.open({
      command: [CLI],
      folder,
      basePort: 0,
      settings: { cluster: { linger: '500ms', unsafe_short_linger: true }, limits: PLAIN_LIMITS },
    });
    for (const nodeId of ['node-1', 'node-2']) await cluster.start(nodeId);
  });
  after(async () => {
    await cluster?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const url = (nodeId: string): string => cluster.node(nodeId)?.url ?? '';
  const ring = async (nodeId: string): Promise<RingStatus> =>
    JSON.parse(await run('ring', '--json', '--addr', url(nodeId)));
  const count = async (nodeId: string): Promise<number> => {
    const parameters = new URLSearchParams({ query: '{app=~".+"}', limit: '1000' });
    const answer = await request(`${url(nodeId)}/loki/api/v1/query_range?${parameters}`);
    const { data } = (await answer.body.json()) as { data: { result: { values: unknown[] }[] } };
    return data.result.reduce((sum, { values }) => sum + values.length, 0);
  };

  it('shows its ring, also as a page', async () => {
    const { nodes, missing } = await ring('node-1');
    expect(nodes.map(({ nodeId, state }) => `${nodeId} ${state}`)).to.deep.equal(['node-1 ACTIVE', 'node-2 ACTIVE']);
    expect(nodes.reduce((sum, { ownership }) => sum + ownership, 0)).to.be.closeTo(1, 1e-9);
    expect(missing).to.deep.equal([]);
    const table = await run('ring', '--addr', url('node-2'));
    expect(table.split('\n')[0]).to.match(/^NODE +STATE +ZONE +OWNS +STREAMS/);
    const page = await request(`${url('node-1')}/ring`);
    expect(page.headers['content-type']).to.contain('text/html');
    expect(await page.body.text()).to.contain('<td>node-2</td>');
    const json = await request(`${url('node-1')}/ring`, { headers: { accept: 'application/json' } });
    expect(((await json.body.json()) as RingStatus).nodes).to.have.lengthOf(2);
  });

  it('says where a stream is', async () => {
    const now = BigInt(Date.now()) * 1_000_000n;
    const streams = Array.from({ length: LINES }, (_, index) => ({
      stream: { app: `app-${index}` },
      values: [[String(now + BigInt(index)), `line ${index}`]],
    }));
    const pushed = await request(`${url('node-1')}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ streams }),
    });
    expect(pushed.statusCode).to.equal(204);
    const statuses = JSON.parse(
      await run('stream', '{app=~"app-.*"}', '--json', '--addr', url('node-2')),
    ) as StreamStatus[];
    expect(statuses).to.have.lengthOf(LINES);
    for (const { owner, segments } of statuses) {
      expect(segments.map(({ holders }) => holders)).to.deep.equal([[owner]]);
    }
    expect(await run('stream', '{app="app-3"}', '--addr', url('node-1'))).to.match(
      /^\{app="app-3"\}\n +owner +node-[12]/,
    );
    expect(await count('node-2')).to.equal(LINES);
  });

  it('gives a node more weight', async () => {
    await run('weight', '9', '--addr', url('node-2'));
    await eventually(
      'node-2 owns most',
      async () => ((await ring('node-1')).nodes[1]?.ownership ?? 0) > 0.8,
      () => 'the ring',
    );
    expect(await count('node-1')).to.equal(LINES);
  });

  it('drains a node, which ends with 0 and leaves nothing', async () => {
    const node = cluster.node('node-2');
    await run('drain', '--addr', url('node-2'));
    expect(await node?.exited).to.equal(0);
    expect(readFileSync(node?.logFile ?? '', 'utf8')).to.contain('"isDiskEmpty":true');
    expect((await ring('node-1')).nodes.map(({ nodeId }) => nodeId)).to.deep.equal(['node-1']);
    expect(await count('node-1')).to.equal(LINES);
  });

  it('stores what the last node has', async () => {
    expect(await cluster.drain('node-1')).to.equal(0);
    await cluster.start('node-3');
    expect(await count('node-3')).to.equal(LINES);
  });
});

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('ringlog cluster', function () {
  this.timeout(120_000);
  let folder: string;
  let child: ChildProcess;
  let output: string;
  let exited: Promise<number | string>;

  before(() => buildNodes());
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'rl-'));
    const args = ['cluster', '--nodes', '2', '--base-port', '0', '--data-dir', folder];
    child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    output = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  });
  afterEach(async () => {
    child.kill('SIGKILL');
    await exited;
    for (const pid of pids()) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const pids = (): readonly number[] => [...output.matchAll(/\(pid (\d+),/g)].map(([, pid]) => Number(pid));
  const says = (text: string): Promise<void> =>
    eventually(
      `it says ${text}`,
      () => output.includes(text),
      () => output,
      30_000,
    );

  it('drains at Ctrl-C, and at a second one ends the nodes at once', async () => {
    await says('Ctrl-C hands everything over');
    expect(pids()).to.have.lengthOf(2);
    const [first = 0] = pids();
    // It will not end by itself.
    process.kill(first, 'SIGSTOP');
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(pids().map(isAlive)).to.deep.equal([true, true]);
    child.kill('SIGINT');
    expect(await exited).to.equal(1);
    expect(pids().map(isAlive)).to.deep.equal([false, false]);
    expect(output).to.contain('not waiting any longer').and.contain('node-1 ended with SIGKILL');
  });

  it('ends cleanly while it starts, at the end of its terminal too', async () => {
    await says('node-1 serves');
    child.kill('SIGHUP');
    expect(await exited, output).to.equal(0);
    expect(output).to.contain('node-1 ended with 0');
    expect(pids().some(isAlive)).to.equal(false);
  });

  /** What both nodes say of how they stopped; it is in their logs, for nobody else is left who could hear it. */
  const logs = (): readonly string[] =>
    ['node-1', 'node-2'].map((nodeId) => readFileSync(path.join(folder, `${nodeId}.log`), 'utf8'));

  it('leaves no node behind when it is killed, and none loses what it has', async () => {
    await says('Ctrl-C hands everything over');
    const urls = [...output.matchAll(/serves at (\S+) /g)].map(([, url]) => url ?? '');
    const now = BigInt(Date.now()) * 1_000_000n;
    const streams = Array.from({ length: LINES }, (_, index) => ({
      stream: { app: `app-${index}` },
      values: [[String(now + BigInt(index)), `line ${index}`]],
    }));
    const headers = { 'content-type': 'application/json' };
    const pushed = await request(`${urls[0]}/loki/api/v1/push`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ streams }),
    });
    expect(pushed.statusCode).to.equal(204);
    child.kill('SIGKILL');
    expect(await exited).to.equal('SIGKILL');
    await eventually(
      'the nodes to end',
      () => !pids().some(isAlive),
      () => logs(),
      60_000,
    );
    for (const log of logs())
      expect(log)
        .to.contain('"reason":"stdin ended"')
        .and.match(/"msg":"stopped"/);
    const again = await LocalCluster.open({ command: [CLI], folder, basePort: 0 });
    try {
      await Promise.all([again.start('node-1'), again.start('node-2')]);
      const query = encodeURIComponent('sum(count_over_time({app=~".+"}[1h]))');
      const counted = async (): Promise<string> => {
        const answer = await request(`${again.node('node-1')?.url}/loki/api/v1/query?query=${query}`);
        return await answer.body.text();
      };
      await eventually('all lines to be there', async () => (await counted()).includes(`"${LINES}"`), counted, 30_000);
    } finally {
      await again.close();
    }
  });

  it('does not wait without end for a node that hangs', async () => {
    const hanging = await LocalCluster.open({
      command: [CLI],
      folder: path.join(folder, 'own'),
      basePort: 0,
      drainMs: 500,
    });
    try {
      const node = await hanging.start('node-1');
      node.kill('SIGSTOP');
      expect(await hanging.drain('node-1')).to.equal('SIGKILL');
    } finally {
      await hanging.close();
    }
  });
});
