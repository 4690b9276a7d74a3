/** Which of the lines of one time come first: the same before and after they are stored, and wherever they lie. */
import { expect } from 'chai';
import { linesOf } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt } from '../../support/entries.ts';

const STREAMS = 24;

describe('lines of one time in several streams', function () {
  this.timeout(60_000);
  const orders = new Map<string, string>();

  for (const nodeIds of [['a'], ['a', 'b', 'c']]) {
    it(`have one order, in memory and in the store, on ${nodeIds.length} nodes`, async () => {
      const rig = await ClusterRig.open();
      try {
        for (const nodeId of nodeIds) await rig.start(nodeId);
        const pods = Array.from({ length: STREAMS }, (_, pod) => pod);
        // What is pushed first, and by whom it is held, must not decide.
        if (nodeIds.length > 1) pods.reverse();
        for (const pod of pods) {
          const pushed = await rig.push('a', { [`{app="web", pod="p${pod}"}`]: [entryAt(0, `line of ${pod}`)] });
          expect(pushed.refusal).to.equal(undefined);
        }
        const look = async (): Promise<void> => {
          for (const direction of ['forward', 'backward'] as const) {
            for (const limit of [5, STREAMS]) {
              for (const nodeId of nodeIds) {
                const lines = await linesOf(rig.node(nodeId).node, '{app="web"} | drop pod', { direction, limit });
                expect(lines).to.have.length(limit);
                const asked = `${direction} ${limit}`;
                const first = orders.get(asked) ?? lines.join('\n');
                orders.set(asked, first);
                expect(lines.join('\n'), `${asked} at ${nodeId}`).to.equal(first);
              }
            }
          }
        };
        await look();
        for (const nodeId of nodeIds) await rig.node(nodeId).node.services.flush();
        await look();
        expect(rig.chunks.objects.size).to.equal(STREAMS);
      } finally {
        await rig.close();
      }
    });
  }

  it('are turned round by the other direction', () => {
    expect(orders.get(`backward ${STREAMS}`)?.split('\n').reverse()).to.deep.equal(
      orders.get(`forward ${STREAMS}`)?.split('\n'),
    );
  });
});
