/** What is added to streams and entries where they are pushed: once, wherever they are kept then. */
import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { logRequest, startTestNode } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';

const LIMITS = { discover_service_name: DEFAULT_LIMITS.discoverServiceName, discover_log_levels: true };
const STREAMS = 30;
const LINES = ['level=warn x', '{"level":"error"}', 'plain'];

/** `service_name detected_level line` of everything. */
const found = async (node: RinglogNode): Promise<readonly string[]> => {
  const result = await node.services.queryAll(
    logRequest('{service_name=~".+"}', { categorizeLabels: true }),
    new AbortController().signal,
  );
  if (result.type !== 'streams') throw new Error(`expected streams, got ${result.type}`);
  return result.streams
    .flatMap(({ labels, entries }) =>
      entries.map(
        ({ line, metadata }) => `${labels[labels.indexOf('service_name') + 1]} ${metadata?.join('=')} ${line}`,
      ),
    )
    .sort();
};

const wanted = (app: string, levels = ['warn', 'error', 'unknown']): readonly string[] =>
  LINES.map((line, index) => `${app} ${levels[index] ? `detected_level=${levels[index]}` : undefined} ${line}`);

describe('service names and levels', function () {
  this.timeout(60_000);

  it('are added once in a cluster, and are the same from memory, from the store and after a hand-over', async () => {
    const rig = await ClusterRig.open({ limits: LIMITS });
    try {
      for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
      const streams = Object.fromEntries(
        Array.from({ length: STREAMS }, (_, index) => [
          `{app="app-${index}"}`,
          LINES.map((line, at) => entryAt(at, line)),
        ]),
      );
      expect((await rig.push('a', streams)).acceptedLines).to.equal(STREAMS * LINES.length);
      const all = Array.from({ length: STREAMS }, (_, index) => wanted(`app-${index}`))
        .flat()
        .sort();
      for (const nodeId of ['a', 'b', 'c']) {
        expect(await found(rig.node(nodeId).node), `memory, asked ${nodeId}`).to.deep.equal(all);
      }
      expect(await rig.leave('c')).to.equal(true);
      expect(await found(rig.node('b').node), 'after c left').to.deep.equal(all);
      for (const { node } of rig.nodes.values()) await node.services.flush();
      expect(await found(rig.node('a').node), 'store').to.deep.equal(all);
    } finally {
      await rig.close();
    }
  });

  it('leave entries without a level where the schema of the time has no place for it', async () => {
    const configs = [{ from: '2020-01-01', schema: 'v12' }];
    const { node } = await startTestNode({ limits: LIMITS, schema_config: { configs } });
    try {
      const push = pushOf({ '{app="web"}': LINES.map((line, at) => entryAt(at, line)) });
      expect((await node.services.push('tenant', push)).refusal).to.equal(undefined);
      const all = [...wanted('web', [])].sort();
      expect(await found(node), `memory at ${T0_MS}`).to.deep.equal(all);
      await node.services.flush();
      expect(await found(node), 'store').to.deep.equal(all);
    } finally {
      await node.stop({ deadlineMs: 5000 });
    }
  });
});
