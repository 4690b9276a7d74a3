import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { decodePushBody, dispatch, loadConfig, type QueryEvent, startNode } from '../../../src/index.ts';

describe('the library', function () {
  this.timeout(60_000);

  it('runs a node inside a program, takes a push and answers a query as an actor', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-library-'));
    const flags = { data_dir: folder, ingester: { cut_workers: 1 }, querier: { scan_workers: 1 } };
    const node = await startNode(loadConfig({ flags }));
    try {
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      const body = Buffer.from(
        JSON.stringify({ streams: [{ stream: { app: 'web' }, values: [[`${nowNs}`, 'hello']] }] }),
      );
      const limits = { compressedBytesMax: 1 << 20, decompressedBytesMax: 1 << 20 };
      const how = { contentType: 'application/json', contentEncoding: undefined, isLegacy: false };
      const push = await decodePushBody({ ...how, body, limits });
      expect((await node.services.push('me', push)).acceptedLines).to.equal(1);
      const events: QueryEvent[] = [];
      await new Promise<void>((resolve) => {
        const query = node.spawnQuery(
          {
            tenant: 'me',
            query: '{app="web"}',
            startNs: nowNs - 1n,
            endNs: nowNs + 1n,
            stepNs: 0n,
            isInstant: false,
            limit: 10,
            direction: 'backward',
            intervalNs: 0n,
            categorizeLabels: false,
            limits: { timeoutMs: 5000, bytesReadMax: 0, seriesMax: 0 },
          },
          (event) => {
            events.push(event);
            if (event.type === 'done' || event.type === 'failed') resolve();
          },
        );
        dispatch(query, { type: 'pull', credits: 10 });
      });
      expect(events.map(({ type }) => type)).to.deep.equal(['entries', 'done']);
    } finally {
      await node.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
