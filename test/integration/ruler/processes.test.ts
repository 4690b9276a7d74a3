/** Rules over processes that are killed and told to end. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import { eventually } from '../../support/eventually.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { alertsOf, Receiver } from '../../support/ruler/receiver.ts';

const NODES = ['node-1', 'node-2', 'node-3'];
const GROUPS = 9;
const SOON_MS = 20_000;

interface ShownGroup {
  readonly name: string;
  readonly lastEvaluation: string;
  readonly rules: readonly { readonly health: string; readonly lastError: string; readonly state: string }[];
}

describe('rules over processes', function () {
  this.timeout(180_000);
  let folder: string;
  let alertmanager: Receiver;
  let cluster: LocalCluster;

  before(async () => {
    buildNodes();
    folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-rules-'));
    alertmanager = await Receiver.start();
    cluster = await LocalCluster.open({
      command: [SERVE],
      folder,
      basePort: 0,
      settings: {
        cluster: {
          linger: '1s',
          unsafe_short_linger: true,
          membership: { lease_ttl: '3s', lease_keep_alive: '500ms' },
        },
        ruler: {
          evaluation_interval: '1s',
          poll_interval: '1h',
          resend_delay: '2s',
          alertmanager_url: alertmanager.url,
        },
      },
    });
    await Promise.all(NODES.map((name) => cluster.start(name)));
  });
  after(async () => {
    cluster?.kill();
    await alertmanager?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (nodeId: string, where: string, options: Parameters<typeof request>[1] = {}) => {
    const { statusCode, body } = await request(`${cluster.node(nodeId)?.url}${where}`, options);
    return { status: statusCode, text: await body.text() };
  };
  const post = async (nodeId: string, name: string, rule: object): Promise<void> => {
    const body = JSON.stringify({ name, rules: [rule] });
    expect(await ask(nodeId, '/loki/api/v1/rules/ns', { method: 'POST', body })).to.include({ status: 202 });
  };
  const groups = async (nodeId: string): Promise<readonly ShownGroup[]> => {
    const { status, text } = await ask(nodeId, '/prometheus/api/v1/rules');
    return status === 200 ? JSON.parse(text).data.groups : [];
  };
  /** All of them, by this node's word, after that time. */
  const areEvaluated = async (nodeId: string, sinceMs: number): Promise<boolean> => {
    const shown = (await groups(nodeId)).filter(({ name }) => name !== 'logs');
    return shown.length === GROUPS && shown.every(({ lastEvaluation }) => Date.parse(lastEvaluation) >= sinceMs);
  };
  const hereOf = async (nodeId: string): Promise<number> =>
    [...(await ask(nodeId, '/metrics')).text.matchAll(/^loki_prometheus_rule_group_rules\{/gm)].length;

  it('are evaluated by all of them, and told of by each', async () => {
    for (let index = 0; index < GROUPS; index++) {
      await post(NODES[index % 3] ?? '', `g${index}`, {
        alert: 'Always',
        expr: 'vector(1)',
        labels: { group: `g${index}` },
      });
    }
    for (const nodeId of NODES) {
      await eventually(
        `${nodeId} tells of all`,
        () => areEvaluated(nodeId, 1),
        () => undefined,
        SOON_MS,
      );
      expect(await hereOf(nodeId), nodeId).to.be.above(0);
    }
  });

  it('go on when a process is killed; what only its disk has is said to lack, until it is back', async () => {
    const now = String(BigInt(Date.now()) * 1_000_000n);
    const streams = Array.from({ length: 30 }, (_, index) => ({
      stream: { app: `a${index}` },
      values: [[now, 'boom']],
    }));
    const pushed = await ask('node-1', '/loki/api/v1/push', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ streams }),
    });
    expect(pushed.status).to.equal(204);
    await post('node-1', 'logs', { alert: 'Boom', expr: 'count(count_over_time({app=~".+"} |= "boom" [1h])) == 30' });
    const logs = async () => (await groups('node-1')).find(({ name }) => name === 'logs')?.rules[0];
    await eventually('the alert fires', async () => (await logs())?.state === 'firing', logs, SOON_MS);

    const killed = cluster.node('node-2');
    killed?.kill('SIGKILL');
    await killed?.exited;
    const killedMs = Date.now();
    const during = await ask('node-1', '/prometheus/api/v1/alerts');
    expect(during.status).to.equal(500);
    expect(JSON.parse(during.text)).to.include({ status: 'error', errorType: 'server_error' });
    await eventually(
      'the others evaluate all',
      () => areEvaluated('node-3', killedMs),
      () => groups('node-3'),
      SOON_MS,
    );
    const tookMs = Date.now() - killedMs;
    expect(tookMs).to.be.below(3_000 + 5_000 + 3_000);
    await eventually('it is said what lacks', async () => (await logs())?.health === 'err', logs, SOON_MS);
    expect((await logs())?.lastError).to.match(/node-2/);

    await cluster.start('node-2');
    await eventually(
      'it fires again',
      async () => (await logs())?.health === 'ok' && (await logs())?.state === 'firing',
      logs,
      SOON_MS,
    );
    const resolved = alertsOf(alertmanager).filter(({ isResolved }) => isResolved);
    expect(resolved).to.deep.equal([]);
  });

  it('go on when a process is told to end, without an error in between', async () => {
    await eventually(
      'all are evaluated',
      () => areEvaluated('node-1', Date.now() - 2_000),
      () => undefined,
      SOON_MS,
    );
    const leaving = cluster.node('node-3');
    leaving?.kill('SIGTERM');
    expect(await leaving?.exited).to.equal(0);
    const leftMs = Date.now();
    await eventually(
      'the others evaluate all',
      () => areEvaluated('node-1', leftMs),
      () => groups('node-1'),
      SOON_MS,
    );
    for (const nodeId of ['node-1', 'node-2']) expect(await hereOf(nodeId), nodeId).to.be.above(0);
  });
});
