import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { linesOf, startTestNode, type TestNode } from '../../support/cluster.ts';
import { entryAt, pushOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';

const UID = '00112233445566778899aabbccddeeff';
const PUSHES = 1500;
const STREAMS = 8;
const LINES = 40;
const MEMORY = { ingester: { unflushed_memory_max: '1MB', head_memory_budget: '1MB' } };

const lineOf = (index: number): string => `${index} ${Math.sin(index).toString(36)} `.repeat(3);

const pushOne = async (node: RinglogNode, push: number): Promise<boolean> => {
  const entries = Array.from({ length: LINES }, (_, line) => entryAt(push * LINES + line, lineOf(push * LINES + line)));
  const { refusal } = await node.services.push('tenant', pushOf({ [`{app="s${push % STREAMS}"}`]: entries }));
  if (refusal && refusal.code !== 'OVERLOADED') throw new Error(refusal.text);
  return refusal === undefined;
};

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

/** As an agent does: what is refused for now is sent again. How many got in before one did not for a second. */
const pushMany = async (node: RinglogNode): Promise<number> => {
  for (let push = 0; push < PUSHES; push += 1) {
    const deadline = performance.now() + 1000;
    while (!(await pushOne(node, push))) {
      if (performance.now() > deadline) return push;
      await turn();
    }
  }
  return PUSHES;
};

const sorted = (lines: readonly string[]): readonly string[] => [...lines].sort();
const ALL = sorted(Array.from({ length: PUSHES * LINES }, (_, index) => lineOf(index)));

describe('a node whose store is down for longer than its memory lasts', function () {
  this.timeout(60_000);
  let running: TestNode;
  let isDown = true;

  const start = async (deps: Parameters<typeof startTestNode>[1] = {}): Promise<void> => {
    isDown = true;
    running = await startTestNode(MEMORY, deps);
    running.chunks.before = (operation) => {
      if (operation === 'put' && isDown) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'down' });
    };
  };
  afterEach(async () => {
    isDown = false;
    await running.node.stop({ deadlineMs: 2000 }).catch(() => undefined);
  });

  it('goes on taking pushes: what is sealed is left to the log, found there, and stored from there', async () => {
    const identity = { uid: UID, incarnation: 1 };
    await start({ logDisk: { files: new PowerLossFiles().process(), identity } });
    const { node, chunks } = running;
    expect(await pushMany(node)).to.equal(PUSHES);
    expect(node.figures().unflushedBytes).to.be.lessThan(1_000_000);
    expect(node.figures().log?.liveBytes, 'more than memory holds').to.be.greaterThan(3_000_000);
    expect(sorted(await linesOf(node, '{app=~".+"}'))).to.deep.equal(ALL);
    expect(chunks.objects.size).to.equal(0);
    isDown = false;
    await node.services.flush();
    expect(node.figures()).to.deep.include({ unflushedBytes: 0 });
    expect(sorted(await linesOf(node, '{app=~".+"}'))).to.deep.equal(ALL);
  });

  it('refuses pushes before they are stored, to be sent again, where there is no log', async () => {
    await start();
    expect(await pushMany(running.node)).to.be.within(1, PUSHES - 1);
    expect(running.node.figures().unflushedBytes).to.be.lessThan(1_200_000);
  });
});
