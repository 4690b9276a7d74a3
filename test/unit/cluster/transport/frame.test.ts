import { expect } from 'chai';
import fc from 'fast-check';
import {
  decodePacket,
  encodePacket,
  FRAME,
  type Frame,
  type Hello,
  helloOf,
  type OutgoingFrame,
} from '../../../../src/cluster/transport/frame.ts';
import { failureFrame, refusalOf } from '../../../../src/cluster/transport/refusal-frame.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const body = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 });

const hello: fc.Arbitrary<Hello> = fc.record({
  nodeId: text,
  incarnation: number,
  clusterUid: text,
  protocolMin: number,
  protocolMax: number,
  address: text,
  toNodeId: text,
  toIncarnation: number,
  windows: fc.array(number, { minLength: 4, maxLength: 4 }),
});

const frame = fc.record(
  {
    type: number,
    seq: number,
    class: number,
    kind: number,
    deadlineMs: number,
    window: number,
    more: number,
    size: number,
    offset: number,
    bytes: number,
    retryAfterMs: number,
    code: text,
    text,
    hello,
    body,
  },
  { requiredKeys: ['type'] },
) as fc.Arbitrary<OutgoingFrame>;

const received = (sent: OutgoingFrame): Frame => ({
  seq: 0,
  class: 0,
  kind: 0,
  deadlineMs: 0,
  window: 0,
  more: 0,
  size: 0,
  offset: 0,
  bytes: 0,
  retryAfterMs: 0,
  code: '',
  text: '',
  hello: undefined,
  ...sent,
  body: new Uint8Array(Buffer.concat(sent.body ?? [])),
});

const plain = (frames: readonly Frame[]): Frame[] =>
  frames.map((each) => ({ ...each, body: new Uint8Array(each.body) }));

const outcomeOf = (bytes: Buffer): readonly Frame[] | string => {
  try {
    return decodePacket(bytes);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return error.refusal.code;
  }
};

describe('frames between nodes', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 5 }), (frames) => {
        expect(plain(decodePacket(encodePacket(frames)))).to.deep.equal(frames.map(received));
      }),
      { numRuns: propertyRuns(20) },
    );
  });

  it('are refused or read short when they are cut off, and never crash the reader', () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 3 }), fc.nat(), (frames, at) => {
        const bytes = encodePacket(frames);
        const outcome = outcomeOf(bytes.subarray(0, at % bytes.length));
        expect(outcome === 'BAD_REQUEST' || outcome.length < frames.length).to.equal(true);
      }),
      { numRuns: propertyRuns(20) },
    );
  });

  it('never crash the reader, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        outcomeOf(Buffer.from(bytes));
        // Behind a head that says: one frame.
        outcomeOf(Buffer.concat([Buffer.from([0x0a, bytes.length & 0x7f]), bytes]));
      }),
      { numRuns: propertyRuns(4) },
    );
    fc.assert(
      fc.property(frame, fc.nat(), fc.nat(255), (sent, at, value) => {
        const bytes = encodePacket([sent]);
        bytes[at % bytes.length] = value;
        outcomeOf(bytes);
      }),
      { numRuns: propertyRuns(10) },
    );
  });

  it('may hold fields that this version does not know', () => {
    const unknown = Buffer.from([
      ...[0xf8, 0x3f, 0x96, 0x01], // 1023: varint
      ...[0xf1, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8], // 1022: fixed64
      ...[0xea, 0x3f, 3, 9, 9, 9], // 1021: bytes
      ...[0xe5, 0x3f, 1, 2, 3, 4], // 1020: fixed32
    ]);
    const of = (sent: OutgoingFrame): Buffer => {
      const packet = encodePacket([sent]);
      // Both sizes are below 128.
      const inner = Buffer.concat([unknown, packet.subarray(2), unknown]);
      return Buffer.concat([unknown, Buffer.from([0x0a, inner.length]), inner, unknown]);
    };
    const sent = { type: FRAME.answer, seq: 7, body: [Buffer.from('body')] };
    expect(plain(decodePacket(of(sent)))).to.deep.equal([received(sent)]);
  });

  it('begin a link with a hello', () => {
    expect(() => helloOf(encodePacket([{ type: FRAME.ping }]))).to.throw(RefusedError, 'must begin with a hello');
    expect(() => helloOf(Buffer.alloc(0))).to.throw(RefusedError);
  });

  it('give bodies as views of the packet', () => {
    const packet = encodePacket([{ type: FRAME.answer, seq: 1, body: [Buffer.from('view')] }]);
    expect(decodePacket(packet)[0]?.body.buffer).to.equal(packet.buffer);
  });

  it('carry refusals; codes that are unknown here become INTERNAL', () => {
    const refusal = { code: 'RATE_LIMITED', text: 'slow down', retryAfterMs: 1500 } as const;
    const sent = decodePacket(encodePacket([failureFrame(3, new RefusedError(refusal))]))[0];
    expect(sent && refusalOf(sent)).to.deep.equal(refusal);
    const newer = decodePacket(encodePacket([{ type: FRAME.failure, code: 'FENCED', text: 'by 7' }]))[0];
    expect(newer && refusalOf(newer)).to.deep.equal({ code: 'INTERNAL', text: 'FENCED: by 7' });
    expect(failureFrame(1, 'thrown').text).to.equal('thrown');
  });
});
