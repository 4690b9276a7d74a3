import { expect } from 'chai';
import { keptNumbers, labelsAfter, runLines } from '../pipeline/run-pipeline.ts';

const F1 = [
  'n=5 d=10ms b=5KB s=abc ip=10.0.0.5',
  'n=abc d=xx b=zz s=ABC ip=zz',
  's=only',
  'n=1e3 d=1.5s b=1MiB s="" ip=192.168.0.1',
  'n=NaN d=1d b=1024 s=x',
  'n=+Inf d=-5s b=1.5kb',
  'n=0x10 d=1h30m b="1 GB"',
  'n=1_000 d=100 b=-1',
];

const KEPT: readonly (readonly [filter: string, kept: string])[] = [
  ['n > 4', '1 2E 4 6 7E 8'],
  ['n = 5', '1 2E 7E'],
  ['n == 5', '1 2E 7E'],
  ['n != 5', '2E 4 5 6 7E 8'],
  ['n >= 1000', '2E 4 6 7E 8'],
  ['n > -5', '1 2E 4 6 7E 8'],
  ['n < -1', '2E 7E'],
  ['d > 5ms', '1 2E 4 5E 7 8E'],
  ['d > 1h', '2E 5E 7 8E'],
  ['d = 10ms', '1 2E 5E 8E'],
  ['n>4 | d>5ms', '1 2E 4 7E 8E'],
  ['d>5ms or n>4', '1 2E 4 5E 6 7 8E'],
  ['n > 4 | __error__=""', '1 4 6 8'],
  ['__error__="" | n > 4', '1 4 6 8'],
  ['s="only" or s="abc", n=5', '1 3'],
  ['n=77, s="abc" or s="only"', ''],
  ['n=77 and s="abc" or s="only"', '3'],
  ['s="abc" or s="only" and n=5', '1'],
  ['b > 1KB', '1 2E 4 5 6 7 8E'],
  ['b > 4999B', '1 2E 4 7 8E'],
  ['b = 5kB', '1 2E 8E'],
  ['ip=ip("10.0.0.0/8")', '1'],
  ['ip!=ip("10.0.0.0/8")', '2 4'],
  ['s=~"(?i)abc"', '1 2'],
  ['s=""', '4 6 7 8'],
  ['s!=""', '1 2 3 5'],
  ['missing > 1', ''],
  ['missing!="x"', '1 2 3 4 5 6 7 8'],
  ['app=1', '1E 2E 3E 4E 5E 6E 7E 8E'],
];

describe('label filters', () => {
  for (const [filter, kept] of KEPT) {
    it(`${filter} keeps ${kept || 'nothing'}`, () => {
      expect(keptNumbers(`| logfmt | ${filter}`, F1)).to.equal(kept);
    });
  }

  it('compares sizes exactly, also those Loki rounds while they are in memory', () => {
    expect(keptNumbers('| logfmt | b = 1234B', ['b=1200', 'b=1234', 'b=1230'])).to.equal('2');
  });

  it('evaluates typed filters on lines that already have an error, and keeps the first error', () => {
    const lines = ['{"a":1}', 'bad', '{"a":"x"}', '{"b":7}'];
    expect(keptNumbers('| json | a > 0', lines)).to.equal('1 3E');
    const [kept] = runLines('| logfmt | a > 1s | a > 1KB', ['a=xx']);
    expect(kept?.labels).to.deep.equal({
      a: 'xx',
      __error__: 'LabelFilterErr',
      __error_details__: 'time: invalid duration "xx"',
    });
  });

  it('anchors regexes, where Loki 3.7 loses some anchors', () => {
    const lines = ['ab', 'abx', 'xab', 'xabx', 'AB', 'foo', 'bar', 'foobar', 'xfoo'].map((value) => `m=${value}`);
    expect(keptNumbers('| logfmt | m=~"ab.*"', lines)).to.equal('1 2');
    expect(keptNumbers('| logfmt | m=~".*ab"', lines)).to.equal('1 3');
    expect(keptNumbers('| logfmt | m=~"foo.*|bar"', lines)).to.equal('6 7 8');
    expect(keptNumbers('| logfmt | m=~"x(ab|foo)"', lines)).to.equal('3 9');
    expect(keptNumbers('| logfmt | m=~"ab.+"', lines)).to.equal('2');
    expect(keptNumbers('| logfmt | m=~""', lines)).to.equal('');
    expect(keptNumbers('| logfmt | m!~""', lines)).to.equal('1 2 3 4 5 6 7 8 9');
  });

  it('lets a dot match a newline only in .* beside a literal', () => {
    const lines = ['m="p\\nq"', 'm=pq'];
    expect(keptNumbers('| logfmt | m=~"p.q"', lines)).to.equal('');
    expect(keptNumbers('| logfmt | m=~".+q"', lines)).to.equal('2');
    expect(keptNumbers('| logfmt | m=~".*q"', lines)).to.equal('1 2');
    expect(keptNumbers('| logfmt | m=~"(?s)p.q"', lines)).to.equal('1');
  });

  it('cannot see the details of an error', () => {
    expect(keptNumbers('| logfmt | n > 4 | __error_details__!=""', F1)).to.equal('');
  });

  it('compares what bad runes became, not the bytes', () => {
    const line = Buffer.from([0x75, 0x3d, 0x78, 0xff, 0x79]);
    expect(labelsAfter('| logfmt | u="x y"', line)).to.deep.equal({ u: 'x y' });
    expect(labelsAfter('| logfmt | u="x\\xffy"', line)).to.equal(undefined);
  });

  it('takes long chains', () => {
    const chain = Array.from({ length: 150 }, (_, index) => `n!="${index + 10}"`).join(' and ');
    expect(keptNumbers(`| logfmt | ${chain}`, F1)).to.equal('1 2 3 4 5 6 7 8');
  });
});
