import { expect } from 'chai';
import { linesOf, startTestNode, type TestNode } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';

const lines = (count: number, prefix = 'line'): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix} ${String(index).padStart(6, '0')} ${'x'.repeat(80)}`);

const entriesOf = (texts: readonly string[], firstMs = 0) => texts.map((line, index) => entryAt(firstMs + index, line));

describe('a node', function () {
  this.timeout(60_000);
  let running: TestNode[] = [];

  const start = async (...args: Parameters<typeof startTestNode>): Promise<TestNode> => {
    const started = await startTestNode(...args);
    running.push(started);
    return started;
  };

  afterEach(async () => {
    for (const { node } of running) await node.stop({ deadlineMs: 5000 }).catch(() => undefined);
    running = [];
  });

  it('answers a query from memory with what was pushed', async () => {
    const { node } = await start();
    const outcome = await node.services.push('tenant', pushOf({ '{app="web"}': entriesOf(lines(3)) }));
    expect(outcome).to.deep.equal({ acceptedLines: 3, acceptedBytes: 3 * lines(1)[0]!.length, refusal: undefined });
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(lines(3));
  });

  it('answers the same from the store after a flush, and holds nothing any more', async () => {
    const { node, chunks } = await start();
    await node.services.push('tenant', pushOf({ '{app="web"}': entriesOf(lines(100)) }));
    await node.services.flush();
    expect(node.figures().unflushedBytes).to.equal(0);
    expect(chunks.objects.size).to.be.at.least(1);
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(lines(100));
  });

  it('answers the same after a clean stop and a restart over the same stores', async () => {
    const first = await start();
    await first.node.services.push('tenant', pushOf({ '{app="web"}': entriesOf(lines(100)) }));
    await first.node.stop({ deadlineMs: 5000 });
    const second = await start({}, { chunks: first.chunks, index: first.index });
    expect(await linesOf(second.node, '{app="web"}')).to.deep.equal(lines(100));
  });

  it('keeps tenants apart', async () => {
    const { node } = await start();
    await node.services.push('other', pushOf({ '{app="web"}': entriesOf(lines(3)) }));
    expect(await linesOf(node, '{app="web"}')).to.deep.equal([]);
  });

  it('stores the streams of a push once each, however often it names them', async () => {
    const { node } = await start();
    const push = pushOf({
      '{app="web",env="dev"}': entriesOf(lines(2)),
      '{env="dev",app="web"}': entriesOf(lines(2), 10),
    });
    expect((await node.services.push('tenant', push)).acceptedLines).to.equal(4);
    expect(node.figures().streams).to.equal(1);
  });

  it('lists label names, values and series of memory and store together', async () => {
    const { node } = await start();
    await node.services.push('tenant', pushOf({ '{app="old",host="a"}': entriesOf(lines(1)) }));
    await node.services.flush();
    await node.services.push('tenant', pushOf({ '{app="new"}': entriesOf(lines(1)) }));
    const range = { startNs: 0n, endNs: BigInt(T0_MS + 1000) * 1_000_000n };
    expect(await node.services.labelNames('tenant', [], range)).to.deep.equal(['app', 'host']);
    expect(await node.services.labelValues('tenant', 'app', [], range)).to.deep.equal(['new', 'old']);
    const series = await node.services.series('tenant', [], range);
    expect(series.map(({ canonical }) => canonical)).to.have.members(['{app="old", host="a"}', '{app="new"}']);
    const some = await node.services.series('tenant', [[{ name: 'host', op: '=~', value: '.+' }]], range);
    expect(some.map(({ canonical }) => canonical)).to.deep.equal(['{app="old", host="a"}']);
  });

  describe('refuses', () => {
    it('a push with a label text that does not parse, whole', async () => {
      const { node } = await start();
      const push = pushOf({ '{app="web"}': entriesOf(lines(1)), '{app=~"web"}': entriesOf(lines(1)) });
      const { refusal, acceptedLines } = await node.services.push('tenant', push);
      expect(refusal).to.deep.equal({
        code: 'BAD_REQUEST',
        text: 'couldn\'t parse labels: 1:5: parse error: unexpected <op:=~> in label set, expected "="',
      });
      expect(acceptedLines).to.equal(0);
      expect(await linesOf(node, '{app="web"}')).to.deep.equal([]);
    });

    it('a push without streams', async () => {
      const { node } = await start();
      expect((await node.services.push('tenant', { streams: [] })).refusal?.code).to.equal('EMPTY_PUSH');
    });

    it('a push over the rate of its tenant, whole', async () => {
      const { node } = await start({ limits: { ingestion_rate_mb: 0.001, ingestion_burst_size_mb: 0.001 } });
      const { refusal } = await node.services.push('tenant', pushOf({ '{app="web"}': entriesOf(lines(30)) }));
      expect(refusal?.code).to.equal('RATE_LIMITED');
      expect(node.figures().streams).to.equal(0);
    });

    it('one stream more than the tenant may have, and stores the others', async () => {
      const { node } = await start({ limits: { max_global_streams_per_user: 2 } });
      await node.services.push('tenant', pushOf({ '{s="1"}': entriesOf(lines(1)), '{s="2"}': entriesOf(lines(1)) }));
      const push = pushOf({ '{s="3"}': entriesOf(lines(1)), '{s="1"}': entriesOf(lines(1), 5) });
      const { refusal, acceptedLines } = await node.services.push('tenant', push);
      expect(refusal).to.deep.equal({
        code: 'STREAM_LIMIT',
        text:
          'maximum active stream limit exceeded when trying to create stream {s="3"}, reduce the number of active streams ' +
          '(reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be ' +
          "increased, user: 'tenant'",
      });
      expect(acceptedLines).to.equal(1);
    });

    it('late entries of the first stream, also when the last one is fine', async () => {
      const { node } = await start();
      await node.services.push('tenant', pushOf({ '{s="1"}': [entryAt(7_200_000, 'newest')] }));
      const push = pushOf({ '{s="1"}': [entryAt(0, 'late')], '{s="2"}': [entryAt(0, 'fine')] });
      const { refusal } = await node.services.push('tenant', push);
      expect(refusal?.code).to.equal('INVALID_ENTRIES');
      expect(refusal?.text).to.match(/entry too far behind.*total ignored: 1 out of 1 for stream: \{s="1"\}$/s);
      expect(await linesOf(node, '{s="2"}')).to.deep.equal(['fine']);
    });

    it('invalid entries and stores the valid ones beside them', async () => {
      const { node } = await start({ limits: { max_line_size: '10B' } });
      const push = pushOf({ '{app="web"}': [entryAt(0, 'short'), entryAt(1, 'much too long')] });
      const { refusal, acceptedLines } = await node.services.push('tenant', push);
      expect(refusal?.text).to.match(/^max entry size '10' bytes exceeded for stream '\{app="web"\}'/);
      expect(acceptedLines).to.equal(1);
    });

    it('pushes while it is stopping', async () => {
      const { node } = await start();
      await node.stop({ deadlineMs: 1000 });
      const { refusal } = await node.services.push('tenant', pushOf({ '{app="web"}': entriesOf(lines(1)) }));
      expect(refusal).to.deep.include({ code: 'OVERLOADED', text: 'Application is stopping' });
      expect(node.services.notReady()).to.equal('Application is stopping');
    });
  });
});
