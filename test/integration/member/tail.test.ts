/** A tail asked of one node of a cluster. */
import { expect } from 'chai';
import type { RunningTail } from '../../../src/actors/node-services.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { eventually } from '../../support/eventually.ts';

const STREAMS = 24;

describe('a tail in a cluster', function () {
  this.timeout(90_000);
  let rig: ClusterRig;
  let tail: RunningTail;
  let shown: string[];
  let pushed: string[];
  let ended: Promise<void>;

  beforeEach(async () => {
    rig = await ClusterRig.open();
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    shown = [];
    pushed = [];
  });
  afterEach(async () => {
    tail.cancel();
    await ended.catch(() => undefined);
    await rig.close();
  });

  const open = (nodeId: string): void => {
    const request = {
      tenant: 'tenant',
      query: '{app=~".+"} |= "round"',
      startNs: BigInt(Date.now() - 3_600_000) * 1_000_000n,
      limit: 10_000,
      delayMs: 0,
    };
    tail = rig.node(nodeId).node.services.tail(request);
    ended = (async () => {
      for await (const { streams } of tail.frames) {
        for (const { entries } of streams) for (const { line } of entries) shown.push(line);
      }
    })();
  };
  const push = async (nodeId: string, round: number): Promise<void> => {
    const timeNs = BigInt(Date.now()) * 1_000_000n;
    const streams = Object.fromEntries(
      Array.from({ length: STREAMS }, (_, index) => {
        const line = `round ${round} of ${index}`;
        pushed.push(line);
        return [`{app="app-${index}"}`, [{ timeNs, line }]];
      }),
    );
    const { refusal, acceptedLines } = await rig.push(nodeId, streams);
    expect([refusal, acceptedLines]).to.deep.equal([undefined, STREAMS]);
  };
  const allShown = async (when: string): Promise<void> => {
    const missing = () => pushed.filter((line) => !shown.includes(line));
    await eventually(`everything is shown ${when}`, () => missing().length === 0, missing, 20_000);
    expect([...shown].sort(), when).to.deep.equal([...pushed].sort());
  };

  it('shows what is appended at any node, each entry once, whoever joins and leaves', async () => {
    await push('b', 0);
    open('a');
    await push('b', 1);
    await allShown('from before and right after it began');
    await push('c', 2);
    await allShown('from all nodes');
    await rig.start('d');
    await push('b', 3);
    await allShown('with one more');
    expect(await rig.leave('c')).to.equal(true);
    await push('d', 4);
    await allShown('with one less');
    for (const { node } of rig.nodes.values()) await node.services.flush();
    await push('a', 5);
    await allShown('after a flush');
  });

  it('hears a node again that was started anew', async () => {
    open('a');
    await push('a', 0);
    await allShown('at first');
    await rig.kill('b');
    await rig.start('b');
    await push('b', 1);
    await allShown('after the restart');
  });
});
