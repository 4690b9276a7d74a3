import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import { linesOf, logRequest } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';

const DAY_MS = 86_400_000;
const DAYS = 6;

describe('a cluster that compacts', function () {
  this.timeout(60_000);
  let rig: ClusterRig;

  beforeEach(async () => {
    rig = await ClusterRig.open({
      schema_config: { configs: [{ from: '2020-01-01', schema: 'v13', index: { period: '24h' } }] },
      compactor: { retention_enabled: true, delete_request_cancel_period: '0s', retention_delete_delay: '0s' },
    });
    for (const name of ['a', 'b', 'c']) await rig.start(name);
  });

  afterEach(() => rig.close());

  const nodes = (): readonly RinglogNode[] => Array.from(rig.nodes.values(), ({ node }) => node);

  const linesAt = (node: RinglogNode): Promise<readonly string[]> =>
    linesOf(node, '{app=~".+"}', {
      startNs: BigInt(T0_MS - DAY_MS) * 1_000_000n,
      endNs: BigInt(T0_MS + 9 * DAY_MS) * 1_000_000n,
    });

  it('hides a request that one node took on all of them, in memory and stored, and each table is compacted by one', async () => {
    const [first, second] = nodes() as [RinglogNode, RinglogNode];
    for (let day = 0; day < DAYS; day += 1) {
      // A chunk a day: one of several tables may be written anew by several nodes, with the same bytes.
      for (const app of ['web', 'db', 'cache']) {
        const entries = [
          entryAt(day * DAY_MS, `${app} ${day} secret`),
          entryAt(day * DAY_MS + 1, `${app} ${day} plain`),
        ];
        await first.services.push('tenant', pushOf({ [`{app="${app}"}`]: entries }));
      }
      if (day < DAYS - 1) for (const node of nodes()) await node.services.flush();
    }
    expect((await linesAt(second)).length).to.equal(2 * 3 * DAYS);
    const deletes = second.services.deletes;
    await deletes?.add('tenant', { query: '{} |= "secret"', startMs: T0_MS - DAY_MS, endMs: T0_MS + 9 * DAY_MS });
    for (const node of nodes()) {
      const found = await linesAt(node);
      expect([found.length, found.some((line) => line.includes('secret'))]).to.deep.equal([3 * DAYS, false]);
      const count = { ...logRequest('sum(count_over_time({app=~".+"}[12d]))'), isInstant: true };
      const at = BigInt(T0_MS + 9 * DAY_MS) * 1_000_000n;
      const answer = await node.services.queryAll({ ...count, startNs: at, endNs: at }, new AbortController().signal);
      expect(answer.type === 'vector' && answer.series[0]?.values[0]).to.equal(3 * DAYS);
    }
    const outcomes = await Promise.all(nodes().map((node) => node.compactor?.compact()));
    const tables = outcomes.map((outcome) => outcome?.tables ?? 0);
    expect(tables.reduce((sum, count) => sum + count)).to.equal(DAYS - 1);
    expect(outcomes.reduce((sum, outcome) => sum + (outcome?.deletedLines ?? 0), 0)).to.equal(3 * (DAYS - 1));
    // Whoever was ready first did not see the others' tables done.
    await first.compactor?.compact();
    expect((await deletes?.list('tenant'))?.map(({ status }) => status)).to.deep.equal(['processed']);
    for (const node of nodes()) expect((await linesAt(node)).length).to.equal(3 * DAYS);
  });
});
