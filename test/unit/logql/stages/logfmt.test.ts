import { expect } from 'chai';
import fc from 'fast-check';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { labelsAfter } from '../pipeline/run-pipeline.ts';

const failed = (position: number, text: string): Record<string, string> => ({
  __error__: 'LogfmtParserErr',
  __error_details__: `logfmt syntax error at pos ${position} : ${text}`,
});

type Row = readonly [line: string, lenient: object, strict: object];

const ROWS: readonly Row[] = [
  ['a-b=1 9x=2 "k=3', { a_b: '1', _9x: '2' }, { a_b: '1', _9x: '2', ...failed(12, `unexpected '"'`) }],
  ['=v a=1', { a: '1' }, failed(1, "unexpected '='")],
  ['a=b"c d=1', { d: '1' }, failed(4, `unexpected '"'`)],
  ['a="x"y b=2', { a: 'x', b: '2' }, { a: 'x', b: '2' }],
  ['a=1,b=2', {}, failed(6, "unexpected '='")],
  ['a= "v" b=1', { b: '1' }, failed(4, `unexpected '"'`)],
  ['a="b\\x" ok=1', { ok: '1' }, failed(8, 'invalid quoted value')],
  ['a="unterminated', {}, failed(16, 'unterminated quoted value')],
  ["q='single quoted' r=1", { q: "'single", r: '1' }, { q: "'single", r: '1' }],
  ['msg="multi\\nline" u="\\u00e9"', { msg: 'multi\nline', u: 'é' }, { msg: 'multi\nline', u: 'é' }],
  ['a.b=1 a_b=2', { a_b: '1' }, { a_b: '1' }],
  ['plain text only', {}, {}],
  ['  sp=1\t tab=2  ', { sp: '1', tab: '2' }, { sp: '1', tab: '2' }],
  ['a=1 a=2', { a: '1' }, { a: '1' }],
  ['é=1 x=é', { _: '1', x: 'é' }, { _: '1', x: 'é' }],
  ['', {}, {}],
];

describe('logfmt', () => {
  for (const [line, lenient, strict] of ROWS) {
    it(`reads ${line || 'an empty line'}`, () => {
      expect(labelsAfter('| logfmt', line)).to.deep.equal(lenient);
      expect(labelsAfter('| logfmt --strict', line)).to.deep.equal(strict);
    });
  }

  it('leaves out empty values unless told to keep them', () => {
    const line = 'a=1 b="two words" c= d f=x=y e=5 g=""';
    const kept = { a: '1', b: 'two words', e: '5' };
    expect(labelsAfter('| logfmt', line)).to.deep.equal(kept);
    expect(labelsAfter('| logfmt --keep-empty', line)).to.deep.equal({ ...kept, c: '', d: '', g: '' });
    const strict = { a: '1', b: 'two words', ...failed(27, "unexpected '='") };
    expect(labelsAfter('| logfmt --strict', line)).to.deep.equal(strict);
  });

  it('puts a blank for each bad rune, and refuses keys that have one', () => {
    expect(labelsAfter('| logfmt', Buffer.from([0x75, 0x3d, 0x78, 0xff, 0x79]))).to.deep.equal({ u: 'x y' });
    expect(labelsAfter('| logfmt --strict', Buffer.from([0xff, 0x3d, 0x78]))).to.deep.equal(failed(2, 'invalid key'));
  });

  it('gives names of the stream and of the entry a suffix', () => {
    const options = { stream: { app: 'a', lvl: 'base' }, metadata: { t: 'm' } };
    expect(labelsAfter('| logfmt', 'lvl=x t=1 z=9', options)).to.deep.equal({
      lvl_extracted: 'x',
      t: 'm',
      t_extracted: '1',
      z: '9',
    });
  });

  it('extracts only listed targets, all of them, with the last occurrence of a key', () => {
    expect(labelsAfter('| logfmt a, foo="b"', 'a=1 b=2 c=3')).to.deep.equal({ a: '1', foo: '2' });
    expect(labelsAfter('| logfmt a, foo="b"', 'x=1')).to.deep.equal({ a: '', foo: '' });
    expect(labelsAfter('| logfmt a', 'a=1 a=2 a=')).to.deep.equal({ a: '2' });
    expect(labelsAfter('| logfmt x="a_b"', 'a-b=1')).to.deep.equal({ x: '1' });
    expect(labelsAfter('| logfmt app', 'app=x')).to.deep.equal({ app_extracted: 'x' });
    expect(labelsAfter('| logfmt app', 'b=x')).to.deep.equal({});
  });

  it('agrees with what was written', () => {
    const name = fc.stringMatching(/^[a-z][a-z_0-9]{0,5}$/).filter((key) => key !== 'app');
    const value = fc.oneof(fc.stringMatching(/^[!#-<>-~]{1,8}$/), fc.string({ unit: 'grapheme', minLength: 1 }));
    const write = (text: string): string => (/^[!#-<>-~]+$/.test(text) ? text : JSON.stringify(text));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 6 }), (pairs) => {
        const line = pairs.map(([key, text]) => `${key}=${write(text)}`).join(' ');
        const expected = pairs.map(([key, text]) => [key, text.replaceAll('\uFFFD', ' ')]);
        expect(labelsAfter('| logfmt --strict', line)).to.deep.equal(Object.fromEntries(expected));
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('never throws, and ends, on anything', () => {
    const piece = fc.constantFrom('a', '=', '"', '\\', ' ', 'b=', 'c="x"', '\t', '\n', '\\u', 'é');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        for (const tail of ['| logfmt', '| logfmt --strict', '| logfmt --keep-empty a, x="b"']) {
          expect(labelsAfter(tail, pieces.join(''))).to.be.an('object');
        }
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
