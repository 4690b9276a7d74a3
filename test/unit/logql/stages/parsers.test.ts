import { expect } from 'chai';
import { refusalOf } from '../pipeline/refusal-of.ts';
import { labelsAfter, lineAfter } from '../pipeline/run-pipeline.ts';

const LINE = '{"o":{"p":{"q":"d"},"any key":5},"arr":[1,{"b":2}],"n":null,"esc\\u0061":"x\\ty"}';

describe('json with expressions', () => {
  const json = (list: string, line: string = LINE): unknown => labelsAfter(`| json ${list}`, line);

  it('takes values at paths, raw for objects and arrays, "" for what is missing or null', () => {
    expect(
      json(
        'v="o.p.q", w="arr[0]", b="arr[1].b", m="x.y", all="arr", k="o[\\"any key\\"]", n, far="arr[9]", e="[\\"esca\\"]"',
      ),
    ).to.deep.equal({ v: 'd', w: '1', b: '2', m: '', all: '[1,{"b":2}]', k: '5', n: '', far: '', e: 'x\ty' });
  });

  it('takes the first of equal keys', () => {
    expect(json('a', '{"a":1,"a":2}')).to.deep.equal({ a: '1' });
  });

  it('looks only at how the line starts', () => {
    expect(json('a', ' {"a":"lead"}')).to.deep.equal({ __error__: 'JSONParserErr' });
    expect(json('a', 'not json')).to.deep.equal({ __error__: 'JSONParserErr' });
    expect(json('a', '["x"]')).to.deep.equal({ a: '' });
    expect(json('a', '"s"')).to.deep.equal({ a: '' });
    expect(json('a', '')).to.deep.equal({});
    expect(json('a', '{"a":"ok",}')).to.deep.equal({ a: 'ok' });
    expect(json('a', '{"a":tru}')).to.deep.equal({
      a: '',
      __error__: 'JSONParserErr',
      __error_details__: 'Unknown value type',
    });
  });

  it('gives a target of the stream a suffix, and leaves it out when nothing is there', () => {
    expect(json('app="x"', '{"x":1}')).to.deep.equal({ app_extracted: '1' });
    expect(json('app="nope"', '{"x":1}')).to.deep.equal({});
  });

  it('refuses bad paths with the words of Loki', () => {
    const cause = (path: string): string => refusalOf(`| json v=${JSON.stringify(path)}`).split(' : ')[2]!;
    expect(refusalOf('| json v="a-b"')).to.equal(
      `parse error : stage '| json v="a-b"' : cannot parse expression [a-b]: unexpected char -`,
    );
    expect(cause('a..b')).to.equal('cannot parse expression [a..b]: syntax error: unexpected DOT, expecting FIELD');
    expect(cause('arr[')).to.contain('unexpected $end, expecting STRING or INDEX');
    expect(cause('arr[x]')).to.contain('unexpected FIELD, expecting STRING or INDEX');
    expect(cause('')).to.contain('unexpected $end, expecting LSB or FIELD');
    expect(cause('["open]')).to.contain('unexpected $end, expecting RSB');
  });
});

describe('regexp', () => {
  it('sets the named groups of the first match, "" for those that took no part', () => {
    expect(labelsAfter('| regexp `(?P<verb>\\w+) (?P<st>\\d+)`', 'x GET 200 POST 201')).to.deep.equal({
      verb: 'GET',
      st: '200',
    });
    expect(labelsAfter('| regexp `(?P<x>a)?(?P<y>.*)`', 'nope')).to.deep.equal({ x: '', y: 'nope' });
    expect(labelsAfter('| regexp `(?P<x>zz)`', 'nope')).to.deep.equal({});
    expect(labelsAfter('| regexp `(?P<1a>.)`', 'nope')).to.deep.equal({ _1a: 'n' });
    expect(labelsAfter('| regexp `(?<n>é.)`', 'caféé')).to.deep.equal({ n: 'éé' });
    expect(labelsAfter('| label_format a="first" | regexp `(?P<a>.)`', 'x')).to.deep.equal({ a: 'first' });
  });
});

describe('pattern', () => {
  const pattern = (text: string, line: string): unknown => labelsAfter(`| pattern \`${text}\``, line);

  it('runs each capture to the next literal, the last one found takes the rest', () => {
    expect(pattern('<a>=<b>; <c>', 'k=v; k2=v2; rest')).to.deep.equal({ a: 'k', b: 'v', c: 'k2=v2; rest' });
    expect(pattern('<a>=<b>; <c>', 'nope')).to.deep.equal({ a: 'nope' });
    expect(pattern('a<a>', 'nope')).to.deep.equal({});
    expect(pattern('<a>b<c>', 'ab')).to.deep.equal({ a: 'a', c: '' });
    expect(pattern('<m> <_>', 'GET')).to.deep.equal({ m: 'GET' });
    expect(pattern('<m> <_>', '')).to.deep.equal({});
    expect(pattern('<1a> <b>', '<1a> x')).to.deep.equal({ b: 'x' });
    expect(pattern('<v>; ', 'a; b')).to.deep.equal({ v: 'a' });
  });
});

describe('unpack', () => {
  const options = { stream: { app: 'a', pod: 'base' } };

  it('takes labels and the line only if there is an _entry', () => {
    const packed = '{"_entry":"real \\"line\\"","pod":"p1","n":5,"a-b":"v"}';
    expect(labelsAfter('| unpack', packed, options)).to.deep.equal({ pod_extracted: 'p1', a_b: 'v' });
    expect(lineAfter('| unpack', packed)).to.equal('real "line"');
    expect(labelsAfter('| unpack', '{"pod":"p2"}', options)).to.deep.equal({});
    expect(lineAfter('| unpack', '{"_entry":5,"x":"y"}')).to.equal('{"_entry":5,"x":"y"}');
  });

  it('marks lines that are no object', () => {
    expect(labelsAfter('| unpack', 'nope')).to.deep.equal({
      __error__: 'JSONParserErr',
      __error_details__: 'expecting json object(6), but it is not',
    });
  });

  it('lets later filters see the new line', () => {
    expect(lineAfter('| unpack |= "real"', '{"_entry":"real"}')).to.equal('real');
    expect(lineAfter('| unpack |= "_entry"', '{"_entry":"real"}')).to.equal(undefined);
  });
});

describe('decolorize, drop and keep', () => {
  it('removes colours before a line filter looks', () => {
    expect(lineAfter('| decolorize |= "red ok"', '\u001b[31mred\u001b[0m ok')).to.equal('red ok');
    expect(lineAfter('| decolorize', '\u001b[1;31mŚ›\u001b[0m \u001b]0;title\u0007x')).to.equal('Ś› x');
  });

  it('drop by name or by value, and leave the details of a dropped error', () => {
    const line = '{"a":1 "b":2}';
    expect(labelsAfter('| json | drop __error__', line)).to.have.keys('a', '__error_details__');
    expect(labelsAfter('| json | drop __error__', 'plain')).to.deep.equal({});
    expect(labelsAfter('| json | drop __error__, __error_details__', line)).to.deep.equal({ a: '1' });
    expect(labelsAfter('| logfmt | drop a="1", b=~"[34]"', 'a=1 b=2')).to.deep.equal({ b: '2' });
    expect(labelsAfter('| logfmt | drop a | label_format a="n"', 'a=1')).to.deep.equal({ a: 'n' });
  });

  it('keep only what is listed, and the error', () => {
    expect(labelsAfter('| logfmt | keep a, b="9"', 'a=1 b=2 c=3')).to.deep.equal({ a: '1' });
    expect(labelsAfter('| json | keep a', '{"a":1 "b":2}')).to.have.keys('a', '__error__', '__error_details__');
  });
});

describe('label_format', () => {
  const options = { stream: { app: 'a', x: '1', y: '2' } };
  const format = (list: string): unknown => labelsAfter(`| label_format ${list}`, 'a line', options);

  it('renames at once and in order', () => {
    expect(format('a=x')).to.deep.equal({ a: '1' });
    expect(labelsAfter('| label_format x=y, y=x | keep x, y', 'l', options)).to.deep.equal({});
    expect(labelsAfter('| label_format x=x | x!=""', 'l', options)).to.equal(undefined);
    expect(format('a=nope')).to.deep.equal({});
  });

  it('shows all templates the labels as they were at the first', () => {
    expect(format('z="{{.x}}{{.y}}", w="{{.z}}"')).to.deep.equal({ z: '12', w: '' });
    expect(format('b="{{.x}}", a=x')).to.deep.equal({ b: '1', a: '1' });
    expect(format('a=x, b="{{.x}}"')).to.deep.equal({ a: '1', b: '' });
  });

  it('marks the error of a template and goes on', () => {
    expect(format('a="{{ div 1 0 }}", b="kept"')).to.deep.equal({
      b: 'kept',
      __error__: 'TemplateFormatErr',
      __error_details__:
        'template: label:1:3: executing "label" at <div 1 0>: error calling div: runtime error: integer divide by zero',
    });
  });
});

describe('stages that do not compile', () => {
  const REFUSED: readonly (readonly [tail: string, text: string])[] = [
    ['|~ "["', 'stage \'|~ "["\' : error parsing regexp: missing closing ]: `[`'],
    ['|= ip("nope")', 'stage \'|= ip("nope")\' : ip: invalid pattern: "nope"'],
    ['|~ ip("10.1.2.3")', 'stage \'|~ ip("10.1.2.3")\' : ip: invalid operation'],
    [
      '| label_format x="1",x="2"',
      'stage \'| label_format x="1",x="2"\' : multiple label name \'x\' not allowed in a single format operation',
    ],
    ['| label_format __error__="x"', 'stage \'| label_format __error__="x"\' : __error__ cannot be formatted'],
    [
      '| line_format "{{ .x"',
      'stage \'| line_format "{{ .x"\' : invalid line template: template: line:1: unclosed action',
    ],
    [
      '| label_format z="{{nofunc}}"',
      'stage \'| label_format z="{{nofunc}}"\' : invalid template for label \'z\': template: label:1: function "nofunc" not defined',
    ],
    ['| logfmt | ip=ip("x")', 'stage \'| ip=ip("x")\' : ip: invalid pattern: "x"'],
    ['|> "<a> b"', "stage '|> \"<a> b\"' : named captures are not allowed: found '<a>'"],
    ['| logfmt x="a-b"', 'stage \'| logfmt x="a-b"\' : cannot parse expression [a-b]: unexpected char -'],
  ];
  for (const [tail, text] of REFUSED) {
    it(`refuses ${tail}`, () => {
      expect(refusalOf(tail)).to.equal(`parse error : ${text}`);
    });
  }
});
