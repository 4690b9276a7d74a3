import { expect } from 'chai';
import fc from 'fast-check';
import type { AppendOutcome } from '../../../src/actors/stream-state.ts';
import { planAppend } from '../../../src/log/append-record.ts';
import {
  decodeAppendReply,
  decodeAppendRequest,
  encodeAppendReply,
  encodeAppendRequest,
  ownCopy,
} from '../../../src/member/append-message.ts';
import type { EntryRange } from '../../../src/protocol/entry-columns.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { WireWriter } from '../../../src/protocol/logproto.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { rangeOf, type TestEntry } from '../../support/entries.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const entry: fc.Arbitrary<TestEntry> = fc.record(
  {
    timeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    line: fc.string({ unit: 'binary', maxLength: 300 }),
    metadata: fc.array(fc.string({ maxLength: 10 }), { minLength: 2, maxLength: 2 }),
  },
  { requiredKeys: ['timeNs', 'line'] },
);
const stream = fc.record({
  labels: fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 4 }),
  ranges: fc.array(fc.array(entry, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 }),
});

const linesOf = ({ columns, first, end }: EntryRange): TestEntry[] =>
  Array.from({ length: end - first }, (_, index) => {
    const { bytes, lineOffsets, times, metadata } = columns;
    let at = lineOffsets[first + index]!;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const pairs = metadata?.get(first + index);
    const line = Buffer.from(bytes.subarray(at, at + length)).toString();
    return { timeNs: times[first + index]!, line, ...(pairs && { metadata: pairs }) };
  });

describe('a push on its way to another node', () => {
  it('arrives as it was sent, wherever it lies in a packet', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    fc.assert(
      fc.property(fc.array(stream, { maxLength: 5 }), fc.nat(9), fc.nat(2 ** 40), (streams, offset, changedAt) => {
        const appends = streams.map(({ labels, ranges }) => ({
          labels: labelSetOf(labels.flatMap((name) => [name, `value of ${name}`])),
          ranges: ranges.map(rangeOf),
        }));
        const planned = appends.map(({ labels, ranges }) => ({
          canonical: labels.canonical,
          plans: ranges.map(planAppend),
        }));
        const message = encodeAppendRequest(
          { changedAt, tenant: 'tenant', isFallback: true, ringDigest: 4_000_000_000 },
          planned,
        );
        const packet = new Uint8Array(offset + message.length);
        packet.set(message, offset);
        const request = decodeAppendRequest(ownCopy(packet.subarray(offset)));
        expect(request.changedAt).to.equal(changedAt);
        expect(request).to.include({ tenant: 'tenant', isFallback: true, ringDigest: 4_000_000_000 });
        expect(
          request.streams.map(({ labelText, ranges }) => ({
            labels: Buffer.from(labelText).toString(),
            ranges: ranges.map(linesOf),
          })),
        ).to.deep.equal(
          appends.map(({ labels, ranges }) => ({ labels: labels.canonical, ranges: ranges.map(linesOf) })),
        );
      }),
      { numRuns: propertyRuns(200) },
    );
  });

  it('is refused when it is cut off or garbage, and never crashes', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const whole = encodeAppendRequest({ changedAt: 7, tenant: 'tenant', isFallback: false, ringDigest: 0 }, [
      { canonical: '{app="web"}', plans: [planAppend(rangeOf([{ timeNs: 1n, line: 'hello' }]))] },
    ]);
    for (let size = 0; size < whole.length - 7; size += 1) {
      expect(() => decodeAppendRequest(whole.slice(0, size)), `${size} bytes`).to.throw();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeAppendRequest(bytes);
        } catch (error) {
          expect(error).to.be.instanceOf(Error);
        }
      }),
      { numRuns: propertyRuns(300) },
    );
  });

  it('is answered stream by stream', () => {
    const outcomes: AppendOutcome[] = [
      { acceptedLines: 3, acceptedBytes: 2 ** 33, refusal: undefined },
      {
        acceptedLines: 0,
        acceptedBytes: 0,
        refusal: { code: 'RATE_LIMITED', text: 'too fast: naïve', lines: 4, bytes: 400 },
      },
    ];
    expect(decodeAppendReply(encodeAppendReply({ changedAt: 12, outcomes }))).to.deep.equal({
      changedAt: 12,
      outcomes,
    });
  });

  it('may hold fields of a later version', () => {
    const writer = new WireWriter();
    writer.integer(1, 9n);
    writer.bytes(77, 'of a later version');
    writer.integer(78, 5n);
    expect(decodeAppendReply(writer.finish())).to.deep.equal({ changedAt: 9, outcomes: [] });
    expect(() => decodeAppendRequest(Uint8Array.of(0, 0, 0, 0))).to.throw(RefusedError, 'without tenant');
  });
});
