import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect } from 'chai';
import { request } from 'undici';
import { stringify } from 'yaml';
import { EmbeddedStore } from '../../../src/cluster/membership/embedded-store.ts';
import { type StoreServer, serveStore } from '../../../src/cluster/membership/store-server.ts';
import type { RingStatus } from '../../../src/member/cluster-services.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { eventually } from '../../support/eventually.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';

/** The 5 s that it is given to end, reading the program, and a machine that is busy. */
const END_MS_MAX = 15_000;

/** `ringlog serve` of a member, with what it says. */
class MemberProcess {
  output = '';
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;

  constructor(configFile: string) {
    this.#child = spawn(process.execPath, [SERVE, 'serve', '--config', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.output += bytes.toString();
    });
    this.exited = once(this.#child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  }

  get url(): string {
    return `http://${/"http":"([^"]+)"/.exec(this.output)?.[1]}`;
  }

  async serving(): Promise<void> {
    await this.says('ringlog is serving');
  }

  async says(text: string): Promise<void> {
    await eventually(
      `a member that says ${text}`,
      () => this.output.includes(text),
      () => this.output,
      30_000,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns its exit code @throws if it has none long after it should */
  async endedBy(signal: NodeJS.Signals): Promise<number | string> {
    this.kill(signal);
    const late = new AbortController();
    const overdue = setTimeout(END_MS_MAX, 'still runs', { signal: late.signal });
    try {
      return await Promise.race([this.exited, overdue]);
    } finally {
      late.abort();
      overdue.catch(() => undefined);
    }
  }
}

describe('a member as a process', function () {
  this.timeout(120_000);
  let folder: string;
  let store: EmbeddedStore;
  let server: StoreServer;
  let isAway: boolean;
  let members: MemberProcess[];

  before(() => buildNodes());
  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'rl-'));
    store = await EmbeddedStore.open({ clock: systemClock });
    server = await serveStore(store, { path: path.join(folder, 'members.sock') });
    isAway = false;
    members = [];
  });
  afterEach(async () => {
    for (const member of members) member.kill('SIGKILL');
    await Promise.all(members.map(({ exited }) => exited));
    if (!isAway) await outage();
    rmSync(folder, { recursive: true, force: true });
  });

  const outage = async (): Promise<void> => {
    isAway = true;
    await server.close();
    await store.close();
  };
  const start = (nodeId: string, http = '127.0.0.1:0'): MemberProcess => {
    const file = path.join(folder, `${nodeId}.yaml`);
    mkdirSync(path.join(folder, 'store'), { recursive: true });
    const settings = {
      http_listen: http,
      grpc_listen: 'off',
      data_dir: path.join(folder, nodeId),
      store_dir: path.join(folder, 'store'),
      ingester: { cut_workers: 1 },
      querier: { scan_workers: 1 },
      server: { graceful_shutdown_timeout: '5s' },
      cluster: {
        enabled: true,
        node_id: nodeId,
        listen: '127.0.0.1:0',
        linger: '300ms',
        unsafe_short_linger: true,
        membership: {
          store: 'embedded',
          socket: path.join(folder, 'members.sock'),
          lease_ttl: '3s',
          lease_keep_alive: '500ms',
        },
      },
    };
    writeFileSync(file, stringify(settings));
    const member = new MemberProcess(file);
    members.push(member);
    return member;
  };
  const get = async (url: string): Promise<{ readonly status: number; readonly text: string }> => {
    const { statusCode, body } = await request(url);
    return { status: statusCode, text: await body.text() };
  };
  const push = async ({ url }: MemberProcess): Promise<number> => {
    const values = [[String(BigInt(Date.now()) * 1_000_000n), 'a line']];
    const { statusCode, body } = await request(`${url}/loki/api/v1/push`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ streams: [{ stream: { app: 'web' }, values }] }),
    });
    await body.dump();
    return statusCode;
  };
  const ring = async ({ url }: MemberProcess): Promise<RingStatus> =>
    JSON.parse((await get(`${url}/ringlog/v1/ring`)).text) as RingStatus;

  it('is no member before it can answer, and tells where it does', async () => {
    const first = start('a');
    await first.serving();
    const { nodes } = await ring(first);
    expect(nodes.map(({ httpAddress }) => `http://${httpAddress}`)).to.deep.equal([first.url]);
    // The address is taken.
    const newcomer = start('b', first.url.slice('http://'.length));
    expect(await newcomer.exited).to.equal(1);
    expect(newcomer.output).to.contain('EADDRINUSE');
    const after = await ring(first);
    expect(after.nodes.map(({ nodeId }) => nodeId)).to.deep.equal(['a']);
    expect(after.missing).to.deep.equal([]);
    expect((await get(`${first.url}/loki/api/v1/query_range?query=%7Bapp%3D%22web%22%7D`)).status).to.equal(200);
  });

  it('ends with 3 and says why when the membership store is away, and is not ready before', async () => {
    const member = start('a');
    await member.serving();
    expect(await push(member)).to.equal(204);
    expect(await get(`${member.url}/ready`)).to.deep.equal({ status: 200, text: 'ready\n' });
    await outage();
    await eventually(
      'it is not ready',
      async () => (await get(`${member.url}/ready`)).status === 503,
      () => member.output,
    );
    expect((await get(`${member.url}/ready`)).text).to.contain('lost touch');
    expect(await member.endedBy('SIGTERM')).to.equal(3);
    expect(member.output).to.contain('could not leave the cluster').and.contain('"isDiskEmpty":false');
  });

  it('ends as soon as its start is over when it was asked to while it started', async () => {
    // Takes connections and says nothing: the start waits for it.
    const silent = createServer(() => undefined);
    await outage();
    await new Promise<void>((resolve) => silent.listen(path.join(folder, 'members.sock'), resolve));
    const member = start('a');
    try {
      await new Promise((resolve) => silent.once('connection', resolve));
      expect(await member.endedBy('SIGTERM')).to.equal(1);
      expect(member.output).not.to.contain('is serving');
    } finally {
      silent.close();
    }
  });

  it('ends at once when it is asked twice', async () => {
    const member = start('a');
    await member.serving();
    await outage();
    member.kill('SIGTERM');
    await member.says('"stopping"');
    expect(await member.endedBy('SIGTERM')).to.equal(1);
  });

  it('is forgotten when it was counted out and its disk holds nothing', async () => {
    const first = start('a');
    await first.serving();
    const other = start('b');
    await other.serving();
    // Longer than its lease.
    other.kill('SIGSTOP');
    await eventually(
      'it is counted out',
      async () => (await ring(first)).missing.length === 1,
      () => first.output,
      20_000,
    );
    other.kill('SIGCONT');
    expect(await other.exited).to.equal(1);
    expect((await ring(first)).missing).to.deep.equal([]);
  });
});
