import { expect } from 'chai';
import fc from 'fast-check';
import type { LabelHints } from '../../../../src/logql/pipeline.ts';
import {
  FAILED,
  type KnownKey,
  KnownMembers,
  MORE,
  NO_KEY,
  ROOT_KEY,
} from '../../../../src/logql/stages/json-members.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { startRun } from '../pipeline/run-pipeline.ts';

const key = (raw: string, id: number, more: Partial<KnownKey> = {}) => ({
  raw: Buffer.from(raw),
  id,
  parent: ROOT_KEY,
  isParent: false,
  bit: 0,
  comparison: undefined,
  ...more,
});

/** `[id, form, text]` of what is found, and whether there may be more. */
const found = (members: KnownMembers, line: string, wanted = 0) => {
  const bytes = Buffer.from(`"{${line}"}`);
  const result = members.find(bytes, 2, bytes.length - 2, wanted, true);
  const count = result & (MORE - 1);
  const values = Array.from({ length: count }, (_, index) => [
    members.idOf(index),
    members.formOf(index),
    bytes.toString('utf8', members.startOf(index), members.endOf(index)),
  ]);
  return { values, isAll: count === result };
};

describe('known members of JSON', () => {
  it('are found in their order, however the line is spaced', () => {
    const members = new KnownMembers();
    members.learn(key('n', 1));
    members.learn(key('s', 2));
    members.learn(key('unwanted', -1));
    const object = { s: 'x', unwanted: [{ n: 1 }, ']'], n: -1.5, e: undefined };
    for (const space of [undefined, 1, '\t']) {
      const { values, isAll } = found(members, JSON.stringify(object, undefined, space));
      expect(values, `spaced by ${space}`).to.deep.equal([
        [2, 2, 'x'],
        [1, 1, '-1.5'],
      ]);
      expect(isAll).to.equal(true);
    }
    expect(found(members, '{"n" : true , "s":"a\\"b"} x').values).to.deep.equal([
      [1, 1, 'true'],
      [2, 3, 'a\\"b'],
    ]);
  });

  it('are found in objects that they lead to', () => {
    const members = new KnownMembers();
    const outer = members.learn(key('o', -1, { isParent: true }));
    members.learn(key('n', 1, { parent: outer }));
    members.learn(key('n', 2));
    expect(found(members, '{"o":{"n":1},"n":2}')).to.deep.equal({
      values: [
        [1, 1, '1'],
        [2, 1, '2'],
      ],
      isAll: true,
    });
    const unclosed = { values: [[2, 1, '2']], isAll: false };
    expect(found(members, '{"n":2,"o":{"n":1'), 'an object counts once it is closed').to.deep.equal(unclosed);
  });

  it('end at what is not known or not right, and once all that is wanted is there', () => {
    const members = new KnownMembers();
    members.learn(key('a', 1, { bit: 1 }));
    members.learn(key('b', 2, { bit: 2 }));
    const first = { values: [[1, 1, '1']], isAll: false };
    for (const rest of ['"new":2}', '"b":tru}', '"b":"', '"b"', '"b":{', '"b":2 "a":1', ''])
      expect(found(members, `{"a":1,${rest}`), rest).to.deep.include({ isAll: false });
    expect(found(members, '{"a":1,"new":2}')).to.deep.equal(first);
    expect(found(members, '{"a":1,"b":2}', 1)).to.deep.equal(first);
    expect(found(members, '{"a":1,"b":2}', 3).values).to.have.length(2);
  });

  it('fail where the first value of a key is a plain decimal that fails its comparison', () => {
    const fails = (op: '<' | '<=' | '==' | '!=' | '>' | '>=', other: number, ...values: string[]) => {
      const members = new KnownMembers();
      members.learn(key('a', 1, { bit: 1, comparison: { op, value: other } }));
      const outer = members.learn(key('o', -1, { isParent: true }));
      members.learn(key('a', 1, { bit: 1, parent: outer, comparison: { op, value: other } }));
      const bytes = Buffer.from(
        `{${values.map((value) => (value.startsWith('{') ? `"o":${value}` : `"a":${value}`))}}`,
      );
      return [true, false].map((compares) => members.find(bytes, 0, bytes.length, 0, compares) === FAILED);
    };
    const [FAILS, PASSES] = [
      [true, false],
      [false, false],
    ];
    expect(fails('>=', 500, '499')).to.deep.equal(FAILS);
    for (const value of ['500', '500.0', '"500"', '501']) expect(fails('>=', 500, value), value).to.deep.equal(PASSES);
    expect(fails('<', -1.5, '-1.5')).to.deep.equal(FAILS);
    expect(fails('<=', -1.5, '-1.50')).to.deep.equal(PASSES);
    expect(fails('==', 0.1, '0.1')).to.deep.equal(PASSES);
    expect(fails('==', 0.1, '0.11')).to.deep.equal(FAILS);
    expect(fails('!=', 123456789012345, '123456789012345')).to.deep.equal(FAILS);
    expect(fails('>', 7, '"7"')).to.deep.equal(FAILS);
    expect(fails('>', 7, '8', '1'), 'a later value does not count').to.deep.equal(PASSES);
    expect(fails('>', 7, '{"a":1}'), 'one in an object may not count').to.deep.equal(PASSES);
    for (const value of [
      '1e0',
      '"x"',
      '""',
      'true',
      '1.2.3',
      '-',
      '"."',
      '".5"',
      '"-."',
      '" 1"',
      '"1_0"',
      '1234567890123456',
      '"\\u0031"',
      'null',
    ])
      expect(fails('<', -9, value), `${value} is for others to compare`).to.deep.equal(PASSES);
  });

  it('are none in a line that is too long, and keys that are too long or too many are not known', () => {
    const members = new KnownMembers();
    expect(found(members, '{"a":1}')).to.deep.equal({ values: [], isAll: false });
    expect(members.learn(key('k'.repeat(126), 1))).to.equal(NO_KEY);
    expect(members.learn(key('n', 1, { parent: NO_KEY }))).to.equal(NO_KEY);
    expect(members.learn(key('k'.repeat(125), 0))).to.not.equal(NO_KEY);
    for (let n = 1; n < 256; n += 1) expect(members.learn(key(`k${n}`, n))).to.not.equal(NO_KEY);
    expect(members.learn(key('k256', 256))).to.equal(NO_KEY);
    expect(found(members, `{"k255":1,"${'k'.repeat(125)}":2}`).values).to.deep.equal([
      [255, 1, '1'],
      [0, 1, '2'],
    ]);
    expect(found(members, `{"k1":"${'x'.repeat(97_000)}"}`).values).to.have.length(1);
    expect(found(members, `{"k1":"${'x'.repeat(99_000)}"}`)).to.deep.equal({ values: [], isAll: false });
    const many = Array.from({ length: 65 }, (_, n) => `"k${n + 1}":${n}`).join(',');
    expect(found(members, `{${many}}`), 'more values than there is room for').to.deep.include({ isAll: false });
  });

  it('of several streams do not mix, nor do lines of several blocks', () => {
    const streams = [1, 2, 3].map((id) => {
      const members = new KnownMembers();
      members.learn(key('a', id));
      return members;
    });
    for (let round = 0; round < 3; round += 1) {
      for (const [index, members] of streams.entries()) {
        if (round === 1) members.learn(key(`only in ${index}`, 10 + index));
        expect(found(members, `{"a":${round}${index}}`).values).to.deep.equal([[index + 1, 1, `${round}${index}`]]);
      }
    }
    expect(found(streams[0]!, '{"only in 0":1}').isAll).to.equal(true);
    expect(found(streams[0]!, '{"only in 1":1}').isAll).to.equal(false);
  });
});

const HINTS: readonly LabelHints[] = [
  { extract: 'all', preserveError: false },
  { extract: ['a'], preserveError: true },
  { extract: ['a', 'o_p', 'app'], preserveError: false },
  { extract: ['b', 'o_o_a', 'a_extracted'], preserveError: false },
];

const TAILS = [
  '| json',
  '| json | a >= 5',
  '| json | b=~"x.+" | a!="1"',
  '| json | o_p="x" or a=1',
  '| json | drop b | json',
  '| json | a < 3 and b != 7 | a != 2',
  '| json | o_p == -3.25 | b <= 1e9',
  '| logfmt | json | a > 4',
];

describe('json by known members', () => {
  const name = fc.constantFrom(
    'a',
    'b',
    'o',
    'p',
    'app',
    'a-b',
    'o_p',
    '',
    'é',
    '\\u0061',
    'k'.repeat(17),
    'k'.repeat(70),
    'k'.repeat(130),
  );
  const text = fc.oneof(
    fc.constantFrom(
      'x',
      'xy',
      '.',
      '5.',
      '-.5',
      '4.50',
      'x"',
      'a\\\\',
      '\\"',
      '\\n',
      '\\q',
      '\\u00e9',
      'é',
      '}',
      '{"a":1}',
      'x'.repeat(15),
      'x'.repeat(40),
    ),
    fc.string({ unit: fc.constantFrom('x', '\\\\', ',', '{', ' ', '\n', '\u0000'), maxLength: 36 }),
  );
  const scalar = fc.oneof(
    text.map((value) => `"${value}"`),
    fc.constantFrom(
      '1',
      '7',
      '-3.25',
      '1e9',
      '12345678901234567890',
      'true',
      'false',
      'null',
      'tru',
      '01',
      '+1',
      '5\u0001',
      '',
    ),
  );
  const blank = fc.constantFrom('', '', '', ' ', '\t', '\n ', '\u000b');
  const { object } = fc.letrec<{ object: string; member: string; value: string }>((tie) => ({
    object: fc.tuple(blank, fc.array(tie('member'), { maxLength: 5 })).map(([gap, all]) => `{${gap}${all.join(',')}}`),
    member: fc
      .tuple(name, blank, blank, tie('value'), blank)
      .map(([k, one, two, v, three]) => `"${k}"${one}:${two}${v}${three}`),
    value: fc.oneof(
      { maxDepth: 3 },
      scalar,
      scalar,
      scalar,
      tie('object'),
      fc.array(tie('value'), { maxLength: 2 }).map((all) => `[${all.join(',')}]`),
    ),
  }));
  /** Some bytes cut off, or one of them another. */
  const damage = fc.oneof(
    fc.constant((line: string) => line),
    fc.nat().map((at) => (line: string) => line.slice(0, at % (line.length + 1))),
    fc
      .tuple(fc.nat(), fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', ' ', '0'))
      .map(([at, byte]) => (line: string) => {
        const place = at % (line.length + 1);
        return line.slice(0, place) + byte + line.slice(place + 1);
      }),
  );
  const line = fc.tuple(object, damage).map(([whole, change]) => change(whole));

  it('tells of every line what it does without having seen another', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...TAILS),
        fc.constantFrom(...HINTS),
        fc.array(line, { minLength: 1, maxLength: 6 }),
        fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
        (tail, hints, lines, metadataName) => {
          const metadata = metadataName === undefined ? undefined : [metadataName, 'meta'];
          // Line after line with something in between, as in a block.
          const parts = [...lines, ...lines].map((one) => Buffer.from(one));
          const block = Buffer.concat(parts.flatMap((part) => [Buffer.from('","'), part]));
          const run = startRun(tail, { hints });
          let start = 0;
          for (const part of parts) {
            start += 3;
            const fresh = startRun(tail, { hints });
            const expected = fresh.process(Buffer.from(part), 0, part.length, () => 0n, metadata);
            const kept = run.process(block, start, start + part.length, () => 0n, metadata);
            start += part.length;
            expect(kept, `${tail} keeps ${part}`).to.equal(expected);
            if (kept) expect(run.finalLabels(), `${tail} of ${part}`).to.deep.equal(fresh.finalLabels());
          }
        },
      ),
      { numRuns: propertyRuns(20) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
