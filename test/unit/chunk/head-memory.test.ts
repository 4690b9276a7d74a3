import { expect } from 'chai';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { HeadMemory } from '../../../src/chunk/head-memory.ts';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { CollectionWatch } from '../../../src/protocol/collected.ts';
import { encodePushRequest } from '../../../src/protocol/logproto.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { eventually } from '../../support/eventually.ts';

const FORM = { encoding: 'gzip', level: 1, withMetadataSections: false } as const;
const KIB = 1024;

const push = (segment: Segment, round: number): void => {
  const entries = Array.from({ length: 200 }, (_, index) => ({
    timeNs: 1_700_000_000_000_000_000n + BigInt(round * 1000 + index),
    line: `round ${round} line ${index} ${'x'.repeat(100)}`,
  }));
  const [stream] = decodePushRequest(Buffer.from(encodePushRequest({ streams: [{ labels: '{a="b"}', entries }] })));
  segment.append(stream!);
};

const cutAll = (segment: Segment): void => {
  for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) segment.headCut(cut.number, cutBlock(cut.head, FORM));
};

const segmentOver = (memory: HeadMemory): Segment =>
  new Segment({ nodeId: 'n', incarnation: 1, counter: 1 }, { blockSize: 64 * KIB, targetSize: 1 << 30, memory });

/** V8 tells of one registry a turn, and others may come first. */
const collected = async (memory: HeadMemory): Promise<void> => {
  let turns = 0;
  await eventually('the snapshot is collected', () => {
    if (turns % 100 === 0) collectGarbage();
    turns += 1;
    return memory.takenBytes === 0;
  });
};

/** Knows which objects are watched, and collects them when the test says so. */
class ManualWatch implements CollectionWatch {
  readonly #callbacks: (() => void)[] = [];

  register(_object: object, callback: () => void): void {
    this.#callbacks.push(callback);
  }

  collectAll(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

describe('head memory', () => {
  it('is used again once its head is cut', () => {
    const memory = new HeadMemory();
    const segment = segmentOver(memory);
    push(segment, 0);
    const taken = memory.takenBytes;
    expect(taken).to.be.greaterThan(20 * KIB);
    cutAll(segment);
    expect(memory.takenBytes).to.equal(0);
    push(segment, 1);
    expect(memory.takenBytes).to.equal(taken);
  });

  it('is not used again while a snapshot of it may be read, and is after that', () => {
    let garbage = 0;
    const watch = new ManualWatch();
    const memory = new HeadMemory((bytes) => {
      garbage += bytes;
    }, watch);
    const segment = segmentOver(memory);
    push(segment, 0);
    const [seen] = segment.snapshot().heads;
    const again = segment.snapshot().heads[0];
    expect(again).not.to.equal(seen);
    const before = Buffer.from(encodeHead(seen!, { withMetadataSections: false }).bytes);
    for (let round = 1; round < 20; round += 1) {
      push(segment, round);
      cutAll(segment);
    }
    expect(Buffer.from(encodeHead(seen!, { withMetadataSections: false }).bytes).equals(before)).to.equal(true);
    expect(garbage).to.equal(seen!.region.size);
    expect(memory.takenBytes).to.equal(seen!.region.size);
    watch.collectAll();
    expect(memory.takenBytes).to.equal(0);
  });

  it('lent while it is being cut stays until the snapshot is gone', () => {
    const watch = new ManualWatch();
    const memory = new HeadMemory(undefined, watch);
    const segment = segmentOver(memory);
    push(segment, 0);
    const cut = segment.cutHead()!;
    segment.snapshot();
    segment.headCut(cut.number, cutBlock(cut.head, FORM));
    expect(memory.takenBytes).to.equal(cut.head.region.size);
    watch.collectAll();
    expect(memory.takenBytes).to.equal(0);
  });

  it('of a segment that is discarded is used again, what was lent of it later', () => {
    const watch = new ManualWatch();
    const memory = new HeadMemory(undefined, watch);
    const [kept, lent] = [segmentOver(memory), segmentOver(memory)];
    for (const segment of [kept, lent]) for (let round = 0; round < 5; round += 1) push(segment, round);
    expect(kept.cutsInFlight).to.be.greaterThan(0);
    const taken = memory.takenBytes;
    lent.snapshot();
    for (const segment of [kept, lent]) segment.discard();
    expect(memory.takenBytes).to.equal(taken / 2);
    watch.collectAll();
    expect(memory.takenBytes).to.equal(0);
  });

  it('is let go of when the collector takes the snapshot of a query', async () => {
    const memory = new HeadMemory();
    const segment = segmentOver(memory);
    push(segment, 0);
    // In a frame of its own: that of a function that awaits keeps what its registers held.
    const lend = (): void => {
      segment.snapshot();
    };
    lend();
    cutAll(segment);
    expect(memory.takenBytes).to.be.greaterThan(0);
    await collected(memory);
  });

  it('goes with its node, though the node has snapshots of it', async () => {
    const come = (): WeakRef<HeadMemory> => {
      const node: SegmentSnapshot[] = [];
      const memory = new HeadMemory(() => node.splice(0));
      const segment = segmentOver(memory);
      push(segment, 0);
      node.push(segment.snapshot());
      return new WeakRef(memory);
    };
    const memory = come();
    await eventually('the node is collected', () => {
      collectGarbage();
      return memory.deref() === undefined;
    });
  });

  it('is let go of though the memory of another node was collected before it heard of its snapshots', async () => {
    const lendTo = (memory: HeadMemory): void => {
      const segment = segmentOver(memory);
      push(segment, 0);
      segment.snapshot();
      cutAll(segment);
    };
    const comeAndGo = (): void => {
      const other = new HeadMemory();
      lendTo(other);
      collectGarbage();
      expect(other.takenBytes, 'it has not heard of them').to.be.greaterThan(0);
    };
    comeAndGo();
    collectGarbage();
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
    const memory = new HeadMemory();
    lendTo(memory);
    await collected(memory);
  });
});
