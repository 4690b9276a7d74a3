import { expect } from 'chai';
import fc from 'fast-check';
import { BytePattern, endOfPlainText } from '../../../../src/logql/stages/byte-words.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const RUNS = { numRuns: propertyRuns(10) };

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

describe('a pattern of bytes', () => {
  it('is where its bytes are, whatever stands around them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 9 }), (bytes, before) => {
        const pattern = new BytePattern(bytes);
        const data = viewOf(Uint8Array.from([...before, ...bytes, ...before, 0, 0, 0, 0]));
        expect(pattern.isAt(data, before.length)).to.equal(true);
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('is not where any byte differs', () => {
    for (let length = 1; length <= 40; length += 1) {
      const bytes = Uint8Array.from({ length }, (_, index) => 65 + index);
      const pattern = new BytePattern(bytes);
      for (let at = 0; at < length; at += 1) {
        for (const change of [1, 0x80]) {
          const other = Uint8Array.from([...bytes, 1, 2, 3]);
          other[at]! ^= change;
          expect(pattern.isAt(viewOf(other), 0), `byte ${at} of ${length}`).to.equal(false);
        }
      }
    }
  });

  it('reads no byte behind it, from four bytes on', () => {
    for (let length = 4; length <= 40; length += 1) {
      const bytes = Uint8Array.from({ length }, (_, index) => 65 + index);
      const pattern = new BytePattern(bytes);
      expect(pattern.reach).to.equal(length);
      expect(pattern.isAt(viewOf(bytes), 0)).to.equal(true);
    }
  });
});

describe('the end of text without escapes', () => {
  it('is the next quote, or the end', () => {
    const letters = fc.array(fc.constantFrom(0x22, 0x21, 0x23, 0xa2, 0x00, 0xff, 0x61), { maxLength: 30 });
    fc.assert(
      fc.property(letters, fc.nat({ max: 8 }), fc.nat({ max: 8 }), (bytes, skipped, kept) => {
        const end = Math.max(skipped, bytes.length - kept);
        const next = bytes.indexOf(0x22, skipped);
        const expected = next < 0 || next >= end ? end : next;
        expect(endOfPlainText(viewOf(Uint8Array.from(bytes)), skipped, end)).to.equal(expected);
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
