import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { copyLog, copyLogs, wholeLines } from '../../../scripts/demo-logs.ts';

const wholeText = (text: string, lineBytesMax = 100): readonly [string, number] => {
  const { bytes, lines } = wholeLines(Buffer.from(text), lineBytesMax);
  return [Buffer.from(bytes).toString(), lines];
};

describe('wholeLines', () => {
  it('counts empty lines, which are pushed like others', () => {
    expect(wholeText('one\n\ntwo\n')).to.deep.equal(['one\n\ntwo\n', 3]);
  });

  it('drops what is still being written', () => {
    expect(wholeText('one\ntw')).to.deep.equal(['one\n', 1]);
    expect(wholeText('on')).to.deep.equal(['', 0]);
  });

  it('drops lines that a node refuses for their length, in bytes without the newline', () => {
    expect(wholeText('ééé\nlong\nend\n', 4)).to.deep.equal(['long\nend\n', 2]);
  });
});

describe('copies of logs', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-test-'));
    mkdirSync(path.join(folder, 'copies'));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('holds whole lines of the first bytes alone', () => {
    const file = path.join(folder, 'a.log');
    writeFileSync(file, 'first\nsecond\nthird\n');
    const log = copyLog(file, path.join(folder, 'copies', 'a.log'), 14);
    expect(log.lines).to.equal(2);
    expect(readFileSync(log.copy, 'utf8')).to.equal('first\nsecond\n');
  });

  it('takes every log of a folder, not what is no file or has no line', () => {
    for (const [name, text] of Object.entries({ 'a.log': 'one\n', 'b.txt': 'two\n', 'c.log': 'half', 'd.log': '' })) {
      writeFileSync(path.join(folder, name), text);
    }
    mkdirSync(path.join(folder, 'e.log'));
    const found = copyLogs(folder, path.join(folder, 'copies'), (file) => expect.fail(file));
    expect(found.map(({ file, lines }) => [path.basename(file), lines])).to.deep.equal([['a.log', 1]]);
  });
});
