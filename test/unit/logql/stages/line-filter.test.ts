import { expect } from 'chai';
import { keptNumbers } from '../pipeline/run-pipeline.ts';

const kept = (tail: string, lines: readonly string[]): string => keptNumbers(tail, lines);

describe('line filters', () => {
  const LINES = ['Pier seven', 'pier SEVEN', '', 'dock\ntwo pier', 'p.er', 'ÄÖÜ äöü'];

  it('search bytes, with |= "" keeping all and != "" nothing', () => {
    expect(kept('|= "pier"', LINES)).to.equal('2 4');
    expect(kept('!= "pier"', LINES)).to.equal('1 3 5 6');
    expect(kept('|= ""', LINES)).to.equal('1 2 3 4 5 6');
    expect(kept('!= ""', LINES)).to.equal('');
    expect(kept('|= "p.er"', LINES)).to.equal('5');
    expect(kept('|= "\\n"', LINES)).to.equal('4');
  });

  it('search regexes unanchored, where a dot is no newline', () => {
    expect(kept('|~ "p.er"', LINES)).to.equal('2 4 5');
    expect(kept('|~ "dock.two"', LINES)).to.equal('');
    expect(kept('|~ "(?s)dock.two"', LINES)).to.equal('4');
    expect(kept('|~ "^.{3} .{3}$"', LINES)).to.equal('6');
    expect(kept('|~ "" |~ ".*"', LINES)).to.equal('1 2 3 4 5 6');
    expect(kept('!~ ".*"', LINES)).to.equal('');
  });

  it('take .+ for "not empty"', () => {
    expect(kept('|~ ".+"', ['x', '', '\n'])).to.equal('1 3');
    expect(kept('!~ ".+"', ['x', '', '\n'])).to.equal('2');
  });

  it('fold case letter by letter', () => {
    const lines = ['xaab', 'XAB', 'aAb', 'ſab K', 'straße', 'PIER', 'ÄÖ'];
    expect(kept('|~ "(?i)ab"', lines)).to.equal('1 2 3 4');
    expect(kept('|~ "(?i)s"', lines)).to.equal('5');
    expect(kept('|~ "(?i)STRAßE"', lines)).to.equal('5');
    expect(kept('|~ "(?i)äö"', lines)).to.equal('7');
    expect(kept('|~ "(?i)pier|AAB"', lines)).to.equal('1 3 6');
  });

  it('take chains as any of, and negated chains as none of', () => {
    expect(kept('|= "Pier" or "dock"', LINES)).to.equal('1 4');
    expect(kept('!= "Pier" or "pier"', LINES)).to.equal('3 5 6');
    expect(kept('|~ "^P" or "^p"', LINES)).to.equal('1 2 5');
    expect(kept('|= "pier" |= "two" or "SEVEN"', LINES)).to.equal('2 4');
    expect(kept('|= "" or "dock"', LINES)).to.equal('4');
  });

  it('find addresses, also those the chain names beside text', () => {
    const lines = [
      'v10.0.0.1',
      'addr 10.0.0.1:80',
      '10.9.0.1,10.0.0.2',
      '10.0.0.256',
      '010.0.0.1',
      '1.2.3',
      'end ::1',
      '::1',
      '::1 loop',
      '',
      '::ffff:10.0.0.1 mapped',
      'host',
    ];
    expect(kept('|= ip("10.0.0.0/24")', lines)).to.equal('1 2 3');
    expect(kept('|= ip("10.0.0.1")', lines)).to.equal('1 2');
    expect(kept('|= ip("10.0.0.2-10.0.0.9")', lines)).to.equal('3');
    expect(kept('|= ip("::1")', lines)).to.equal('9');
    expect(kept('|= ip("::/0")', lines)).to.equal('9 11');
    expect(kept('!= ip("10.0.0.0/8")', lines)).to.equal('4 5 6 7 8 9 10 11 12');
    expect(kept('|= "host" or ip("10.9.0.0/16")', lines)).to.equal('3 12');
  });

  it('match patterns over the whole line', () => {
    const lines = ['foo BAR', 'Foo bar', 'line\ntwo foo', ''];
    expect(kept('|> "<_> bar"', lines)).to.equal('2');
    expect(kept('|> "<_>foo"', lines)).to.equal('3');
    expect(kept('|> "foo"', lines)).to.equal('3');
    expect(kept('|> "foo<_>"', lines)).to.equal('1');
    expect(kept('|> "<_>foo<_>"', lines)).to.equal('');
    expect(kept('|> "<_>"', lines)).to.equal('1 2 3');
    expect(kept('|> ""', lines)).to.equal('4');
    expect(kept('!> ""', lines)).to.equal('1 2 3');
  });

  it('search long lines too', () => {
    const long = `${'quay '.repeat(2000)}needle ${'pier '.repeat(10)}`;
    expect(kept('|= "needle"', [long, long.replace('needle', 'noodle')])).to.equal('1');
    expect(kept('|~ "(?i)NEEDLE"', [long, long.replace('needle', 'noodle')])).to.equal('1');
  });
});
