import { expect } from 'chai';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { HeadMemory } from '../../../src/chunk/head-memory.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { encodePushRequest } from '../../../src/protocol/logproto.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';

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

describe('head memory', () => {
  it('gives a buffer out again once it was given back, and none that is smaller', () => {
    const memory = new HeadMemory(1 << 20);
    const first = memory.take(100 * KIB);
    memory.give(first);
    expect(memory.keptBytes).to.equal(first.byteLength);
    expect(memory.take(101 * KIB)).to.equal(first);
    expect(memory.keptBytes).to.equal(0);
    memory.give(first);
    expect(memory.take(200 * KIB).byteLength).to.be.at.least(200 * KIB);
  });

  it('keeps no more than its bound and reports the rest as garbage', () => {
    let garbage = 0;
    const memory = new HeadMemory(150 * KIB, (bytes) => {
      garbage += bytes;
    });
    const buffers = [memory.take(100 * KIB), memory.take(100 * KIB)];
    for (const buffer of buffers) memory.give(buffer);
    expect(memory.keptBytes).to.equal(buffers[0]!.byteLength);
    expect(garbage).to.equal(buffers[1]!.byteLength);
  });

  it('uses the memory of cut heads for new ones', () => {
    const memory = new HeadMemory(1 << 20);
    const segment = segmentOver(memory);
    push(segment, 0);
    cutAll(segment);
    expect(memory.keptBytes).to.be.greaterThan(0);
    const kept = memory.keptBytes;
    push(segment, 1);
    expect(memory.keptBytes).to.be.lessThan(kept);
  });

  it('never uses memory again that a reader has been shown', () => {
    let garbage = 0;
    const memory = new HeadMemory(1 << 20, (bytes) => {
      garbage += bytes;
    });
    const segment = segmentOver(memory);
    push(segment, 0);
    const [seen] = segment.snapshot().heads;
    const before = Buffer.from(encodeHead(seen!, { withMetadataSections: false }).bytes);
    for (let round = 1; round < 20; round += 1) {
      push(segment, round);
      cutAll(segment);
    }
    expect(Buffer.from(encodeHead(seen!, { withMetadataSections: false }).bytes).equals(before)).to.equal(true);
    expect(garbage).to.be.at.least(seen!.memory.byteLength);
  });
});
