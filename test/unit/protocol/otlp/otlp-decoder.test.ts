import { expect } from 'chai';
import fc from 'fast-check';
import { OtlpDecoder } from '../../../../src/protocol/otlp/otlp-decoder.ts';
import { OtlpJsonDecoder } from '../../../../src/protocol/otlp/otlp-json.ts';
import { type OtlpConfig, otlpRulesOf } from '../../../../src/protocol/otlp/otlp-rules.ts';
import type { OtlpStreamsOptions } from '../../../../src/protocol/otlp/otlp-streams.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';
import {
  encodeExport,
  exportJson,
  type PlainRecord,
  type PlainResource,
  type PlainValue,
  sized,
} from '../../../support/otlp.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { refusalOf, streamOf } from '../pushes.ts';

const NOW_MS = 1_710_028_800_123;

interface ShownStream {
  readonly labels: string;
  /** `time line {name=value, …}` */
  readonly entries: readonly string[];
}

const optionsOf = (config: OtlpConfig, bytesMax = 2 ** 26): OtlpStreamsOptions => ({
  rules: otlpRulesOf(config),
  nowMs: NOW_MS,
  bytesMax,
});

type Decoder = OtlpDecoder | OtlpJsonDecoder;

const decoderOf = (bytes: Buffer, isJson: boolean, options: OtlpStreamsOptions): Decoder =>
  isJson ? new OtlpJsonDecoder(bytes, options) : new OtlpDecoder(bytes, options);

const shown = (decoder: Decoder, budget = Number.POSITIVE_INFINITY): ShownStream[] => {
  for (let steps = 0; !decoder.step(budget); steps += 1) expect(steps).to.be.below(1_000_000);
  return decoder.streams().map((stream) => {
    const { labels, entries } = streamOf(stream);
    const texts = entries.map(({ timeNs, line, metadata = [] }) => {
      const pairs = metadata.flatMap((name, index) => (index % 2 ? [] : [`${name}=${metadata[index + 1]}`]));
      return `${timeNs} ${Buffer.from(line)} {${pairs.join(', ')}}`;
    });
    return { labels, entries: texts };
  });
};

const resource = (records: readonly PlainRecord[], attributes = {}): PlainResource => ({
  attributes: { 'service.name': 'shop', ...attributes },
  scopes: [{ records }],
});

const valueArbitrary: fc.Arbitrary<PlainValue> = fc.letrec<{ value: PlainValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double({ noDefaultInfinity: true }),
    fc.constant(null),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => Uint8Array.from(bytes)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z_.]{1,6}$/), tie('value'), { maxKeys: 3 }).map((map) => ({ map })),
  ),
})).value;
const attributesArbitrary = fc.dictionary(fc.stringMatching(/^[a-z_.é]{1,8}$/), valueArbitrary, { maxKeys: 4 });
const idArbitrary = (size: number) =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => Buffer.from(bytes).toString('hex'));
const recordArbitrary: fc.Arbitrary<PlainRecord> = fc.record(
  {
    timeNs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    observedNs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    severityNumber: fc.integer({ min: 0, max: 24 }),
    severityText: fc.string({ maxLength: 5 }),
    body: fc.oneof({ weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 200 }) }, valueArbitrary),
    attributes: attributesArbitrary,
    droppedCount: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    flags: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    traceId: idArbitrary(16),
    spanId: idArbitrary(8),
  },
  { requiredKeys: [] },
);
const exportArbitrary: fc.Arbitrary<PlainResource[]> = fc.array(
  fc.record({
    attributes: attributesArbitrary,
    scopes: fc.array(
      fc.record(
        {
          name: fc.string({ maxLength: 5 }),
          version: fc.string({ maxLength: 5 }),
          attributes: attributesArbitrary,
          records: fc.array(recordArbitrary, { maxLength: 4 }),
        },
        { requiredKeys: ['records'] },
      ),
      { maxLength: 3 },
    ),
  }),
  { maxLength: 3 },
);
const RULES: OtlpConfig = {
  log_attributes: [{ action: 'index_label', regex: '[a-c].*' }],
  severity_text_as_label: true,
};

describe('OTLP decoders', () => {
  it('read the same from protobuf and from JSON, in any order of fields, in one go or in small steps', () => {
    const property = fc.property(exportArbitrary, fc.integer({ min: 1, max: 300 }), (resources, budget) => {
      for (const config of [{}, RULES]) {
        const expected = shown(decoderOf(encodeExport(resources), false, optionsOf(config)));
        expect(shown(decoderOf(encodeExport(resources, true), false, optionsOf(config)), budget)).to.deep.equal(
          expected,
        );
        expect(shown(decoderOf(exportJson(resources), true, optionsOf(config)), budget)).to.deep.equal(expected);
        expect(shown(decoderOf(exportJson(resources, true), true, optionsOf(config)))).to.deep.equal(expected);
        const count = resources.flatMap(({ scopes }) => scopes.flatMap(({ records }) => records)).length;
        expect(expected.flatMap(({ entries }) => entries)).to.have.length(count);
      }
    });
    fc.assert(property, { numRuns: propertyRuns(2) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('refuse every truncation and every flipped byte, or read what stands there', () => {
    const property = fc.property(
      exportArbitrary,
      fc.nat(),
      fc.nat(255),
      fc.boolean(),
      (resources, at, flip, isJson) => {
        const whole = isJson ? exportJson(resources) : encodeExport(resources);
        const flipped = Buffer.from(whole);
        if (flipped.length > 0) flipped[at % flipped.length]! ^= flip;
        for (const bytes of [flipped, Buffer.from(whole.subarray(0, at % (whole.length + 1)))]) {
          try {
            shown(decoderOf(bytes, isJson, optionsOf({})), 50);
          } catch (error) {
            expect(error).to.be.instanceOf(RefusedError);
          }
        }
      },
    );
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  for (const isJson of [false, true]) {
    const decode = (resources: readonly PlainResource[], config: OtlpConfig = {}, bytesMax?: number) =>
      shown(decoderOf(isJson ? exportJson(resources) : encodeExport(resources), isJson, optionsOf(config, bytesMax)));

    describe(isJson ? 'of JSON' : 'of protobuf', () => {
      it('take the time of a record, else when it was observed, else now', () => {
        const records = [{ timeNs: 5n, observedNs: 7n, body: 'a' }, { observedNs: 7n, body: 'b' }, { body: 'c' }];
        expect(decode([resource(records)])[0]?.entries).to.deep.equal([
          '5 a {observed_timestamp=7}',
          '7 b {}',
          '1710028800123000000 c {}',
        ]);
      });

      it('make a time past 2262 one before 1970, as Go does', () => {
        expect(decode([resource([{ timeNs: 2n ** 64n - 1n, body: 'a' }])])[0]?.entries).to.deep.equal(['-1 a {}']);
      });

      it('leave out ids of zeros', () => {
        const record = { timeNs: 5n, body: 'a', traceId: '0'.repeat(32), spanId: '0'.repeat(16) };
        expect(decode([resource([record])])[0]?.entries).to.deep.equal(['5 a {}']);
      });

      it('write a body of any kind as a line, in order with the plain ones', () => {
        const bodies: PlainValue[] = [
          'plain',
          { map: { b: [1.5, null, 'x\u2028<'], a: 2n ** 62n } },
          'plain again',
          -0,
          null,
        ];
        const records = bodies.map((body, index) => ({ timeNs: BigInt(index + 1), body }));
        const streams = decode([resource(records)]);
        expect(streams.flatMap(({ entries }) => entries)).to.deep.equal([
          '1 plain {}',
          '2 {"a":4611686018427387904,"b":[1.5,null,"x\\u2028<"]} {}',
          '3 plain again {}',
          '4 -0 {}',
          '5  {}',
        ]);
        expect(new Set(streams.map(({ labels }) => labels)).size).to.equal(1);
      });

      it('give each record the attributes of its resource and of its scope, those of a later one to none before', () => {
        const scopes = [
          { name: 'one', attributes: { s: '1' }, records: [{ timeNs: 1n, body: 'a', attributes: { own: 'x' } }] },
          { records: [{ timeNs: 2n, body: 'b' }] },
        ];
        const streams = decode([
          { attributes: { 'service.name': 'shop', host: 'h' }, scopes },
          resource([{ timeNs: 3n, body: 'c' }]),
        ]);
        expect(streams.map(({ entries }) => entries)).to.deep.equal([
          ['1 a {own=x, host=h, s=1, scope_name=one}', '2 b {host=h}'],
          ['3 c {}'],
        ]);
      });

      it('do with attributes what otlp_config says, the first rule that matches', () => {
        const config: OtlpConfig = {
          resource_attributes: {
            ignore_defaults: true,
            attributes_config: [
              { action: 'drop', attributes: ['host.secret'] },
              { action: 'index_label', regex: 'host\\..*' },
            ],
          },
          scope_attributes: [{ action: 'drop', regex: 'x.*' }],
          log_attributes: [
            { action: 'drop', attributes: ['noise'] },
            { action: 'index_label', attributes: ['region'] },
          ],
          severity_text_as_label: true,
        };
        const attributes = {
          'service.name': 'shop',
          'host.name': 'h',
          'host.secret': 's',
          'host.map': { map: { k: 1n } },
        };
        const record = { body: 'a', severityText: 'WARN', attributes: { noise: 'n', region: 'eu', id: '7' } };
        const records = [
          { ...record, timeNs: 1n },
          { ...record, timeNs: 2n, attributes: { region: 'us' } },
          { ...record, timeNs: 3n, attributes: { region: 'us' } },
        ];
        expect(decode([{ attributes, scopes: [{ attributes: { x1: '1', y: '2' }, records }] }], config)).to.deep.equal([
          {
            labels: '{host_map_k="1", host_name="h", region="eu", severity_text="WARN"}',
            entries: ['1 a {id=7, severity_text=WARN, service_name=shop, y=2}'],
          },
          {
            labels: '{host_map_k="1", host_name="h", region="us", severity_text="WARN"}',
            entries: [
              '2 a {severity_text=WARN, service_name=shop, y=2}',
              '3 a {severity_text=WARN, service_name=shop, y=2}',
            ],
          },
        ]);
      });

      it('leave out an attribute of whose name nothing is left', () => {
        const streams = decode([
          resource([{ timeNs: 1n, body: 'a', attributes: { '--': 'x', 'a-b': 'y' } }], { '..': 'z' }),
        ]);
        expect(streams).to.deep.equal([{ labels: '{service_name="shop"}', entries: ['1 a {a_b=y}'] }]);
      });

      it('refuse shared attributes that grow past the bound by being repeated', async () => {
        const records = Array.from({ length: 100 }, () => ({ timeNs: 1n, body: 'a' }));
        const shared = resource(records, { blob: 'x'.repeat(1000) });
        expect(await refusalOf(() => decode([shared], {}, 100_000))).to.match(/^TOO_LARGE: too many bytes of resource/);
        expect(decode([shared], {}, 200_000)[0]?.entries).to.have.length(100);
      });

      it('refuse lines written anew past the bound', async () => {
        const records = Array.from({ length: 100 }, () => ({ timeNs: 1n, body: ['x'.repeat(1000)] }));
        expect(await refusalOf(() => decode([resource(records)], {}, 90_000))).to.match(
          /^TOO_LARGE: too many bytes of lines/,
        );
      });

      it('refuse values nested too deep, and lists too large to be written in one go', async () => {
        let deep: PlainValue = 'x';
        for (let depth = 0; depth < 70; depth += 1) deep = [deep];
        expect(await refusalOf(() => decode([resource([{ body: deep }])]))).to.match(
          /^BAD_REQUEST: .* nested deeper than 64$/,
        );
        for (const record of [{ body: ['x'.repeat(2 ** 20)] }, { attributes: { a: ['x'.repeat(2 ** 20)] } }]) {
          expect(await refusalOf(() => decode([resource([record])]))).to.equal(
            'TOO_LARGE: too many bytes in one list or map',
          );
        }
      });

      it('refuse what is made of nothing but tiny pieces, and names that are texts', async () => {
        const many = Object.fromEntries(Array.from({ length: 17_000 }, (_, index) => [`k${index}`, null]));
        const pieces = [
          resource([{ attributes: many }]),
          resource([], many),
          { attributes: {}, scopes: [{ attributes: many, records: [] }] },
          resource([{ body: { map: many } }]),
          resource([{ body: new Array<null>(17_000).fill(null) }]),
        ];
        for (const piece of pieces) {
          expect(await refusalOf(() => decode([piece]))).to.equal('TOO_LARGE: too many values in one record');
        }
        const named = resource([{ attributes: { ['n'.repeat(20_000)]: 'x' } }]);
        expect(await refusalOf(() => decode([named]))).to.equal(
          'TOO_LARGE: too many bytes in the name of an attribute',
        );
      });

      it('take very many records, resources and scopes in small steps', () => {
        const records = Array.from({ length: 20_000 }, (_, index) => ({ timeNs: BigInt(index + 1), body: 'a' }));
        const scopes = Array.from({ length: 20_000 }, () => ({ records: [] }));
        const resources = Array.from({ length: 20_000 }, () => ({ attributes: {}, scopes: [] }));
        const body = [resource(records), { attributes: {}, scopes }, ...resources];
        const bytes = isJson ? exportJson(body, true) : encodeExport(body, true);
        expect(shown(decoderOf(bytes, isJson, optionsOf({})), 10_000)[0]?.entries).to.have.length(20_000);
      });

      it('refuse ids of a wrong size', async () => {
        for (const record of [{ traceId: '0102' }, { spanId: '01'.repeat(16) }]) {
          expect(await refusalOf(() => decode([resource([record])]))).to.match(/^BAD_REQUEST: .*invalid .*ID$/);
        }
      });
    });
  }

  it('read JSON in either spelling, numbers as text or digits, and severities by name', () => {
    const text = JSON.stringify({
      resource_logs: [
        {
          scope_logs: [
            {
              log_records: [
                {
                  time_unix_nano: 5,
                  severity_number: 'SEVERITY_NUMBER_WARN3',
                  flags: '1',
                  body: { string_value: 'a' },
                },
                { timeUnixNano: '6', severityNumber: 0, traceId: '', body: null, attributes: null, unknown: [{}] },
              ],
            },
          ],
        },
      ],
    });
    expect(shown(decoderOf(Buffer.from(text), true, optionsOf({})))).to.deep.equal([
      { labels: '{}', entries: ['5 a {severity_number=15, flags=1}', '6  {}'] },
    ]);
  });

  it('read escapes in JSON before and behind a resource and a scope that come late', () => {
    const odd = `${'long '.repeat(20)}q"uo\\te\n`;
    const body = [
      {
        attributes: { 'service.name': odd, 'host"x': odd },
        scopes: [
          { name: odd, attributes: { 'a"b': odd }, records: [{ timeNs: 1n, body: odd, attributes: { own: odd } }] },
        ],
      },
      resource([{ timeNs: 2n, body: odd }]),
    ];
    for (const isReversed of [false, true]) {
      const streams = shown(decoderOf(exportJson(body, isReversed), true, optionsOf({})), 20);
      expect(streams).to.deep.equal([
        {
          labels: `{service_name=${JSON.stringify(odd)}}`,
          entries: [`1 ${odd} {own=${odd}, host_x=${odd}, a_b=${odd}, scope_name=${odd}}`],
        },
        { labels: '{service_name="shop"}', entries: [`2 ${odd} {}`] },
      ]);
    }
  });

  it('refuse fields that nobody knows, if there is nothing else', async () => {
    const unknown = Buffer.alloc(40_000, Buffer.from([0x78, 0x01]));
    const messages = [
      sized(1, sized(1, unknown)),
      sized(1, sized(2, sized(1, unknown))),
      sized(1, sized(2, sized(2, unknown))),
      sized(1, sized(2, sized(2, sized(6, unknown)))),
      sized(1, sized(2, sized(2, sized(5, unknown)))),
    ];
    for (const bytes of messages) {
      const refusal = await refusalOf(() => shown(decoderOf(bytes, false, optionsOf({}))));
      expect(refusal).to.equal('TOO_LARGE: too many values in one record');
    }
    const text = `{"resourceLogs":[{"resource":{${'"x":1,'.repeat(20_000)}"y":1}}]}`;
    const refusal = await refusalOf(() => shown(decoderOf(Buffer.from(text), true, optionsOf({}))));
    expect(refusal).to.equal('TOO_LARGE: too many values in one record');
  });

  it('read a protobuf line whose length is written longer than need be', () => {
    const padded = Buffer.from([0x0a, 0x81, 0x80, 0x00, 0x78]);
    const record = Buffer.concat([Buffer.from([0x09, 5, 0, 0, 0, 0, 0, 0, 0]), sized(5, padded)]);
    const bytes = sized(1, sized(2, sized(2, record)));
    expect(shown(decoderOf(bytes, false, optionsOf({})))[0]?.entries).to.deep.equal(['5 x {}']);
  });

  it('tell what the push stands for: its lines, and what is repeated with them', () => {
    const decoder = decoderOf(
      encodeExport([resource([{ body: 'a' }, { body: 'b' }], { k: 'vvv' })]),
      false,
      optionsOf({}),
    );
    decoder.step(Number.POSITIVE_INFINITY);
    const { length } = encodeExport([resource([{ body: 'a' }, { body: 'b' }], { k: 'vvv' })]);
    expect(decoder.pushBytes).to.equal(length + 2 * (4 + 16));
  });
});
