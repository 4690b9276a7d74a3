/** How much a cluster holds: each entry once, wherever it lies. */
import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, MS_NS, T0_NS } from '../../support/entries.ts';

const STREAMS = 24;
const ENTRIES = 40;
const LINE = 'x'.repeat(100);
const RANGE = { startNs: T0_NS - 1_000_000n * MS_NS, endNs: T0_NS + 1_000_000n * MS_NS };

interface Sum {
  readonly streams: number;
  readonly entries: number;
  readonly bytes: number;
}

const sumOf = async (node: RinglogNode, name = 'app'): Promise<Sum> => {
  const matchers = [{ name, op: '=~' as const, value: '.+' }];
  const request = { tenant: 'tenant', matchers, range: RANGE, timeoutMs: 20_000 };
  const volumes = await node.services.volumes(request, new AbortController().signal);
  const parts = volumes.flatMap((volume) => volume.parts);
  return {
    streams: volumes.length,
    entries: parts.reduce((sum, { entries }) => sum + entries, 0),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
};

describe('volumes of a cluster', function () {
  this.timeout(60_000);
  let rig: ClusterRig;

  before(async () => {
    rig = await ClusterRig.open();
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
  });
  after(() => rig.close());

  const push = async (nodeId: string, round: number): Promise<void> => {
    const entries = Array.from({ length: ENTRIES }, (_, index) => entryAt(round * ENTRIES + index, LINE));
    const streams = Object.fromEntries(
      Array.from({ length: STREAMS }, (_, index) => [`{app="app-${index}"}`, entries]),
    );
    expect((await rig.push(nodeId, streams)).refusal).to.equal(undefined);
  };
  const check = async (rounds: number, when: string): Promise<void> => {
    const entries = rounds * STREAMS * ENTRIES;
    for (const [nodeId, { node }] of rig.nodes) {
      const { bytes, ...counts } = await sumOf(node);
      expect(counts, `${when}, asked ${nodeId}`).to.deep.equal({ streams: STREAMS, entries });
      // What lies in the log alone counts with the lengths of its lines.
      expect(bytes).to.be.within(entries * LINE.length, 1.05 * entries * LINE.length);
    }
  };

  it('are the same at any node: in memory, in the store, in both, and after a node has left', async () => {
    await push('a', 0);
    await check(1, 'in memory');
    for (const { node } of rig.nodes.values()) await node.services.flush();
    await check(1, 'in the store');
    await push('b', 1);
    await check(2, 'in both');
    expect(await rig.leave('c')).to.equal(true);
    await check(2, 'after c left');
  });

  it('are none where nothing matches', async () => {
    expect(await sumOf(rig.node('a').node, 'nobody')).to.deep.equal({ streams: 0, entries: 0, bytes: 0 });
  });
});
