/** What real Loki answered, asked of a cluster whose members change meanwhile. Nothing is flushed: each answer is of what the members hold. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { request } from 'undici';
import { LocalCluster } from '../../src/cli/local-cluster.ts';
import type { RingStatus } from '../../src/member/cluster-services.ts';
import { expectOnly, failedInParallel, failedQueries } from '../support/conformance-check.ts';
import { SERVED_EXCEPTIONS } from '../support/conformance-exceptions.ts';
import { KIT_DATA, kitSettings, loadKit } from '../support/conformance-kit.ts';
import { buildNodes, SERVE } from '../support/node-process.ts';

const TENANT = 'conformance';
const AT_ONCE = 200;

/** Bytes of streams that moved are those of the log, about 15 more a line: beyond what the kit allows. Which streams that is depends on the ring. */
const VOLUMES = /^stats-0(2[89]|3[0-4])$/;

const butVolumes = (failed: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map([...failed].filter(([id]) => !VOLUMES.test(id)));

/** A new node is left alone for 3 s; on a busy machine a walk takes its time. */
const MOVED_MS = 20_000;

describe('three nodes and the recorded answers of Loki 3.7.6', function () {
  this.timeout(300_000);
  let folder: string;
  let cluster: LocalCluster;
  let kit: Awaited<ReturnType<typeof loadKit>>;
  const urlOf = (nodeId: string): string => cluster.node(nodeId)?.url ?? '';

  before(async () => {
    buildNodes();
    folder = mkdtempSync(path.join(os.tmpdir(), 'rl-kit-'));
    const settings = {
      ...kitSettings(),
      querier: { scan_workers: 1, max_outstanding_per_tenant: AT_ONCE },
      cluster: { linger: '4s', unsafe_short_linger: true },
    };
    cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
    await Promise.all(['node-1', 'node-2', 'node-3'].map((nodeId) => cluster.start(nodeId)));
    kit = await loadKit();
  });
  after(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Actors, and what was adopted and lies in the log. */
  const heldByNode = async (): Promise<readonly number[]> => {
    const answer = await request(`${urlOf('node-1')}/ringlog/v1/ring`);
    const { nodes } = (await answer.body.json()) as RingStatus;
    return nodes.map(({ figures }) => (figures ? figures.streams + figures.loggedSegments : 0));
  };

  /** Once the fourth node has anything: nothing moves to it at once. */
  const heldOnceMoved = async (): Promise<readonly number[]> => {
    for (const endMs = performance.now() + MOVED_MS; ; ) {
      const counts = await heldByNode();
      if ((counts[3] ?? 0) > 0 || performance.now() > endMs) return counts;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };

  it('takes the kit’s data at any node, and spreads it', async () => {
    expect((await kit.load(urlOf('node-1'), KIT_DATA, TENANT)).entries).to.be.above(12_000);
    const counts = await heldByNode();
    expect(counts).to.have.length(3);
    expect(Math.min(...counts), `held by node: ${counts}`).to.be.above(0);
  });

  it('answers as Loki when very many ask at once, of all nodes', async () => {
    const urls = cluster.nodes.map(({ url }) => url);
    const { failed, asked } = await failedInParallel(kit, urls, TENANT, { count: 2 * AT_ONCE, concurrency: AT_ONCE });
    expect(asked.size).to.be.within(2 * AT_ONCE, 2 * AT_ONCE + 1);
    expectOnly(failed, new Map([...SERVED_EXCEPTIONS].filter(([id]) => asked.has(id))));
  });

  it('answers as Loki while a node joins and leaves again', async () => {
    const joined: (readonly number[])[] = [];
    let isDone = false;
    const resizing = (async () => {
      while (!isDone) {
        await cluster.start('node-4');
        joined.push(await heldOnceMoved());
        expect(await cluster.drain('node-4'), 'exit code').to.equal(0);
      }
    })();
    try {
      expectOnly(butVolumes(await failedQueries(kit, urlOf('node-2'), TENANT)), SERVED_EXCEPTIONS);
    } finally {
      isDone = true;
      await resizing;
    }
    expect(joined.length, 'resizes').to.be.above(0);
    for (const counts of joined) expect(counts[3], `held by node: ${counts}`).to.be.above(0);
  });

  it('answers as Loki from the nodes that are left', async () => {
    expectOnly(butVolumes(await failedQueries(kit, urlOf('node-3'), TENANT)), SERVED_EXCEPTIONS);
  });
});
