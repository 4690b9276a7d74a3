import { expect } from 'chai';
import fc from 'fast-check';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { labelsAfter, labelsOf, processLine, startRun } from '../pipeline/run-pipeline.ts';

const OBJECT_ERROR = "Value looks like object, but can't find closing '}' symbol";

const failed = (details: string): Record<string, string> => ({
  __error__: 'JSONParserErr',
  __error_details__: details,
});

const json = (line: string | Buffer): unknown => labelsAfter('| json', line);

describe('json', () => {
  it('flattens objects and skips arrays and nulls', () => {
    expect(
      json('{"o":{"p":{"q":1}},"n":1.50,"e":1e3,"neg":-0,"x":01,"t":true,"z":null,"arr":[1,{"b":2}],"s":""}'),
    ).to.deep.equal({ o_p_q: '1', n: '1.50', e: '1e3', neg: '-0', x: '01', t: 'true', s: '' });
  });

  it('makes label names of keys', () => {
    expect(json('{"a-b.c d":"s","9x":"n","é":"u","o":{"9":"nine"}," sp ":"trim","":"empty"}')).to.deep.equal({
      a_b_c_d: 's',
      _9x: 'n',
      _: 'u',
      o_9: 'nine',
      sp: 'trim',
    });
  });

  it('undoes escapes, and makes "" of a string with a bad one', () => {
    expect(json('{"a":"q\\"q\\n\\u00e9\\ud83d\\ude00","b":"bad\\q","c":"\\ud83d","d":"\\\\n"}')).to.deep.equal({
      a: 'q"q\né😀',
      b: '',
      c: '',
      d: '\\n',
    });
    expect(json('{"a\\u0062":"x"}')).to.deep.equal({ ab: 'x' });
  });

  it('puts a blank for each bad rune', () => {
    expect(json(Buffer.from([...Buffer.from('{"a":"x'), 0xff, 0xfe, ...Buffer.from('y�"}')]))).to.deep.equal({
      a: 'x  y ',
    });
  });

  it('lets the first of equal names win', () => {
    expect(json('{"a":"1","a":"2"}')).to.deep.equal({ a: '1' });
    expect(json('{"a":{"b":1},"a_b":2}')).to.deep.equal({ a_b: '1' });
    expect(json('{"a_b":2,"a":{"b":1}}')).to.deep.equal({ a_b: '2' });
  });

  it('accepts text behind the object and a trailing comma', () => {
    expect(json('{"a":"x"} trailing')).to.deep.equal({ a: 'x' });
    expect(json('{"a":"ok",}')).to.deep.equal({ a: 'ok' });
    expect(json('  {"a": "ws" }  ')).to.deep.equal({ a: 'ws' });
    expect(json('{}')).to.deep.equal({});
  });

  it('keeps what it read before an error, and says what Loki says', () => {
    for (const line of ['not json', '["x"]', '"s"', '', "{'a':1}"])
      expect(json(line), line).to.deep.equal(failed(OBJECT_ERROR));
    expect(json('{"a":1 "b":2}')).to.deep.equal({ a: '1', ...failed(OBJECT_ERROR) });
    expect(json('{"a":"unterminated')).to.deep.equal(failed("Value is string, but can't find closing '\"' symbol"));
    expect(json('{"a":tru}')).to.deep.equal(failed('Unknown value type'));
    expect(json('{"a":1')).to.deep.equal({ a: '1', ...failed("Value is array, but can't find closing ']' symbol") });
    expect(json('{"a":[1,')).to.deep.equal(failed("Value is array, but can't find closing ']' symbol"));
    expect(json('{"a"')).to.deep.equal(failed('Malformed JSON error'));
    expect(json('{"\\q":1}')).to.deep.equal(failed('Encountered an invalid escape sequence in a string'));
  });

  it('takes the labels of a nested object only if its brackets close', () => {
    expect(json('{"a":1,"o":{"b":2')).to.deep.equal({ a: '1', ...failed(OBJECT_ERROR) });
    expect(json('{"a":1,"o":{"b":2 "c":3},"d":4}')).to.deep.equal({ a: '1', o_b: '2', ...failed(OBJECT_ERROR) });
  });

  it('gives names of the stream a suffix', () => {
    const options = { stream: { app: 'a', lvl: 'base' } };
    expect(labelsAfter('| json', '{"lvl":"new"}', options)).to.deep.equal({ lvl_extracted: 'new' });
    expect(labelsAfter('| drop lvl | json', '{"lvl":"new"}', options)).to.deep.equal({ lvl_extracted: 'new' });
  });

  it('stops once it found what hints ask for, so errors behind it do not exist', () => {
    const hinted = (...extract: string[]) => ({ hints: { extract, preserveError: false } });
    expect(labelsAfter('| json', '{"a":1 "b":2}', hinted('a'))).to.deep.equal({ a: '1' });
    expect(labelsAfter('| json', '{"a":1 "b":2}', hinted('b'))).to.deep.equal(failed(OBJECT_ERROR));
    expect(labelsAfter('| json', '{"x":1,"o":{"p":"q","r":2}}', hinted('o_p'))).to.deep.equal({ o_p: 'q' });
    expect(labelsAfter('| json', 'bad', { hints: { extract: 'none', preserveError: false } })).to.deep.equal({});
  });

  it('gets through hostile lines quickly', () => {
    const deep = '{"a":'.repeat(50_000);
    expect(json(deep)).to.deep.equal(failed(OBJECT_ERROR));
    expect(json(`${deep}1${'}'.repeat(50_000)}`)).to.deep.equal({});
    const many = Array.from({ length: 30_000 }, (_, index) => `"k${index}":${index}`).join(',');
    expect(Object.keys(json(`{${many}}`) as object)).to.have.length(30_000);
  });

  it('forgets names it has seen when they get too many', () => {
    const run = startRun('| json');
    for (let round = 0; round < 3; round++) {
      const many = Array.from({ length: 25_000 }, (_, index) => `"k${round}_${index}":${index}`).join(',');
      expect(processLine(run, `{${many}}`)).to.equal(true);
      expect(run.get(`k${round}_24999`)).to.equal('24999');
    }
    processLine(run, '{"k0_1":"again"}');
    expect(labelsOf(run.finalLabels())).to.deep.equal({ app: 'a', k0_1: 'again' });
  });

  const key = fc.stringMatching(/^[a-z][a-z0-9_.]{0,6}$/);
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }));

  const flatten = (object: object, prefix: string, into: Map<string, string>): void => {
    for (const [name, item] of Object.entries(object)) {
      const path = prefix + name.replace(/[^a-z0-9_]/g, '_');
      if (item === null || Array.isArray(item)) continue;
      if (typeof item === 'object') flatten(item, `${path}_`, into);
      else if (!into.has(path))
        into.set(path, typeof item === 'string' ? item.replaceAll('\uFFFD', ' ') : JSON.stringify(item));
    }
  };

  it('agrees with JSON.parse on every object', () => {
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 6 }), fc.boolean(), (object, isSpaced) => {
        const text = JSON.stringify(object, undefined, isSpaced ? 1 : undefined);
        const expected = new Map<string, string>();
        flatten(JSON.parse(text) as object, '', expected);
        expected.delete('app');
        fc.pre(!('app' in object));
        expect(json(text)).to.deep.equal(Object.fromEntries(expected));
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('never throws, and ends, on anything', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      'a',
      '1',
      'null',
      'tru',
      ' ',
      '"k":',
      '\\u00',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        for (const tail of ['| json', '| json x="a.b", y="k[0]"', '| unpack']) {
          expect(labelsAfter(tail, `{${pieces.join('')}`)).to.be.an('object');
        }
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
