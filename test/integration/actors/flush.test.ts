import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { startNode } from '../../../src/node.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { linesOf, sharedWorkers, startTestNode, type TestNode, testConfig } from '../../support/cluster.ts';
import { entryAt, pushOf } from '../../support/entries.ts';

const lineOf = (index: number): string => `line ${String(index).padStart(6, '0')} ${'x'.repeat(60)}`;
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));
const pushLine = (index: number, stream = 'web') => pushOf({ [`{app="${stream}"}`]: [entryAt(index, lineOf(index))] });

describe('flushing', function () {
  this.timeout(60_000);
  let running: TestNode;

  afterEach(async () => {
    await running?.node.stop({ deadlineMs: 2000 }).catch(() => undefined);
  });

  it('loses nothing when the chunk store fails for a while', async () => {
    running = await startTestNode();
    const { node, chunks } = running;
    let failures = 0;
    chunks.before = (operation) => {
      if (operation !== 'put' || failures >= 7) return;
      failures += 1;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'the disk is full' });
    };
    for (let index = 0; index < 300; index += 1) await node.services.push('tenant', pushLine(index, `s${index % 3}`));
    await node.services.flush();
    expect(failures, 'the failures happened').to.equal(7);
    expect(node.figures()).to.deep.include({ unflushedBytes: 0 });
    expect((await linesOf(node, '{app=~"s.*"}')).length).to.equal(300);
  });

  it('keeps a chunk in memory until its index rows are written too', async () => {
    running = await startTestNode();
    const { node, chunks, index } = running;
    let letWrite: () => void = () => undefined;
    const allowed = new Promise<void>((resolve) => {
      letWrite = resolve;
    });
    index.before = (operation) => (operation === 'write' ? allowed : undefined);
    await node.services.push('tenant', pushLine(0));
    const flushed = node.services.flush();
    while (chunks.objects.size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(node.figures().unflushedBytes).to.be.greaterThan(0);
    expect(await linesOf(node, '{app="web"}')).to.deep.equal([lineOf(0)]);
    letWrite();
    await flushed;
    expect(node.figures().unflushedBytes).to.equal(0);
    expect(await linesOf(node, '{app="web"}')).to.deep.equal([lineOf(0)]);
  });

  it('writes no index row when the object could not be stored', async () => {
    running = await startTestNode({ ingester: { flush_backoff_min: '1h', flush_backoff_max: '1h' } });
    const { node, chunks, index } = running;
    let rowWrites = 0;
    index.before = (operation) => {
      if (operation === 'write') rowWrites += 1;
    };
    chunks.before = () => {
      throw new Error('no');
    };
    await node.services.push('tenant', pushLine(0));
    const flushed = node.stop({ deadlineMs: 500 }).catch((error: unknown) => error);
    const error = await flushed;
    expect(error).to.be.instanceOf(RefusedError);
    expect((error as RefusedError).refusal.code).to.equal('DEADLINE_EXCEEDED');
    expect(rowWrites).to.equal(0);
  });

  it('refuses pushes when too much is unflushed, and takes them again when the store is back', async () => {
    running = await startTestNode({ ingester: { unflushed_memory_max: '1MB', chunk_encoding: 'none' } });
    const { node, chunks } = running;
    let isDown = true;
    chunks.before = (operation) => {
      if (isDown && operation === 'put') throw new Error('down');
    };
    const line = 'x'.repeat(50_000);
    const push = (index: number) =>
      node.services.push('tenant', pushOf({ [`{s="${index % 4}"}`]: [entryAt(index, `${index} ${line}`)] }));
    let accepted = 0;
    let refused = 0;
    for (let index = 0; index < 60; index += 1) {
      const { acceptedLines, refusal } = await push(index);
      accepted += acceptedLines;
      if (refusal?.code === 'OVERLOADED') refused += 1;
    }
    expect(refused, 'memory is bounded').to.be.greaterThan(0);
    expect(accepted + refused).to.equal(60);
    isDown = false;
    await node.services.flush();
    expect((await push(60)).acceptedLines).to.equal(1);
    expect((await linesOf(node, '{s=~".+"}')).length).to.equal(accepted + 1);
  });

  it('shows each entry once, before, during and after, to queries that run all the while', async () => {
    running = await startTestNode();
    const { node, chunks } = running;
    // A slow store makes the time long in which a chunk is in both places.
    chunks.before = () => new Promise((resolve) => setTimeout(resolve, 3));
    const acknowledged: string[] = [];
    let isPushing = true;
    const pushing = (async () => {
      for (let index = 0; index < 400; index += 1) {
        await node.services.push('tenant', pushLine(index));
        acknowledged.push(lineOf(index));
        if (index % 25 === 24) await new Promise((resolve) => setTimeout(resolve, 2));
      }
      isPushing = false;
    })();
    const flushing = (async () => {
      for (; isPushing; await pause()) await node.services.flush();
    })();
    let queries = 0;
    const querying = (async () => {
      while (isPushing || queries < 5) {
        const before = [...acknowledged];
        const found = await linesOf(node, '{app="web"}');
        expect(new Set(found).size, 'none twice').to.equal(found.length);
        expect(found.slice(0, before.length), 'none missing').to.deep.equal(before);
        queries += 1;
        await pause();
      }
    })();
    await Promise.all([pushing, flushing, querying]);
    expect(chunks.objects.size, 'there were flushes').to.be.greaterThan(3);
    await node.services.flush();
    expect(await linesOf(node, '{app="web"}')).to.deep.equal(acknowledged);
  });

  it('lets go of its folder when it cannot start, and starts once it can', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-node-'));
    try {
      const config = testConfig({ data_dir: folder });
      const first = await startNode(config, { workers: sharedWorkers() });
      await first.services.push('tenant', pushLine(0));
      await first.stop({ deadlineMs: 10_000 });
      const identity = path.join(folder, 'identity.json');
      const own = await readFile(identity, 'utf8');
      await writeFile(identity, JSON.stringify({ uid: '0'.repeat(32), incarnation: 1 }));
      const failed = await startNode(config, { workers: sharedWorkers() }).catch((error: unknown) => error);
      expect((failed as RefusedError).refusal.code).to.equal('STORAGE_UNAVAILABLE');
      expect((failed as RefusedError).message).to.match(/belongs to the disk/);
      await writeFile(identity, own);
      const second = await startNode(config, { workers: sharedWorkers() });
      expect(await linesOf(second, '{app="web"}')).to.deep.equal([lineOf(0)]);
      await second.stop({ deadlineMs: 10_000 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('keeps everything over a clean stop and a restart, on files and LMDB', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-node-'));
    try {
      const config = testConfig({ data_dir: folder });
      const first = await startNode(config, { workers: sharedWorkers() });
      const push = pushOf({ '{app="web"}': Array.from({ length: 500 }, (_, index) => entryAt(index, lineOf(index))) });
      await first.services.push('tenant', push);
      await first.stop({ deadlineMs: 10_000 });
      const second = await startNode(config, { workers: sharedWorkers() });
      expect(await linesOf(second, '{app="web"}')).to.deep.equal(Array.from({ length: 500 }, (_, i) => lineOf(i)));
      await second.stop({ deadlineMs: 10_000 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
