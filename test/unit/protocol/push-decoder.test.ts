import { expect } from 'chai';
import fc from 'fast-check';
import { encodePushRequest, WireWriter } from '../../../src/protocol/logproto.ts';
import { decodePushRequest, PushDecoder } from '../../../src/protocol/push-decoder.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { bytes, type PlainStream, refusalOf, streamOf } from './pushes.ts';

const INT64_MIN = -(2n ** 63n);

const decode = (body: Buffer): readonly PlainStream[] => decodePushRequest(body).map(streamOf);
const message = (write: (writer: WireWriter) => void): Buffer => {
  const writer = new WireWriter();
  write(writer);
  return writer.finish();
};
/** A push of one stream whose only entry is written field by field. */
const entryPush = (write: (writer: WireWriter) => void): Buffer =>
  message((request) =>
    request.message(1, () => {
      request.bytes(1, '{a="b"}');
      request.message(2, () => write(request));
    }),
  );
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const metadataArbitrary = fc.option(
  fc
    .array(fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), {
      minLength: 1,
      maxLength: 3,
    })
    .map((pairs) => pairs.flat()),
  { nil: undefined, freq: 3 },
);
const entryArbitrary = fc
  .record({
    timeNs: fc.oneof(
      fc.bigInt({ min: 1_600_000_000_000_000_000n, max: 1_900_000_000_000_000_000n }),
      fc.bigInt({ min: INT64_MIN, max: 2n ** 63n - 1n }),
      fc.bigInt({ min: -3n, max: 3n }),
    ),
    line: fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.uint8Array({ minLength: 120, maxLength: 300 })),
    metadata: metadataArbitrary,
  })
  .map(({ timeNs, line, metadata }) => ({ timeNs, line: Uint8Array.from(line), ...(metadata ? { metadata } : {}) }));
const pushArbitrary: fc.Arbitrary<PlainStream[]> = fc.array(
  fc.record({
    labels: fc.string({ unit: 'grapheme', maxLength: 12 }),
    entries: fc.array(entryArbitrary, { maxLength: 6 }),
  }),
  { maxLength: 4 },
);

describe('PushDecoder', () => {
  it('gives back what was encoded', () => {
    const property = fc.property(pushArbitrary, (streams) => {
      expect(decode(encodePushRequest({ streams }))).to.deep.equal(streams);
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('gives the same whether it reads in one go or in small steps', () => {
    const property = fc.property(pushArbitrary, fc.integer({ min: 1, max: 64 }), (streams, budget) => {
      const decoder = new PushDecoder(encodePushRequest({ streams }));
      let steps = 0;
      while (!decoder.step(budget)) steps += 1;
      expect(decoder.streams().map(streamOf)).to.deep.equal(streams);
      expect(steps).to.be.at.most(10_000);
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('refuses every truncation, or reads what stands before it', () => {
    const property = fc.property(pushArbitrary, fc.double({ min: 0, max: 1, noNaN: true }), (streams, share) => {
      const body = encodePushRequest({ streams });
      expectDecodedOrRefused(Buffer.from(body.subarray(0, Math.floor(body.length * share))));
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('reads or refuses a body with flipped bytes, and never crashes', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
    const property = fc.property(pushArbitrary, flips, (streams, changes) => {
      const body = Buffer.from(encodePushRequest({ streams }));
      for (const [at, byte] of changes) if (body.length > 0) body[at % body.length] = byte;
      expectDecodedOrRefused(body);
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('keeps the lines where they are: the columns lie in the body', () => {
    const body = encodePushRequest({ streams: [{ labels: '{a="b"}', entries: [{ timeNs: 1n, line: 'one' }] }] });
    const [stream] = decodePushRequest(body);
    expect(stream?.columns.bytes).to.equal(body);
  });

  it('shares the columns between the streams, each a range in the order sent', () => {
    const entries = [{ timeNs: 1n, line: bytes('x') }];
    const streams = decodePushRequest(
      encodePushRequest({
        streams: [
          { labels: '{a="1"}', entries },
          { labels: '{a="2"}', entries: [] },
          { labels: '{a="1"}', entries },
        ],
      }),
    );
    expect(streams.map(({ first, end }) => [first, end])).to.deep.equal([
      [0, 1],
      [1, 1],
      [1, 2],
    ]);
    expect(new Set(streams.map(({ columns }) => columns)).size).to.equal(1);
  });

  it('takes an entry without a line for an empty line', () => {
    const body = entryPush((entry) => entry.message(1, () => entry.integer(1, 5n)));
    expect(decode(body)).to.deep.equal([{ labels: '{a="b"}', entries: [{ timeNs: 5_000_000_000n, line: bytes('') }] }]);
    expect(decode(hex('0a 02 12 00'))[0]?.entries).to.deep.equal([{ timeNs: INT64_MIN, line: bytes('') }]);
  });

  it('gives an entry without a timestamp the earliest time, and an empty timestamp 1970', () => {
    const missing = decode(entryPush((entry) => entry.bytes(2, 'x')));
    const empty = decode(
      entryPush((entry) => {
        entry.message(1, () => undefined);
        entry.bytes(2, 'x');
      }),
    );
    expect([missing[0]?.entries[0]?.timeNs, empty[0]?.entries[0]?.timeNs]).to.deep.equal([INT64_MIN, 0n]);
  });

  it('moves times that 64 bits of nanoseconds cannot hold to the nearest they can', () => {
    const timeOf = (seconds: bigint): bigint | undefined =>
      decode(entryPush((entry) => entry.message(1, () => entry.integer(1, seconds))))[0]?.entries[0]?.timeNs;
    expect([timeOf(9_999_999_999n), timeOf(-9_999_999_999n)]).to.deep.equal([2n ** 63n - 1n, INT64_MIN]);
  });

  it('skips fields it does not know, groups among them, at every level', () => {
    const body = hex(
      '0a 21' + // a stream of 33 bytes
        '0a 01 78' + // labels x
        '4d 01020304' + // field 9, 4 bytes
        '12 0f' +
        '0a 04 08 01 18 07' +
        '12 01 79' +
        '3b 08 01 3c' +
        '28 05' + // an entry with a group (field 7) and field 5
        '49 0102030405060708' + // field 9, 8 bytes
        '12 04 6c 6f 6b 69', // format
    );
    body[1] = body.length - 2 - 6;
    expect(decode(body)).to.deep.equal([{ labels: 'x', entries: [{ timeNs: 1_000_000_000n, line: bytes('y') }] }]);
  });

  it('reads tags and lengths that are longer than need be, and leaves the shortest form', () => {
    // An entry with padded tag and length of its line, after one in the common shape.
    const body = hex(
      '0a 18' +
        '12 0a' +
        '0a 02 08 01' +
        '12 84 00 74 65 73 74'.replaceAll(' ', '') +
        '92 00 02 12 00' +
        '12 04 92 00 01 7a',
    );
    body[1] = body.length - 2;
    body[3] = 11;
    expect(decode(body)[0]?.entries.map(({ line }) => Buffer.from(line).toString())).to.deep.equal(['test', '', 'z']);
  });

  describe('refuses with the texts of Loki', () => {
    const refused: readonly (readonly [string, Buffer, string])[] = [
      ['a body cut off', hex('0a 05 0a 01'), 'unexpected EOF'],
      ['a cut-off varint', hex('0a ff'), 'unexpected EOF'],
      ['a length past the end of the stream', hex('0a 04 12 05 12 00 00 00 00 00 00'), 'unexpected EOF'],
      ['a line past the end of its entry', hex('0a 06 12 02 12 05 00 00 00 00 00'), 'unexpected EOF'],
      [
        'a negative length',
        hex('0a ff ff ff ff ff ff ff ff ff 01'),
        'proto: negative length found during unmarshaling',
      ],
      ['a varint of eleven bytes', hex('0a ff ff ff ff ff ff ff ff ff ff 01'), 'proto: integer overflow'],
      ['a wrong wire type', hex('09 01 02 03 04 05 06 07 08'), 'proto: wrong wireType = 1 for field Streams'],
      ['labels as a number', hex('0a 02 08 01'), 'proto: wrong wireType = 0 for field Labels'],
      ['a line as a number', hex('0a 04 12 02 10 01'), 'proto: wrong wireType = 0 for field Line'],
      ['field 0', hex('02 00'), 'proto: PushRequest: illegal tag 0 (wire type 2)'],
      ['the end of a group that never began', hex('1c'), 'proto: PushRequest: wiretype end group for non-group'],
      ['an unknown wire type', hex('1f'), 'proto: illegal wireType 7'],
      [
        'nanoseconds of a second and more',
        entryPush((entry) =>
          entry.message(1, () => {
            entry.integer(1, 1_710_028_801n);
            entry.integer(2, 1_000_000_000n);
          }),
        ),
        'timestamp: &types.Timestamp{Seconds: 1710028801,\nNanos: 1000000000,\n}: nanos not in range [0, 1e9)',
      ],
      [
        'negative nanoseconds',
        entryPush((entry) => entry.message(1, () => entry.integer(2, -1n))),
        'timestamp: &types.Timestamp{Seconds: 0,\nNanos: -1,\n}: nanos not in range [0, 1e9)',
      ],
      [
        'the year 10000',
        entryPush((entry) => entry.message(1, () => entry.integer(1, 253_402_300_800n))),
        'timestamp: &types.Timestamp{Seconds: 253402300800,\nNanos: 0,\n} after 10000-01-01',
      ],
      [
        'a time before the year 1',
        entryPush((entry) => entry.message(1, () => entry.integer(1, -62_135_596_801n))),
        'timestamp: &types.Timestamp{Seconds: -62135596801,\nNanos: 0,\n} before 0001-01-01',
      ],
    ];
    for (const [name, body, text] of refused) {
      it(name, async () => expect(await refusalOf(() => decode(body))).to.equal(`BAD_REQUEST: ${text}`));
    }
  });

  describe('refuses what would take memory or time out of proportion', () => {
    it('a push of a million empty streams', async () => {
      const body = Buffer.alloc(2_000_000, hex('0a 00'));
      expect(await refusalOf(() => decode(body))).to.equal('TOO_LARGE: too many streams in one push');
    });

    it('an entry of a hundred thousand fields', async () => {
      const pairs = Buffer.alloc(200_000, hex('1a 00'));
      const body = message((request) => request.message(1, () => request.bytes(2, pairs)));
      expect(await refusalOf(() => decode(body))).to.equal('TOO_LARGE: too many fields in one entry');
    });

    it('groups nested without end', async () => {
      const body = Buffer.alloc(3 * 1024 * 1024, 0x1b);
      expect(await refusalOf(() => decode(body))).to.equal('BAD_REQUEST: proto: group is too large');
    });
  });
});

const expectDecodedOrRefused = (body: Buffer): void => {
  let streams: ReturnType<typeof decodePushRequest>;
  try {
    streams = decodePushRequest(body);
  } catch (error) {
    expect(error).to.be.instanceOf(RefusedError);
    return;
  }
  let previous = -1;
  for (const { columns, first, end } of streams) {
    for (let index = first; index < end; index += 1) {
      const offset = columns.lineOffsets[index]!;
      expect(offset).to.be.above(previous).and.below(body.length);
      previous = offset;
    }
  }
  for (const stream of streams) {
    for (const { line } of streamOf(stream).entries) expect(line.length).to.be.below(body.length);
  }
};
