import { expect } from 'chai';
import { start, stop } from 'nact';
import { Flusher, type JobSegment } from '../../../src/actors/flusher.ts';
import { type BlockData, segmentName } from '../../../src/chunk/memory-format.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { streamName } from '../../../src/storage/chunk-key.ts';
import { defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { ManualClock } from '../../support/clock.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const LABELS = labelSetOf(['app', 'web']);

const segmentOf = (counter: number): JobSegment => ({
  id: { nodeId: 'x', incarnation: 1, counter },
  log: { wasShared: true } as unknown as LogSegment,
  mayBeCommitted: false,
  stored: () => undefined,
});

describe('Flusher', () => {
  const system = start();
  after(() => stop(system));

  it('leaves an object to the others that may have the same, when its own commit comes too late', async () => {
    const chunks = new MemoryChunkStore();
    const index = new MemoryIndexStore();
    const flusher = new Flusher({
      system,
      clock: new ManualClock(),
      chance: () => 0,
      // Of equal entries: the same bytes, so the same key.
      encode: async () => ({ bytes: new Uint8Array(8), fromMs: 1000, throughMs: 2000, checksum: 7 }),
      chunks,
      index,
      schema: defaultSchemaConfig(),
      encoding: 'snappy',
      level: 0,
      blockSize: 1024,
      concurrencyMax: 2,
      backOff: { firstMs: 1, lastMs: 1 },
      timeoutMs: 1000,
      ended: () => undefined,
      report: (_problem, error) => {
        throw error;
      },
    });
    const flush = (segment: JobSegment): Promise<void> =>
      new Promise((resolve) => {
        flusher.flush({
          stream: segment,
          tenant: 't',
          labels: LABELS,
          segments: [segment],
          load: async (segments) => ({ blocks: [{} as BlockData], symbols: [], joint: 0, segments }),
          version: 3,
          reason: 'asked',
          ended: resolve,
        });
      });
    const [first, second] = [segmentOf(1), segmentOf(2)];
    await flush(first);
    const key = (await index.committed({
      stream: streamName('t', LABELS.fingerprint),
      segment: segmentName(first.id),
    })) as string;
    // Another node has stored the second one with more of its stream.
    await index.commit([segmentName(second.id)], 'another chunk', []);
    await flush(second);
    expect([...chunks.objects.keys()]).to.deep.equal([key]);
  });
});
