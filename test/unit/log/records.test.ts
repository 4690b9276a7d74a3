import { expect } from 'chai';
import fc from 'fast-check';
import { planAppend, readAppend, writeAppend } from '../../../src/log/append-record.ts';
import { DATA_START, decodeFileHeader, encodeFileHeader } from '../../../src/log/file-header.ts';
import {
  encodeFooter,
  encodeFooterInSteps,
  isFooter,
  readFooter,
  readTrailer,
  TRAILER_SIZE,
} from '../../../src/log/footer.ts';
import { isIntact, paddedSize, RecordType, readHeader, sealRecord } from '../../../src/log/record-format.ts';
import { IndexedFile, SegmentTable } from '../../../src/log/segment-table.ts';
import { splitRange } from '../../../src/log/split-range.ts';
import { decodeOpen, encodeOpen, readBatch, writeBatch } from '../../../src/log/state-records.ts';
import type { EntryRange } from '../../../src/protocol/entry-columns.ts';
import { EntryMetadata } from '../../../src/protocol/entry-metadata.ts';
import type { TestEntry } from '../../support/entries.ts';
import { entriesOf, UID } from '../../support/log/test-log.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const SALT = 0xdeadbeef;

interface GappedEntry extends TestEntry {
  readonly gap: Uint8Array;
}

/** Columns with something in front of every line, as on the wire. */
const gappedRange = (entries: readonly GappedEntry[], first: number, end: number): EntryRange => {
  const parts: Uint8Array[] = [];
  const lineOffsets = new Uint32Array(entries.length);
  let at = 0;
  for (const [index, { line, gap }] of entries.entries()) {
    const bytes = Buffer.from(line);
    const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
    lineOffsets[index] = at + gap.length;
    parts.push(gap, Uint8Array.from(length), bytes);
    at += gap.length + length.length + bytes.length;
  }
  const metadata = new Map(entries.flatMap(({ metadata: pairs }, index) => (pairs ? [[index, pairs] as const] : [])));
  const columns = {
    bytes: Buffer.concat(parts),
    lineOffsets,
    times: BigInt64Array.from(entries, ({ timeNs }) => timeNs),
    metadata: metadata.size > 0 ? new EntryMetadata(metadata) : undefined,
  };
  return { columns, first, end };
};

const recordOf = (range: EntryRange, firstIndex: number): Uint8Array => {
  const plan = planAppend(range);
  const bytes = new Uint8Array(paddedSize(plan.length) + 16);
  const words = new Uint32Array(bytes.buffer);
  writeAppend(bytes, words, 8, firstIndex, plan);
  sealRecord(bytes, words, 8, { type: RecordType.APPEND, length: plan.length, writer: 3, counter: 2 ** 40 + 5 }, SALT);
  return bytes.slice(8, 8 + plan.length);
};

const timeNs = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'binary', maxLength: 8 });
const entry = fc.record(
  {
    timeNs,
    line: fc.string({ unit: 'grapheme', maxLength: 300 }),
    gap: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 100, maxLength: 200 })),
    metadata: fc.array(text, { maxLength: 4 }),
  },
  { requiredKeys: ['timeNs', 'line', 'gap'] },
);
const run = fc
  .array(entry, { minLength: 1, maxLength: 20 })
  .chain((entries) =>
    fc
      .tuple(fc.nat({ max: entries.length - 1 }), fc.nat({ max: entries.length - 1 }))
      .map(([a, b]) => ({ entries, first: Math.min(a, b), end: Math.max(a, b) + 1 })),
  );

describe('records of the log', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('give back the entries of a run, whatever stands between the lines', () => {
    fc.assert(
      fc.property(run, fc.nat({ max: 2 ** 31 }), ({ entries, first, end }, firstIndex) => {
        const record = recordOf(gappedRange(entries, first, end), firstIndex);
        const read = readAppend(record);
        const wanted = entries.slice(first, end).map(({ gap: _, ...rest }) => rest);
        expect(read.first).to.equal(firstIndex);
        expect(entriesOf(read)).to.deep.equal(wanted);
        const times = wanted.map(({ timeNs: time }) => time).sort((a, b) => (a < b ? -1 : Number(a > b)));
        const { minLow, minHigh, maxLow, maxHigh } = read.bounds;
        expect((BigInt(minHigh) << 32n) | BigInt(minLow >>> 0)).to.equal(times[0]);
        expect((BigInt(maxHigh) << 32n) | BigInt(maxLow >>> 0)).to.equal(times.at(-1));
      }),
      { numRuns: propertyRuns(4) },
    );
  });

  it('leave out what stands between the lines when that is most of it', () => {
    const entries = Array.from({ length: 10 }, (_, index) => ({
      timeNs: BigInt(index),
      line: `line ${index}`,
      gap: new Uint8Array(1000),
    }));
    expect(recordOf(gappedRange(entries, 0, 10), 0).length).to.be.lessThan(400);
  });

  it('are found damaged by any flipped bit', () => {
    const entries = [
      { timeNs: 1n, line: 'a', gap: Uint8Array.of(1, 2), metadata: ['k', 'v'] },
      { timeNs: 2n, line: 'b', gap: Uint8Array.of(3) },
    ];
    const record = recordOf(gappedRange(entries, 0, 2), 7);
    expect(isIntact(record, SALT)).to.equal(true);
    expect(isIntact(record, SALT + 1), 'another salt').to.equal(false);
    for (let bit = 0; bit < 8 * record.length; bit += 1) {
      const damaged = Uint8Array.from(record);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const header = readHeader(new DataView(damaged.buffer), 0);
      const isTaken = header?.length === record.length && isIntact(damaged, SALT);
      expect(isTaken, `bit ${bit}`).to.equal(false);
    }
  });

  it('keep a header of any labels', () => {
    const header = fc.record({
      tenant: text,
      labels: fc.array(text, { maxLength: 6 }),
      version: fc.integer({ min: 0, max: 255 }),
      openedMs: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(header, (value) => {
        expect(decodeOpen(encodeOpen(value))).to.deep.equal(value);
      }),
      { numRuns: propertyRuns(4) },
    );
  });

  it('keep labels that are not UTF-8', () => {
    const header = { tenant: 't', labels: ['a', 'x\udcff'], version: 3, openedMs: 1 };
    expect(decodeOpen(encodeOpen(header))).to.deep.equal(header);
  });

  it('name the writers of a batch', () => {
    const batch = {
      sequence: 2 ** 40,
      size: 1000,
      records: 7,
      writers: [
        { number: 0, nodeId: 'node-ü', incarnation: 2 ** 45 },
        { number: 65_535, nodeId: 'b', incarnation: 1 },
      ],
    };
    const bytes = new Uint8Array(200);
    writeBatch(bytes, 8, batch);
    expect(readBatch(bytes.subarray(8))).to.deep.equal(batch);
  });
});

describe('long ranges', () => {
  it('are split in order, at most so large', () => {
    const entries = Array.from({ length: 100 }, (_, index) => ({
      timeNs: BigInt(index),
      line: `${index} ${'x'.repeat(index)}`,
      gap: new Uint8Array(2),
    }));
    const parts = splitRange(planAppend(gappedRange(entries, 0, 100)), 500, 2000)!;
    expect(parts.every(({ length }) => length <= 500)).to.equal(true);
    let next = 0;
    for (const { range } of parts) {
      expect(range.first).to.equal(next);
      next = range.end;
    }
    expect(next).to.equal(100);
    expect(splitRange(planAppend(gappedRange(entries, 0, 100)), 50, 60)).to.equal(undefined);
  });
});

describe('the header of a log file', () => {
  const header = {
    salt: SALT,
    number: 41,
    incarnation: 2 ** 44,
    createdMs: 1_700_000_000_000,
    uid: UID,
    previous: { number: 40, size: 2 ** 33 },
  };

  it('is read from either of its copies', () => {
    const bytes = encodeFileHeader(header);
    expect(bytes.length).to.equal(DATA_START);
    expect(decodeFileHeader(bytes)).to.deep.equal({ ...header, version: 1 });
    expect(decodeFileHeader(bytes.fill(0, 0, 512))).to.deep.equal({ ...header, version: 1 });
    expect(decodeFileHeader(bytes.fill(0, 4096, 4608))).to.equal(undefined);
  });

  it('is not read from a copy with a flipped bit', () => {
    for (let bit = 0; bit < 8 * 80; bit += 1) {
      const bytes = encodeFileHeader({ ...header, previous: undefined }).subarray(0, 80);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeFileHeader(bytes), `bit ${bit}`).to.equal(undefined);
    }
  });
});

describe('the footer of a log file', () => {
  const sample = (): IndexedFile => {
    const table = new SegmentTable();
    const file = new IndexedFile(1, SALT, 1_700_000_000_000);
    for (let counter = 1; counter <= 3; counter += 1) {
      const segment = table.segment(table.writer(counter === 3 ? 'node-2' : 'node-1', 5), counter);
      segment.open = encodeOpen({ tenant: 't', labels: ['app', `web-${counter}`], version: 4, openedMs: 9 });
      const at = DATA_START + 10_000 * counter;
      const plain = { first: 0, count: 0 };
      table.add(file, segment, { type: RecordType.OPEN, offset: at, length: 50, ...plain });
      const bounds = { minLow: counter, minHigh: -1, maxLow: 5, maxHigh: 6 };
      table.add(file, segment, { type: RecordType.APPEND, offset: at + 64, length: 333, first: 10, count: 5 }, bounds);
      table.add(file, segment, { type: RecordType.APPEND, offset: at + 800, length: 100, first: 15, count: 2 }, bounds);
      table.add(file, segment, { type: 9, offset: at + 1000, length: 32, first: 4, count: 0 });
      if (counter === 2)
        table.add(file, segment, { type: RecordType.FLUSHED, offset: at + 2000, length: 32, first: 17, count: 1 });
    }
    file.damage.push({ offset: 9000, size: 88, records: 2 });
    file.size = 50_000;
    return file;
  };

  const read = (bytes: Uint8Array, size: number): IndexedFile | undefined => {
    const trailer = readTrailer(bytes.subarray(-TRAILER_SIZE), size);
    const record = trailer && bytes.subarray(trailer.offset - 50_000, trailer.offset - 50_000 + trailer.length);
    if (!trailer || !record || !isFooter(record, trailer)) return undefined;
    const file = new IndexedFile(1, trailer.salt, trailer.createdMs);
    readFooter(record, file, new SegmentTable());
    return file;
  };

  const shown = (file: IndexedFile) => ({
    damage: file.damage,
    createdMs: file.createdMs,
    live: [file.liveBytes, file.liveSegments],
    places: file.places.map(({ segment, last, bytes, entries, bounds, hasData, hasEnd }) => ({
      id: segment.id,
      header: segment.header,
      flushed: segment.flushed,
      count: segment.count,
      records: file.index.chain(last),
      rest: { bytes, entries, bounds, hasData, hasEnd },
    })),
  });

  it('says of every segment what the index held, and where each record lies', () => {
    const file = sample();
    const bytes = encodeFooter(file);
    expect(shown(read(bytes, 50_000 + bytes.length)!)).to.deep.equal(shown(file));
  });

  /** A file of so many segments, each with one record and about so many bytes of labels. */
  const fileOf = (segments: number, labelBytes: number): IndexedFile => {
    const table = new SegmentTable();
    const file = new IndexedFile(1, SALT, 1_700_000_000_000);
    for (let counter = 1; counter <= segments; counter += 1) {
      const segment = table.segment(table.writer('node-1', 5), counter);
      const labels = ['n', `${counter}`.padStart(labelBytes, '0')];
      segment.open = encodeOpen({ tenant: 't', labels, version: 4, openedMs: 9 });
      const record = { offset: DATA_START + 64 * counter, length: 50, first: 0, count: 0 };
      table.add(file, segment, { type: RecordType.OPEN, ...record });
    }
    file.size = DATA_START + 64 * (segments + 1);
    return file;
  };

  const inSteps = (file: IndexedFile): { readonly count: number; readonly pieces: readonly Uint8Array[] } => {
    const steps = encodeFooterInSteps(file);
    for (let count = 1; ; count += 1) {
      const step = steps.next();
      if (step.done) return { count, pieces: step.value };
    }
  };

  it('is made in steps, of a bounded number of segments each', () => {
    const file = fileOf(1000, 1);
    const { count, pieces } = inSteps(file);
    expect(count).to.equal(8);
    const bytes = Buffer.concat(pieces);
    expect(bytes).to.deep.equal(encodeFooter(file));
    const trailer = readTrailer(bytes.subarray(-TRAILER_SIZE), file.size + bytes.length)!;
    const found = new IndexedFile(1, trailer.salt, trailer.createdMs);
    readFooter(bytes.subarray(0, trailer.length), found, new SegmentTable());
    expect(shown(found)).to.deep.equal(shown(file));
  });

  it('is of pieces of a bounded size, summed up one a step', () => {
    const file = fileOf(1000, 3000);
    const { count, pieces } = inSteps(file);
    const bytes = Buffer.concat(pieces);
    const trailer = readTrailer(bytes.subarray(-TRAILER_SIZE), file.size + bytes.length)!;
    expect(isFooter(bytes.subarray(0, trailer.length), trailer)).to.equal(true);
    expect(bytes.length).to.be.greaterThan(3_000_000);
    expect(Math.max(...pieces.map(({ buffer }) => buffer.byteLength))).to.equal(256 << 10);
    expect(count).to.equal(8 + pieces.length - 2);
  });

  it('is found damaged by any flipped byte, but for the padding', () => {
    const bytes = encodeFooter(sample());
    const { length } = readTrailer(bytes.subarray(-TRAILER_SIZE), 50_000 + bytes.length)!;
    for (let at = 0; at < bytes.length; at += 1) {
      if (at >= length && at < bytes.length - TRAILER_SIZE) continue;
      const damaged = Uint8Array.from(bytes);
      damaged[at]! ^= 0x10;
      expect(read(damaged, 50_000 + bytes.length), `byte ${at}`).to.equal(undefined);
    }
  });
});
