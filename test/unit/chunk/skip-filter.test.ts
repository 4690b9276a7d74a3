import { expect } from 'chai';
import fc from 'fast-check';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { buildSkipFilter, gramHashes, mayHold } from '../../../src/chunk/skip-filter.ts';
import { type Entry, headOf, propertyRuns } from './entries.ts';

const contentOf = (entries: readonly Entry[], withMetadataSections: boolean): Uint8Array =>
  encodeHead(headOf(entries), { withMetadataSections }).bytes.slice();

const entriesOfLines = (lines: readonly Buffer[], metadata?: readonly string[]): Entry[] =>
  lines.map((line, index) => ({
    time: 1_700_000_000_000_000_000n + BigInt(index) * 7_919_000n,
    line: line.toString('latin1'),
    ...(metadata && index % 2 === 0 && { metadata }),
  }));

/** The filter as its format says, a gram at a time. */
const plainFilter = (lines: readonly Buffer[], size: number): Uint8Array => {
  const filter = new Uint8Array(size);
  for (const line of lines) {
    for (let at = 0; at + 4 <= line.length; at += 1) {
      const gram = (line.readUInt32LE(at) | 0x20202020) >>> 0;
      const hash = Number((BigInt(gram) * 0x9e3779b1n) & 0xffffffffn) >>> 16;
      const bit = Math.floor((hash * 8 * size) / 65536);
      filter[bit >>> 3]! |= 1 << (bit & 7);
    }
  }
  return filter;
};

const swapCase = (text: Buffer): Buffer =>
  text.map((byte) => ((byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) ? byte ^ 0x20 : byte)) as Buffer;

const anyLine = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'grapheme', maxLength: 60 }).map((text) => Buffer.from(text)),
  fc.constantFrom('', 'abc', 'abcd', 'level=error msg="disk quota exceeded"', 'ünïcödé 日本語 🙂 x').map(Buffer.from),
);
const anyLines = fc.array(anyLine, { minLength: 1, maxLength: 40 });

describe('skip filter', () => {
  it('never denies a part of a line, in whatever case its letters are', function () {
    this.timeout(60_000);
    fc.assert(
      fc.property(anyLines, fc.boolean(), fc.nat(), fc.nat(), fc.nat(), (lines, hasSections, which, from, length) => {
        const entries = entriesOfLines(lines, ['trace', 'x'.repeat(from % 300)]);
        const filter = buildSkipFilter(contentOf(entries, hasSections), hasSections, 40_000)!;
        const line = lines[which % lines.length]!;
        const start = from % (line.length + 1);
        const part = line.subarray(start, start + (length % (line.length - start + 1)));
        expect(mayHold(filter, gramHashes(part))).to.equal(true);
        expect(mayHold(filter, gramHashes(swapCase(part)))).to.equal(true);
      }),
      propertyRuns,
    );
  });

  it('has the bits of all grams of all lines and no others: none of times, lengths, metadata, or across lines', function () {
    this.timeout(60_000);
    fc.assert(
      fc.property(anyLines, fc.boolean(), fc.integer({ min: 2048, max: 200_000 }), (lines, hasSections, size) => {
        const content = contentOf(entriesOfLines(lines, ['trace', 'metadata']), hasSections);
        const filter = buildSkipFilter(content, hasSections, size)!;
        expect(filter).to.have.length(Math.min(8191, Math.floor(size / 21)));
        expect(Buffer.compare(filter, plainFilter(lines, filter.length))).to.equal(0);
      }),
      propertyRuns,
    );
  });

  it('tells a text that is nowhere from one that is somewhere', () => {
    const lines = Array.from({ length: 500 }, (_, index) =>
      Buffer.from(`level=info msg="request handled" seq=${index}`),
    );
    const filter = buildSkipFilter(contentOf(entriesOfLines(lines), false), false, 20_000)!;
    expect(mayHold(filter, gramHashes(Buffer.from('REQUEST handled')))).to.equal(true);
    expect(mayHold(filter, gramHashes(Buffer.from('OutOfMemoryError')))).to.equal(false);
  });

  it('says nothing of a text shorter than a gram', () => {
    const filter = buildSkipFilter(contentOf(entriesOfLines([Buffer.from('some line')]), false), false, 20_000)!;
    expect(gramHashes(Buffer.from('xyz'))).to.have.length(0);
    expect(mayHold(filter, gramHashes(Buffer.from('xyz')))).to.equal(true);
  });

  it('is left out where it is not worth its bytes', () => {
    const content = contentOf(entriesOfLines([Buffer.from('some line')]), false);
    expect(buildSkipFilter(content, false, 2047), 'little to inflate').to.equal(undefined);
    expect(buildSkipFilter(new Uint8Array((4 << 20) + 1), false, 100_000), 'too large').to.equal(undefined);
    const noise = Array.from({ length: 2000 }, (_, line) =>
      Buffer.from(Uint32Array.from({ length: 40 }, (_, word) => Math.imul(line * 40 + word + 1, 0x9e3779b1)).buffer),
    );
    expect(buildSkipFilter(contentOf(entriesOfLines(noise), false), false, 20_000), 'all bits set').to.equal(undefined);
  });

  it('is made where a block is cut, from the entries that are in it', () => {
    const lines = Array.from({ length: 2000 }, (_, index) => Buffer.from(`line ${Math.imul(index, 0x9e3779b1)}`));
    const head = headOf(entriesOfLines(lines, ['trace', 'only in metadata']));
    const { skipFilter, bytes } = cutBlock(head, { encoding: 'gzip', withMetadataSections: true });
    expect(skipFilter).to.have.length(Math.floor(bytes.length / 21));
    expect(Buffer.compare(skipFilter!, plainFilter(lines, skipFilter!.length))).to.equal(0);
  });
});
