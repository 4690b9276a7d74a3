import { expect } from 'chai';
import type { ClusterMember } from '../../../src/member/member.ts';
import { logRequest } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';

const STREAMS = 60;
const streamOf = (index: number): string => `{app="app-${index}"}`;
const ALL = '{app=~".+"}';
const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

describe('a cluster', function () {
  this.timeout(120_000);
  let rig: ClusterRig;
  let pushed: string[];

  beforeEach(async () => {
    rig = await ClusterRig.open();
    pushed = [];
  });
  afterEach(() => rig.close());

  const push = async (nodeId: string, round: number): Promise<void> => {
    const streams: Record<string, ReturnType<typeof entryAt>[]> = {};
    for (let index = 0; index < STREAMS; index += 1) {
      const line = `round ${round} of ${index} through ${nodeId}`;
      streams[streamOf(index)] = [entryAt(1000 * round + index, line)];
      pushed.push(line);
    }
    const { refusal, acceptedLines } = await rig.push(nodeId, streams);
    expect([refusal, acceptedLines]).to.deep.equal([undefined, STREAMS]);
  };
  const check = async (when: string, nodeIds = [...rig.nodes.keys()]): Promise<void> => {
    for (const nodeId of nodeIds) {
      expect([...(await rig.lines(nodeId, ALL))].sort(), `${when}, asked ${nodeId}`).to.deep.equal([...pushed].sort());
    }
  };
  const settled = async (): Promise<void> => {
    for (const [nodeId, { node }] of rig.nodes) {
      await eventually(
        `${nodeId} has what is its own`,
        () => node.cluster?.handover.isSettled === true,
        () => node.cluster?.handover.figures,
        20_000,
      );
    }
  };
  const problems = (): string[] => [...rig.nodes.values()].flatMap((node) => node.problems);

  it('takes pushes and queries at any node', async () => {
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    for (const [round, nodeId] of ['a', 'b', 'c'].entries()) await push(nodeId, round);
    await check('unflushed');
    const held = [...rig.nodes.values()].map(({ node }) => node.figures().streams);
    expect(Math.min(...held), `streams of the nodes: ${held}`).to.be.greaterThan(5);
    await settled();
    // On a busy machine an owner may be slow to answer or to be heard of: another node holds its stream until it is handed over.
    const astray = sum(
      [...rig.nodes.values()].map(({ node: { cluster } }) => {
        return (cluster?.routing.figures.fallbacks ?? 0) + (cluster?.handover.figures.givenSegments ?? 0);
      }),
    );
    expect(sum(held)).to.be.within(STREAMS, STREAMS + astray);
    for (const { node } of rig.nodes.values()) await node.services.flush();
    await check('flushed');
    expect(problems()).to.deep.equal([]);
  });

  it('moves streams with what they hold when nodes come and go, and makes no chunk for it', async () => {
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    await push('a', 0);
    for (const [round, nodeId] of ['d', 'e'].entries()) {
      await rig.start(nodeId);
      await push('b', 10 + round);
      await check(`${nodeId} joins`);
    }
    await settled();
    await check('five nodes');
    const held = [...rig.nodes.values()].map(({ node }) => node.figures().recoveredSegments);
    expect(
      held.some((count) => count > 0),
      `segments in logs: ${held}`,
    ).to.equal(true);
    for (const [round, nodeId] of ['b', 'a', 'd'].entries()) {
      const leaving = rig.leave(nodeId);
      await push('c', 20 + round);
      await check(`${nodeId} leaves`, ['c', 'e']);
      expect(await leaving, `${nodeId} leaves nothing`).to.equal(true);
    }
    await settled();
    await check('two nodes');
    expect(rig.chunks.objects.size).to.equal(0);
    expect(problems()).to.deep.equal([]);
    for (const { node } of rig.nodes.values()) await node.services.flush();
    await check('flushed');
    expect(rig.chunks.objects.size).to.equal(STREAMS);
  });

  it('rolls: each node leaves and comes back with its disk', async () => {
    const nodeIds = ['a', 'b', 'c'];
    for (const nodeId of nodeIds) await rig.start(nodeId);
    await push('a', 0);
    for (const [round, nodeId] of nodeIds.entries()) {
      expect(await rig.leave(nodeId)).to.equal(true);
      await rig.start(nodeId);
      await push(nodeId, 1 + round);
      await check(`${nodeId} is back`);
    }
    await settled();
    await check('rolled');
    expect(rig.chunks.objects.size).to.equal(0);
    expect(problems()).to.deep.equal([]);
  });

  it('says that an answer would be short while a node is gone with its disk, and finds everything once it is back', async () => {
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    await push('a', 0);
    await rig.kill('b');
    const refused = await rig.lines('a', ALL).then(
      () => undefined,
      (error: Error) => error.message,
    );
    expect(refused).to.contain('not all members could be asked');
    const partial = await rig
      .node('a')
      .node.services.queryAll(logRequest(ALL, { allowsPartial: true }), new AbortController().signal);
    expect(partial.statistics.missing).to.have.lengthOf(1);
    const found = partial.type === 'streams' ? partial.streams.flatMap(({ entries }) => entries) : [];
    expect(found.length).to.be.within(1, STREAMS - 1);
    await push('a', 1);
    await rig.start('b');
    await check('b is back');
    await settled();
    await check('settled');
  });

  it('stores what is left when the last node leaves', async () => {
    await rig.start('a');
    await push('a', 0);
    expect(await rig.leave('a')).to.equal(true);
    expect(rig.chunks.objects.size).to.equal(STREAMS);
    await rig.start('z');
    await check('stored');
  });

  it('gives a node more streams when its weight is raised', async () => {
    for (const nodeId of ['a', 'b']) await rig.start(nodeId);
    await push('a', 0);
    await rig.node('b').node.cluster?.setWeight(9);
    await settled();
    await check('weighted');
    await push('a', 1);
    await check('weighted and pushed');
    const { streams } = rig.node('b').node.figures();
    expect(streams, 'streams that were pushed to at b').to.be.greaterThan(STREAMS * 0.7);
    expect(rig.chunks.objects.size).to.equal(0);
  });

  it('brings what the log of a node refuses to the others, whoever is pushed to', async () => {
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    await push('a', 0);
    const disk = rig.disk('b');
    const whole = disk.diskSpace;
    disk.diskSpace = { ...whole, freeBytes: 0 };
    const { routing } = rig.node('a').node.cluster as ClusterMember;
    let round = 1;
    await eventually('b is passed over', async () => {
      await push('a', round++);
      return routing.figures.fallbacks > 0;
    });
    for (const nodeId of ['b', 'c']) await push(nodeId, round++);
    await check('full');
    disk.diskSpace = whole;
    disk.inject({ step: 'write', code: 'EIO' });
    for (const nodeId of ['b', 'a', 'c', 'b']) await push(nodeId, round++);
    await check('broken');
  });

  it('shares what a tenant may have in all', async () => {
    await rig.close();
    rig = await ClusterRig.open({ limits: { max_global_streams_per_user: STREAMS / 2, max_streams_per_user: 0 } });
    for (const nodeId of ['a', 'b']) await rig.start(nodeId);
    await eventually('a knows b', () => rig.node('a').node.cluster?.ring.members.length === 2);
    const streams = Object.fromEntries(
      Array.from({ length: 4 * STREAMS }, (_, at) => [streamOf(at), [entryAt(at, 'x')]]),
    );
    const { refusal, acceptedLines } = await rig.push('a', streams);
    expect([refusal?.code, acceptedLines]).to.deep.equal(['STREAM_LIMIT', STREAMS / 2]);
    for (const nodeId of ['a', 'b']) expect(rig.node(nodeId).node.figures().streams).to.equal(STREAMS / 4);
  });

  it('counts and labels over all nodes', async () => {
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    await push('a', 0);
    await push('b', 1);
    const { services } = rig.node('c').node;
    const range = { startNs: 0n, endNs: 2n ** 62n };
    expect(await services.labelValues('tenant', 'app', [], range)).to.have.lengthOf(STREAMS);
    expect(await services.series('tenant', [], range)).to.have.lengthOf(STREAMS);
  });
});
