import { expect } from 'chai';
import fc from 'fast-check';
import type { PushedStream } from '../../../src/protocol/entry-columns.ts';
import { parseLabelText } from '../../../src/protocol/label-text.ts';
import { PushJsonDecoder } from '../../../src/protocol/push-json.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { bytes, entriesOf, type PlainStream, refusalOf, streamOf } from './pushes.ts';

const decode = (body: string | Uint8Array, { isLegacy = false, budget = Number.POSITIVE_INFINITY } = {}) => {
  const decoder = new PushJsonDecoder(Buffer.from(body as Uint8Array), isLegacy);
  while (!decoder.step(budget));
  return decoder.streams();
};
const plain = (streams: readonly PushedStream[]): readonly PlainStream[] => streams.map(streamOf);
const push = (stream: string, values: string): string => `{"streams":[{"stream":${stream},"values":${values}}]}`;
const lines = (streams: readonly PushedStream[]): string[] =>
  streams.flatMap((stream) => entriesOf(stream).map(({ line }) => Buffer.from(line).toString()));

/** What a push may hold, and how JSON libraries may write it. */
const textArbitrary = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: fc.constantFrom('"', '\\', '\n', 'é', '🚢', 'x'), maxLength: 60 }),
  fc.integer({ min: 40, max: 300 }).map((size) => 'x'.repeat(size)),
);
const pushArbitrary = fc.array(
  fc.record({
    stream: fc.dictionary(fc.stringMatching(/^[a-z_]{1,5}$/), textArbitrary, { maxKeys: 3 }),
    values: fc.array(
      fc.tuple(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        textArbitrary,
        fc.dictionary(textArbitrary, textArbitrary),
      ),
      { maxLength: 4 },
    ),
  }),
  { maxLength: 4 },
);
type Push = typeof pushArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

const written = (streams: Push, indent: number, escapeAll: boolean): string => {
  const values = streams.map(({ stream, values }) => ({
    stream,
    values: values.map(([time, line, metadata]) => [String(time), line, metadata]),
  }));
  const text = JSON.stringify({ streams: values }, null, indent);
  return escapeAll
    ? text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : text;
};

describe('PushJsonDecoder', () => {
  it('gives back what was encoded, however it was written', () => {
    const property = fc.property(
      pushArbitrary,
      fc.nat(2),
      fc.boolean(),
      fc.integer({ min: 1, max: 500 }),
      (streams, indent, escapeAll, budget) => {
        const decoded = decode(written(streams, indent, escapeAll), { budget });
        expect(decoded.map(entriesOf)).to.deep.equal(
          streams.map(({ values }) =>
            values.map(([timeNs, line, metadata]) => ({
              timeNs,
              line: bytes(line),
              ...(Object.keys(metadata).length > 0 ? { metadata: Object.entries(metadata).flat() } : {}),
            })),
          ),
        );
        for (const [index, { stream }] of streams.entries()) {
          const { pairs } = parseLabelText(decoded[index]!.labelText);
          const expected = Object.entries(stream).filter(([, value]) => value !== '');
          expect(
            Object.fromEntries(pairs.flatMap((name, at) => (at % 2 ? [] : [[name, pairs[at + 1]]]))),
          ).to.deep.equal(Object.fromEntries(expected));
        }
      },
    );
    fc.assert(property, { numRuns: propertyRuns(2) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('reads or refuses a body with flipped bytes or its end cut off, and never crashes', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
    const property = fc.property(pushArbitrary, changes, fc.nat(), fc.boolean(), (streams, flips, cut, isLegacy) => {
      const body = Buffer.from(written(streams, 0, false));
      for (const [at, byte] of flips) body[at % body.length] = byte;
      try {
        decode(cut % 2 ? body : body.subarray(0, cut % body.length), { isLegacy }).map(streamOf);
      } catch (error) {
        expect(error).to.be.instanceOf(RefusedError);
      }
    });
    fc.assert(property, { numRuns: propertyRuns(2) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('keeps the lines where they are: the columns lie in the body', () => {
    const body = Buffer.from(push('{"a":"b"}', '[["1","one"]]'));
    const decoder = new PushJsonDecoder(body, false);
    decoder.step(Number.POSITIVE_INFINITY);
    expect(decoder.streams()[0]?.columns.bytes).to.equal(body);
  });

  it('builds the label text from the object: sorted, quoted, with the last of equal names', () => {
    const [stream] = plain(decode(push('{"b":"x\\"y","a":5,"n":null,"o":{"k":[1, 2]},"t":true,"b":"last"}', '[]')));
    expect(stream?.labels).to.equal('{a="5", b="last", n="null", o="{\\"k\\":[1, 2]}", t="true"}');
  });

  it('keeps huge numbers as they are written', () => {
    const [stream] = plain(decode(push('{"n":123456789012345678901234567890}', '[]')));
    expect(stream?.labels).to.equal('{n="123456789012345678901234567890"}');
  });

  it('tells labels apart that follow each other', () => {
    const one = '{"stream":{"a":"1"},"values":[["1","x"]]}';
    const two = '{"stream":{"a":"2"},"values":[["1","x"]]}';
    const streams = plain(decode(`{"streams":[${one},${one},${two},${one}]}`));
    expect(streams.map(({ labels }) => labels)).to.deep.equal(['{a="1"}', '{a="1"}', '{a="2"}', '{a="1"}']);
  });

  it('keeps bytes of a line that are not UTF-8, and replaces those of a label value', () => {
    const body = Buffer.from(push('{"a":"\xff"}', '[["1","a\xff\xc3(b"]]'), 'latin1');
    const [stream] = plain(decode(body));
    expect(stream?.labels).to.equal('{a="\ufffd"}');
    expect(Buffer.from(stream!.entries[0]!.line).toString('latin1')).to.equal('a\xff\xc3(b');
  });

  it('replaces half a surrogate pair by U+FFFD', () => {
    expect(lines(decode(push('{"a":"\\udcff"}', '[["1","\\ud83d \\ud83d\\udea2 \\udea2"]]')))).to.deep.equal([
      '\ufffd 🚢 \ufffd',
    ]);
    expect(plain(decode(push('{"a":"\\udcff"}', '[]')))[0]?.labels).to.equal('{a="\ufffd"}');
  });

  it('reads lines of any length, escaped or not', () => {
    for (const size of [0, 1, 47, 48, 49, 127, 128, 16_383, 16_384, 2_097_152]) {
      expect(
        lines(decode(push('{}', `[["1","${'x'.repeat(size)}"],["2","y"]]`))).map((line) => line.length),
      ).to.deep.equal([size, 1]);
      expect(
        lines(decode(push('{}', `[["1","${'\\n'.repeat(size)}"],["2","y"]]`))).map((line) => line.length),
      ).to.deep.equal([size, 1]);
    }
  });

  it('takes an entry of one element for an empty line', () => {
    expect(lines(decode(push('{}', '[["1"],["2","two"],["3" ]]')))).to.deep.equal(['', 'two', '']);
  });

  it('ignores unknown keys, further elements and text after the object', () => {
    const body =
      '{"x":{"streams":["}\\""]},"streams":[{"y":[2],"values":[["1","one",{},"more",5]],"stream":{}}]} trailing';
    expect(lines(decode(body))).to.deep.equal(['one']);
  });

  it('reads streams and values that are absent, null or empty', () => {
    for (const body of ['{}', '{"streams":null}', '{"streams":[]}', 'null']) expect(decode(body)).to.deep.equal([]);
    const streams = decode('{"streams":[{"stream":{"a":"1"}},{"stream":{"a":"2"},"values":null},{"values":[]}]}');
    expect(plain(streams).map(({ entries }) => entries)).to.deep.equal([[], [], []]);
  });

  it('reads the old shape: labels as text, times as RFC 3339', () => {
    const entries =
      '[{"ts":"2024-03-10T01:00:02.5+01:00","line":"one"},{"line":"two","ts":"2024-03-10T00:00:01.000000001Z"},{"ts":"1970-01-01T00:00:00Z"}]';
    const [stream] = plain(decode(`{"streams":[{"labels":"{a=\\"b\\"}","entries":${entries}}]}`, { isLegacy: true }));
    expect(stream).to.deep.equal({
      labels: '{a="b"}',
      entries: [
        { timeNs: 1_710_028_802_500_000_000n, line: bytes('one') },
        { timeNs: 1_710_028_801_000_000_001n, line: bytes('two') },
        { timeNs: 0n, line: bytes('') },
      ],
    });
  });

  it('finds no entries in the other shape', () => {
    const streams = decode(push('{"a":"b"}', '[["1","x"]]'), { isLegacy: true });
    expect(plain(streams)).to.deep.equal([{ labels: '{}', entries: [] }]);
  });

  describe('refuses', () => {
    const value = (entry: string): string => push('{"a":"b"}', `[${entry}]`);
    const refused: readonly (readonly [string, string])[] = [
      ['an empty body', ''],
      ['an array', '[]'],
      ['a byte order mark', `\ufeff${value('["1","x"]')}`],
      ['a body cut off', '{"streams":[{"stream":{"a":"b'],
      ['labels that are null', push('null', '[]')],
      ['labels that are text', push('"{}"', '[]')],
      ['a time as a number', value('[1,"x"]')],
      ['a time with a fraction', value('["1.5","x"]')],
      ['a time with a plus sign', value('["+1","x"]')],
      ['a time of no digits', value('["","x"]')],
      ['a time of one minus', value('["-","x"]')],
      ['a time over 63 bits', value('["9223372036854775808","x"]')],
      ['a time under 63 bits', value('["-9223372036854775809","x"]')],
      ['an entry without a time', value('[]')],
      ['an entry that is an object', value('{}')],
      ['a line that is a number', value('["1",5]')],
      ['metadata that is text', value('["1","x","y"]')],
      ['metadata that is null', value('["1","x",null]')],
      ['metadata with a number', value('["1","x",{"a":5}]')],
      ['a comma too many', value('["1","x"],')],
      ['an unknown escape', value('["1","\\x"]')],
      ['an escape cut short', value('["1","\\u12"]')],
      ['a word that is no value', '{"x":nothing}'],
      ['streams as text', '{"streams":"x"}'],
    ];
    for (const [name, body] of refused) {
      it(name, async () => expect(await refusalOf(() => decode(body))).to.match(/^BAD_REQUEST: ./));
    }

    it('a string of more than 8 MiB, blanks and nesting without end, without reading on', async () => {
      const long = Buffer.alloc(9 * 1024 * 1024, 'x');
      const body = Buffer.concat([Buffer.from('{"streams":[{"values":[["1","'), long, Buffer.from('"]]}]}')]);
      expect(await refusalOf(() => decode(body))).to.match(/^TOO_LARGE: /);
      expect(
        await refusalOf(() => decode(Buffer.concat([Buffer.from('{"x":'), Buffer.alloc(9 * 1024 * 1024, '[')]))),
      ).to.match(/^TOO_LARGE: /);
      expect(await refusalOf(() => decode(Buffer.alloc(100_000, ' ')))).to.equal('BAD_REQUEST: json: too many blanks');
    });
  });
});
