import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { bytesOfText, textOfBytes, wellFormed } from '../../../src/protocol/byte-text.ts';
import { fingerprintOf } from '../../../src/protocol/fingerprint.ts';
import { quoteGo } from '../../../src/protocol/go-quote.ts';
import { canonicalText, compareBytes, labelSetOf, parseLabelText } from '../../../src/protocol/label-text.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { isPrintable } from '../../../src/protocol/unicode-printable.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

interface FingerprintCase {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** In place of `labels` when a value is not UTF-8. */
  readonly labels_base64?: Readonly<Record<string, string>>;
  readonly canonical?: string;
  readonly fingerprint_dec?: string;
  /** The text that was pushed, and the error it got if any. */
  readonly push?: string;
  readonly error?: string;
}

const pairsOf = ({ labels, labels_base64: raw }: FingerprintCase): readonly string[] =>
  labels
    ? Object.entries(labels).flat()
    : Object.entries(raw ?? {}).flatMap(([name, value]) => [name, textOfBytes(Buffer.from(value, 'base64'))]);

const fixture = new URL('../../fixtures/loki-2.8/fingerprints.json', import.meta.url);
const fingerprintCases = JSON.parse(readFileSync(fixture, 'utf8')) as readonly FingerprintCase[];

const parse = (text: string) => parseLabelText(bytesOfText(text));

const refusalOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof RefusedError) return `${error.refusal.code}: ${error.refusal.text}`;
    throw error;
  }
  return 'not refused';
};

describe('label-set text', () => {
  describe('as Loki 2.8 wrote it down', () => {
    for (const known of fingerprintCases) {
      const { name, canonical = '', fingerprint_dec: digits = '', push, error } = known;
      if (push !== undefined && error !== undefined) {
        it(`${name}: refused`, () => {
          expect(refusalOf(() => parse(push))).to.equal(`BAD_REQUEST: couldn't parse labels: ${error}`);
        });
        continue;
      }
      it(`${name}: canonical text and fingerprint`, () => {
        const pairs = pairsOf(known);
        const set = { pairs, canonical, fingerprint: BigInt(digits) };
        expect({ pairs, canonical: canonicalText(pairs), fingerprint: fingerprintOf(pairs) }).to.deep.equal(set);
        if (push !== undefined) expect(parse(push)).to.deep.equal(set);
      });
    }

    it('from pairs in any order and from the canonical text', () => {
      for (const known of fingerprintCases) {
        const pairs = pairsOf(known);
        if (known.error !== undefined || pairs.includes('')) continue;
        const reversed = pairs.flatMap((_, index) => (index % 2 ? [] : pairs.slice(-index - 2).slice(0, 2)));
        expect(labelSetOf(reversed).canonical).to.equal(known.canonical);
        const isParsable = pairs.every((name, index) => index % 2 === 1 || /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name));
        if (isParsable) expect(parse(known.canonical ?? '').pairs).to.deep.equal(pairs);
      }
    });
  });

  describe('accepts', () => {
    const accepted: readonly (readonly [string, readonly string[]])[] = [
      ['{app="web", env="dev"}', ['app', 'web', 'env', 'dev']],
      ['{env="dev",app="web"}', ['app', 'web', 'env', 'dev']],
      ['', []],
      ['{}', []],
      [' { a = "1" , } ', ['a', '1']],
      ["{a='it\"s', b=`raw\\n`}", ['a', 'it"s', 'b', 'raw\\n']],
      ['{a="\\u00e9\\x41\\n\\"\\\\\\U0001F6A2\\101"}', ['a', 'éA\n"\\🚢A']],
      ['{a="", b="x"}', ['b', 'x']],
      ['foo{a="b"}', ['__name__', 'foo', 'a', 'b']],
      ['a:b', ['__name__', 'a:b']],
      ['{a="Zürich 🚢 \ufffd"}', ['a', 'Zürich 🚢 \ufffd']],
      ['# comment\n{a="1", # more\n b="2"}', ['a', '1', 'b', '2']],
      ['{a="x", a="y"}', ['a', 'x', 'a', 'y']],
      ['{a="\\xff\\xfe"}', ['a', '\udcff\udcfe']],
    ];
    for (const [text, pairs] of accepted) {
      it(JSON.stringify(text), () => expect(parse(text).pairs).to.deep.equal(pairs));
    }
  });

  describe('refuses with the position and text of Loki', () => {
    const refused: readonly (readonly [string, string])[] = [
      ['{bad-name="a"}', "1:5: parse error: unexpected character inside braces: '-'"],
      ['{a.b="x"}', "1:3: parse error: unexpected character inside braces: '.'"],
      ['{größe="x"}', "1:4: parse error: unexpected character inside braces: 'ö'"],
      ['{app="p"', '1:9: parse error: unexpected end of input inside braces'],
      ['app="p"', '1:4: parse error: unexpected "="'],
      ['{app=~"p"}', '1:5: parse error: unexpected <op:=~> in label set, expected "="'],
      ['{app!="p"}', '1:5: parse error: unexpected <op:!=> in label set, expected "="'],
      ['{q=a}', '1:4: parse error: unexpected identifier "a" in label set, expected string'],
      ['{q="\\q"}', "1:4: parse error: unknown escape sequence U+0071 'q'"],
      ['{a="\\xg0"}', "1:4: parse error: illegal character U+0067 'g' in escape sequence"],
      ['{a="\\ud800"}', '1:4: parse error: escape sequence is an invalid Unicode code point'],
      ['{a="\\777"}', '1:4: parse error: escape sequence is an invalid Unicode code point'],
      ['{a="\\', '1:4: parse error: escape sequence not terminated'],
      ['{a b="x"}', '1:4: parse error: unexpected identifier "b" in label set, expected "="'],
      ['{a="1" b="2"}', '1:8: parse error: unexpected identifier "b" in label set, expected "," or "}"'],
      ['{,}', '1:2: parse error: unexpected "," in label set, expected identifier or "}"'],
      ['{1a="x"}', "1:2: parse error: unexpected character inside braces: '1'"],
      ['{a="x\ny"}', '1:4: parse error: unterminated quoted string'],
      ['{a=`x', '1:4: parse error: unterminated raw string'],
      ['{\n a="x",\n -="y"}', "3:2: parse error: unexpected character inside braces: '-'"],
      ['{"a"="x"}', '1:2: parse error: unexpected string "\\"a\\"" in label set, expected identifier or "}"'],
      ['{a="x"} b', '1:9: parse error: unexpected identifier "b"'],
      ['{a="x"}}', "1:8: parse error: unexpected right brace '}'"],
      ['"abcdefghijkl"', '1:1: parse error: unexpected string "\\"abcdefghi"...'],
    ];
    for (const [text, error] of refused) {
      it(JSON.stringify(text), () => {
        expect(refusalOf(() => parse(text))).to.equal(`BAD_REQUEST: couldn't parse labels: ${error}`);
      });
    }

    it('bytes that are not UTF-8, at the start of the string', () => {
      const bytes = Buffer.from('{app="\xff"}', 'latin1');
      expect(refusalOf(() => parseLabelText(bytes))).to.equal(
        "BAD_REQUEST: couldn't parse labels: 1:6: parse error: invalid UTF-8 rune",
      );
    });

    it('text of more than a mebibyte, unread', () => {
      expect(refusalOf(() => parseLabelText(Buffer.alloc(1024 * 1024 + 1)))).to.match(/^TOO_LARGE: /);
    });
  });

  it('printable is what Unicode 13 had: later characters are written as escapes', () => {
    expect(quoteGo('\u{1fae0}')).to.equal('"\\U0001fae0"');
    expect(quoteGo('\u{1f6a2}\ufffd')).to.equal('"\u{1f6a2}\ufffd"');
    expect([0x20, 0x7e, 0x378, 0xe9, 0x30000, 0x2fa1d].map(isPrintable)).to.deep.equal([
      true,
      true,
      false,
      true,
      true,
      true,
    ]);
    expect([0x1f, 0x7f, 0xa0, 0xad, 0xe000, 0x10ffff, 0x3134b].some(isPrintable)).to.equal(false);
  });

  it('any bytes survive text and back, and never show as a lone surrogate', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 40 }), fc.string({ unit: 'binary' }), (bytes, text) => {
      const mixed = Buffer.concat([bytes, Buffer.from(text), bytes]);
      expect(bytesOfText(textOfBytes(mixed)).equals(mixed)).to.equal(true);
      expect(Buffer.from(wellFormed(textOfBytes(mixed))).toString()).to.equal(wellFormed(textOfBytes(mixed)));
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('texts are ordered as their bytes are', () => {
    const character = fc.constantFrom('a', 'b', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\udc80', '\udcff');
    const text = fc.string({ unit: character, maxLength: 4 });
    const property = fc.property(text, text, (left, right) => {
      const expected = Buffer.compare(bytesOfText(left), bytesOfText(right));
      expect(Math.sign(compareBytes(left, right))).to.equal(expected);
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('parse(canonical(labels)) is labels', () => {
    const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,8}$/);
    const value = fc.oneof(
      fc.string({ minLength: 1, unit: 'binary' }),
      fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => textOfBytes(bytes)),
    );
    const property = fc.property(fc.dictionary(name, value), (labels) => {
      const set = labelSetOf(Object.entries(labels).flat());
      expect(parse(set.canonical)).to.deep.equal(set);
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('any bytes give labels or a refusal', () => {
    const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    const near = fc.stringMatching(/^[a-c{}=,"'`\\x# \n~!0-9]*$/).map((text) => Buffer.from(text));
    const property = fc.property(fc.oneof(noise, near), (bytes) => {
      refusalOf(() => parseLabelText(bytes));
    });
    fc.assert(property, { numRuns: propertyRuns(4) });
  }).timeout(PROPERTY_TIMEOUT_MS);
});
