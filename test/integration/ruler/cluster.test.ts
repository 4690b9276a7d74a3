/** Rules in a cluster: one node evaluates a group, any node tells of it, and another one goes on when it is gone. */
import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { RuleGroup } from '../../../src/ruler/rule-group.ts';
import type { GroupStatus } from '../../../src/ruler/rule-status.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { eventually } from '../../support/eventually.ts';
import { alertsOf, Receiver } from '../../support/ruler/receiver.ts';

const GROUPS = 24;
const LEASE_MS = 2_000;
/** The lease, how often nodes look at the ring, and an interval. */
const TAKE_OVER_MS = LEASE_MS + 5_000 + 3_000;

const groupNamed = (name: string): RuleGroup => ({
  name,
  intervalMs: 1_000,
  queryOffsetMs: 0,
  limit: 0,
  labels: {},
  rules: [
    {
      alert: 'Always',
      record: '',
      expr: 'vector(1)',
      forMs: 0,
      keepFiringForMs: 0,
      labels: { group: name },
      annotations: {},
    },
  ],
});

describe('rules in a cluster', function () {
  this.timeout(120_000);
  let rig: ClusterRig;
  let alertmanager: Receiver;

  before(async () => {
    alertmanager = await Receiver.start();
    rig = await ClusterRig.open({
      cluster: { membership: { lease_ttl: `${LEASE_MS}ms`, lease_keep_alive: '200ms' } },
      // What is changed at one node the others hear of, long before they look.
      ruler: { poll_interval: '1h', resend_delay: '1s', alertmanager_url: alertmanager.url },
    });
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
  });
  after(async () => {
    await rig.close();
    await alertmanager.stop();
  });

  const rulesOf = (nodeId: string) => {
    const { rules } = rig.node(nodeId).node.services;
    if (!rules) throw new Error('no rules');
    return rules;
  };
  const groupsAt = (nodeId: string): readonly string[] =>
    rig
      .node(nodeId)
      .node.ruler.figures.groups.map(({ name }) => name)
      .sort();
  const names = Array.from({ length: GROUPS }, (_, index) => `g${index}`).sort();
  const allGroups = (): readonly string[] => [...rig.nodes.keys()].flatMap(groupsAt).sort();
  const evaluatedSince = (statuses: readonly GroupStatus[], ms: number): boolean =>
    statuses.length === GROUPS &&
    statuses.every(({ lastEvaluationMs, rules }) => lastEvaluationMs >= ms && rules[0]?.health === 'ok');

  it('spreads groups over the nodes, one node each, as soon as they are there', async () => {
    for (const [index, name] of names.entries()) {
      await rulesOf(['a', 'b', 'c'][index % 3] ?? 'a').put('tenant', 'ns', groupNamed(name));
    }
    await eventually('all are taken up, once each', () => allGroups().join() === names.join(), allGroups);
    for (const nodeId of ['a', 'b', 'c']) expect(groupsAt(nodeId), nodeId).to.not.deep.equal([]);
  });

  it('tells of all of them at any node', async () => {
    for (const nodeId of ['a', 'b', 'c']) {
      await eventually('all were evaluated', async () => evaluatedSince(await rulesOf(nodeId).statuses('tenant'), 1));
      const statuses = await rulesOf(nodeId).statuses('tenant');
      expect(statuses.map(({ name }) => name)).to.deep.equal(names);
      for (const { rules } of statuses) expect(rules[0]?.alerts[0]).to.include({ state: 'firing', value: '1' });
    }
    expect(await rulesOf('a').statuses('other')).to.deep.equal([]);
  });

  it('says that a node that was killed cannot be asked, and goes on with its groups elsewhere', async () => {
    const lost = groupsAt('b');
    await rig.kill('b');
    const killedMs = Date.now();
    const refused = await rulesOf('a')
      .statuses('tenant')
      .catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(RefusedError);
    expect((refused as RefusedError).refusal.code).to.equal('STORAGE_UNAVAILABLE');
    expect((refused as RefusedError).message).to.match(/^member b, .* cannot be asked/);
    await eventually('others have its groups', () => allGroups().join() === names.join(), allGroups, TAKE_OVER_MS);
    const takenMs = Date.now();
    const goOn = async (): Promise<boolean> => evaluatedSince(await rulesOf('c').statuses('tenant'), takenMs);
    await eventually('they are evaluated', goOn, () => undefined, 10_000);
    const told = new Set(
      alertsOf(alertmanager)
        .filter(({ startsAt }) => Date.parse(startsAt) > killedMs)
        .map(({ labels }) => labels['group']),
    );
    for (const name of lost) expect(told, name).to.include(name);
  });

  it('gives groups to a node that joins, and those of one that leaves to others', async () => {
    await rig.start('b');
    await eventually(
      'the node has some',
      () => groupsAt('b').length > 0 && allGroups().join() === names.join(),
      allGroups,
    );
    const kept = await rulesOf('b').statuses('tenant');
    expect(kept.map(({ name }) => name)).to.deep.equal(names);
    await rig.leave('c');
    await eventually('others have them', () => allGroups().join() === names.join(), allGroups);
    const leftMs = Date.now();
    await eventually('they are evaluated', async () => evaluatedSince(await rulesOf('a').statuses('tenant'), leftMs));
  });

  it('ends what is deleted, wherever it is evaluated', async () => {
    expect(await rulesOf('a').delete({ tenant: 'tenant', namespace: 'ns' })).to.equal(true);
    await eventually('nobody evaluates any', () => allGroups().length === 0, allGroups);
    expect(await rulesOf('b').statuses('tenant')).to.deep.equal([]);
  });
});

describe('rules in a cluster whose nodes do not all evaluate', function () {
  this.timeout(60_000);

  it('has the others do it', async () => {
    const rig = await ClusterRig.open({ ruler: { poll_interval: '1h' } });
    const plain = await rig.start('a');
    try {
      await rig.start('quiet', {}, { ruler: { enabled: false } });
      const rules = rig.node('quiet').node.services.rules;
      for (let index = 0; index < 12; index++) await rules?.put('tenant', 'ns', groupNamed(`g${index}`));
      await eventually('one node has all', () => plain.node.ruler.figures.groups.length === 12);
      expect(rig.node('quiet').node.ruler.figures.groups).to.deep.equal([]);
      const isEvaluated = async (): Promise<boolean> =>
        ((await rules?.statuses('tenant')) ?? []).every(({ lastEvaluationMs }) => lastEvaluationMs > 0);
      await eventually('it tells the other', isEvaluated);
    } finally {
      await rig.close();
    }
  });
});
