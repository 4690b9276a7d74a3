import { expect } from 'chai';
import type { EntryRange } from '../../../src/protocol/entry-columns.ts';
import { ManualClock } from '../../support/clock.ts';
import { linesOf, startTestNode, type TestNode } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('stream actors', function () {
  this.timeout(60_000);
  let running: TestNode;

  afterEach(async () => {
    await running.node.stop({ deadlineMs: 5000 }).catch(() => undefined);
  });

  it('are 20,000 on one node, each found by its labels', async () => {
    running = await startTestNode();
    const { node } = running;
    const names = Array.from({ length: 20_000 }, (_, index) => `{app="app-${index % 100}", stream="${index}"}`);
    for (let first = 0; first < names.length; first += 1000) {
      const streams = names.slice(first, first + 1000).map((name) => [name, [entryAt(0, `line of ${name}`)]] as const);
      expect((await node.services.push('tenant', pushOf(Object.fromEntries(streams)))).acceptedLines).to.equal(1000);
    }
    expect(node.figures().streams).to.equal(20_000);
    expect((await linesOf(node, '{app="app-7"}')).length).to.equal(200);
    expect(await linesOf(node, '{stream="12345"}')).to.deep.equal(['line of {app="app-45", stream="12345"}']);
  });

  it('go on from their cell after a crash: the batch at hand is refused, nothing accepted is lost', async () => {
    running = await startTestNode();
    const { node, problems } = running;
    await node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(0, 'before')] }));
    const push = pushOf({ '{app="web"}': [entryAt(1, 'broken')] });
    // A defect in the making: the columns change under the actor once they are validated.
    const columns = push.streams[0]!.columns;
    let looks = 0;
    const broken: EntryRange['columns'] = {
      ...columns,
      get lineOffsets() {
        looks += 1;
        if (looks > 1) throw new Error('a defect');
        return columns.lineOffsets;
      },
    };
    const stream = { ...push.streams[0]!, columns: broken };
    const { refusal, acceptedLines } = await node.services.push('tenant', { streams: [stream] });
    expect(acceptedLines).to.equal(0);
    expect(refusal).to.deep.equal({ code: 'INTERNAL', text: 'the stream failed to store the entries' });
    expect(node.figures().streamCrashes).to.equal(1);
    expect(problems).to.deep.equal(['the stream {app="web"} failed']);
    const after = await node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(2, 'after')] }));
    expect(after.acceptedLines).to.equal(1);
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(['before', 'after']);
  });

  it('flush what is idle and what is old when the sweep comes by', async () => {
    const clock = new ManualClock(T0_MS);
    running = await startTestNode({ ingester: { chunk_idle_period: '30m', max_chunk_age: '2h' } }, { clock });
    const { node } = running;
    await node.services.push('tenant', pushOf({ '{s="idle"}': [entryAt(0, 'x')] }));
    clock.advance(29 * 60_000);
    const old = [entryAt(-7_200_001, 'y'), entryAt(0, 'y')];
    await node.services.push('tenant', pushOf({ '{s="old"}': old, '{s="neither"}': [entryAt(0, 'z')] }));
    clock.advance(2 * 60_000);
    await node.sweep();
    await untilFlushed(node, 2);
    expect(node.figures().flush.flushed).to.deep.include({ idle: 1, old: 1, asked: 0 });
  });

  it('give up their actor when empty and idle, and open again at the next append', async () => {
    const clock = new ManualClock(T0_MS);
    running = await startTestNode({ ingester: { stream_idle_period: '15m' } }, { clock });
    const { node } = running;
    await node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(0, 'first')] }));
    await node.services.flush();
    await node.sweep();
    await turns(5);
    expect(node.figures().streams, 'not idle for long enough').to.equal(1);
    clock.advance(15 * 60_000 + 1);
    await node.sweep();
    await turns(5);
    expect(node.figures().streams).to.equal(0);
    await node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(1, 'second')] }));
    expect(node.figures()).to.deep.include({ streams: 1, streamsCreated: 2 });
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(['first', 'second']);
  });

  it('keep their actor while an append is on its way', async () => {
    const clock = new ManualClock(T0_MS);
    running = await startTestNode({ ingester: { stream_idle_period: '15m' } }, { clock });
    const { node } = running;
    await node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(0, 'first')] }));
    await node.services.flush();
    clock.advance(15 * 60_000 + 1);
    const sweep = node.sweep();
    const pushed = node.services.push('tenant', pushOf({ '{app="web"}': [entryAt(1, 'second')] }));
    await sweep;
    expect((await pushed).acceptedLines).to.equal(1);
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(['first', 'second']);
  });

  it('cut the largest heads early when all heads together take too much memory', async () => {
    const settings = { chunk_block_size: '4MB', chunk_target_size: '64MB', head_memory_budget: '1MB' };
    running = await startTestNode({ ingester: settings });
    const { node } = running;
    const line = 'x'.repeat(1000);
    for (let round = 0; round < 40; round += 1) {
      const streams = Array.from({ length: 50 }, (_, index) => [`{s="${index}"}`, [entryAt(round, line)]] as const);
      await node.services.push('tenant', pushOf(Object.fromEntries(streams)));
    }
    expect(node.figures().headBytes).to.be.at.most(1 << 20);
    expect((await linesOf(node, '{s=~".+"}')).length).to.equal(2000);
  });
});

const untilFlushed = async (node: TestNode['node'], count: number): Promise<void> => {
  for (let turn = 0; turn < 10_000; turn += 1) {
    const { flushed, pending } = node.figures().flush;
    if (pending === 0 && Object.values(flushed).reduce((sum, one) => sum + one, 0) >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`expected ${count} flushes, found ${JSON.stringify(node.figures().flush)}`);
};
