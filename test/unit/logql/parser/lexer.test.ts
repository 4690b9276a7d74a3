import { expect } from 'chai';
import { Lexer } from '../../../../src/logql/lexer.ts';
import { parseExpr, parseMatchers } from '../../../../src/logql/parser.ts';
import { refusalOf } from './refusal-of.ts';

const tokensOf = (text: string): readonly string[] => {
  const lexer = new Lexer(text);
  const tokens: string[] = [];
  for (lexer.next(); lexer.type !== '$end'; lexer.next()) tokens.push(lexer.type);
  return tokens;
};

const stringValue = (literal: string): string | undefined => parseMatchers(`{a=${literal}, b="c"}`)[0]?.value;
const errorOf = (text: string): string | undefined => refusalOf(() => parseExpr(text))?.text;

describe('LogQL tokens', () => {
  it('are separated by blanks and comments of three kinds', () => {
    for (const text of [
      '/* c */ {a="b"}',
      '# c\n{a="b"}',
      '{a="b"} // c',
      '\t{ a\r\n=/**/"b" # }\n}',
      '\ufeff{a="b"}',
    ]) {
      expect(parseMatchers(text), text).to.deep.equal([{ name: 'a', op: '=', value: 'b' }]);
    }
  });

  it('are functions in front of a parenthesis or a grouping, names elsewhere', () => {
    expect(tokensOf('sum(')).to.deep.equal(['SUM', '(']);
    expect(tokensOf('Sum \n by\t(')).to.deep.equal(['SUM', 'by', '(']);
    expect(tokensOf('sum WITHOUT(')).to.deep.equal(['SUM', 'without', '(']);
    expect(tokensOf('sum by x')).to.deep.equal(['IDENTIFIER', 'by', 'IDENTIFIER']);
    expect(tokensOf('sum')).to.deep.equal(['IDENTIFIER']);
    expect(tokensOf('ip ip("x")')).to.deep.equal(['IDENTIFIER', 'ip', '(', 'STRING', ')']);
  });

  it('are numbers, durations and sizes by what follows the digits', () => {
    const text =
      '5 .5 1. 1e3 5m 1.5h 30m1h 1d12h 2000000us 5KB 1Ki 1.5MiB 5B -5m - 5 -5 --strict --keep-empty --strictly';
    expect(tokensOf(text)).to.deep.equal([
      ...['NUMBER', 'NUMBER', 'NUMBER', 'NUMBER'],
      ...['DURATION', 'DURATION', 'DURATION', 'DURATION', 'DURATION'],
      ...['BYTES', 'BYTES', 'BYTES', 'BYTES'],
      ...['DURATION', '-', 'NUMBER', '-', 'NUMBER'],
      ...['FUNCTION_FLAG', 'FUNCTION_FLAG', '-', '-', 'IDENTIFIER'],
    ]);
  });

  it('are a number and a word where the unit is unknown', () => {
    for (const text of ['1.5d', '1S', '1xb']) expect(tokensOf(text), text).to.deep.equal(['NUMBER', 'IDENTIFIER']);
    expect(tokensOf('1kb'), 'b is not of a size').to.deep.equal(['BYTES', 'IDENTIFIER']);
    expect(tokensOf('1h30')).to.deep.equal(['NUMBER', 'IDENTIFIER']);
  });

  it('are identifiers where nothing else fits', () => {
    expect(tokensOf("$ @ ! & 😀 ; 'x'")).to.deep.equal(new Array(7).fill('IDENTIFIER'));
  });
});

describe('LogQL strings', () => {
  for (const [literal, value] of [
    ['"a\\tb\\n\\"\\\\"', 'a\tb\n"\\'],
    ['"\\a\\b\\f\\r\\v"', '\u0007\b\f\r\v'],
    ['"\\101\\x41\\u0041\\U00000041"', 'AAAA'],
    ['"\\U0001f600😀"', '😀😀'],
    ['"\\xc3\\xa9\\303\\251"', 'éé'],
    ['`a\\n"\nb`', 'a\\n"\nb'],
    ['""', ''],
  ] as const) {
    it(`read ${literal}`, () => {
      expect(stringValue(literal)).to.equal(value);
    });
  }

  it('keep bytes that are no characters as the surrogates that stand for them', () => {
    expect(stringValue('"\\xff\\xc3\\xa9\\xc3"')).to.equal('\udcffé\udcc3');
  });

  for (const [literal, text] of [
    ['"\\d"', 'invalid char escape'],
    ['"\\0"', 'invalid char escape'],
    ['"\\xZZ"', 'invalid char escape'],
    ['"\\u12"', 'invalid char escape'],
    ['"\\\'"', 'invalid char escape'],
    ['"\\400"', 'invalid syntax'],
    ['"\\ud800"', 'invalid syntax'],
    ['"\\U00110000"', 'invalid syntax'],
    ['"open', 'literal not terminated'],
    ['"two\nlines"', 'literal not terminated'],
    ['`open', 'literal not terminated'],
    ["'ab'", 'invalid char literal'],
    ["''", 'invalid char literal'],
  ] as const) {
    it(`refuse ${JSON.stringify(literal)}: ${text}, at its opening quote`, () => {
      expect(errorOf(`{\n a=${literal}`)).to.equal(`parse error at line 2, col 4: ${text}`);
    });
  }
});

describe('LogQL numbers', () => {
  for (const [literal, text] of [
    ['0x', 'hexadecimal literal has no digits'],
    ['0B', 'decimal literal has no digits'],
    ['1e', 'exponent has no digits'],
    ['1EB', 'exponent has no digits'],
    ['1PB', "'P' exponent requires hexadecimal mantissa"],
    ['0x1.8', "hexadecimal mantissa requires a 'p' exponent"],
    ['0b1e5', "'e' exponent requires decimal mantissa"],
    ['0o1.5', 'invalid radix point in octal literal'],
    ['08', "invalid digit '8' in octal literal"],
    ['1__0', "'_' must separate successive digits"],
    ['1_', "'_' must separate successive digits"],
    ['1_.5', "'_' must separate successive digits"],
  ] as const) {
    it(`refuse ${literal}: ${text}`, () => {
      expect(errorOf(literal)).to.equal(`parse error at line 1, col 1: ${text}`);
    });
  }

  it('that are integers of other bases scan, but have no value', () => {
    expect(errorOf('0x10')).to.equal(
      'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0x10": invalid syntax',
    );
    expect(errorOf('vector(0b11)')).to.equal(
      'parse error : unable to parse vectorExpr as a float: strconv.ParseFloat: parsing "0b11": invalid syntax',
    );
    expect(errorOf('1 + 1e400')).to.equal(
      'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "1e400": value out of range',
    );
  });
});
