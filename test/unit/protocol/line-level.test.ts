import { expect } from 'chai';
import { LevelFields } from '../../../src/protocol/level-fields.ts';
import { LEVEL_PAIRS } from '../../../src/protocol/levels.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { levelOfLine } from '../../../src/protocol/line-level.ts';

const fields = new LevelFields(DEFAULT_LIMITS.logLevelFields);

/** Framed by text that would say something else. */
const levelOf = (line: string, depthMax = 2): string | undefined => {
  const bytes = Buffer.from(`fatal ${line} fatal`);
  return LEVEL_PAIRS[levelOfLine(bytes, 6, 6 + Buffer.byteLength(line), fields, depthMax)]?.[1];
};

describe('the level of a line', () => {
  const cases: readonly (readonly [about: string, line: string, level: string])[] = [
    ['a field of JSON', '{"msg":"error","level":"WARN"}', 'warn'],
    ['JSON with spaces around', ' \t{ "lvl" : "dbg" }\n', 'debug'],
    ['JSON: letter for letter the name', '{"LvL":"debugging"}', 'unknown'],
    ['JSON: an object within', '{"a":{"severity":"error"},"level":"info"}', 'error'],
    ['JSON: not deeper than two', '{"a":{"b":{"level":"fatal"}},"level":"info"}', 'info'],
    ['JSON: not in lists', '{"a":[{"level":"fatal"},["]"]],"level":"info"}', 'info'],
    ['JSON: not where a value is named as a field', '{"a":"level","b":"debug"}', 'debug'],
    ['JSON: text with a quote and a comma within', '{"a":"x\\",\\"level\\":\\"fatal","level":"trace"}', 'trace'],
    ['JSON: a value that is no text', '{"level":3,"lvl":"err"}', 'error'],
    ['JSON: a value that is no level, then the first word', '{"level":"loud","msg":"an info here"}', 'info'],
    ['JSON: an unfinished text, then the first word', '{"level":"warn}', 'warn'],
    ['a pair of logfmt', 'ts=1 LEVEL=Information msg=error', 'info'],
    ['a quoted pair of logfmt', 'msg="level=debug \\" inside" severity="WRN"', 'warn'],
    ['logfmt: underscores in any case', 'Severity_TEXT=trc', 'trace'],
    ['logfmt: ends where it is none any more', 'a=b=c level=debug', 'debug'],
    ['logfmt: a key without a value', 'level= info', 'info'],
    ['logfmt: no value at the end', 'level=', 'unknown'],
    ['the first word', 'Warning: an error', 'warn'],
    ['a word in brackets', '[ERR] x', 'error'],
    ['a word at the end', 'this is critical', 'critical'],
    ['no part of a word', 'terror, warnings, info-1, xdebug', 'unknown'],
    ['nothing', '', 'unknown'],
    ['spaces alone', '   ', 'unknown'],
    ['bytes beyond ASCII', 'é=ü Ébug', 'unknown'],
  ];
  for (const [about, line, level] of cases) {
    it(`is found in ${about}`, () => {
      expect(levelOf(line)).to.equal(level);
    });
  }

  it('is looked for in JSON of any depth where the limit says 0', () => {
    expect(levelOf('{"a":{"b":{"c":{"level":"warn"}}}}', 0)).to.equal('warn');
  });
});
