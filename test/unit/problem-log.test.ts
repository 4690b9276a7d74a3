import { expect } from 'chai';
import { ProblemLog } from '../../src/problem-log.ts';
import { ManualClock } from '../support/clock.ts';

const diskFull = (file: string): Error =>
  new Error(`cannot write ${file}`, {
    cause: Object.assign(new Error(`no space, open '${file}'`), { code: 'ENOSPC' }),
  });

describe('ProblemLog', () => {
  let clock: ManualClock;
  let written: [problem: string, fields: Record<string, unknown>][];
  let log: ProblemLog;

  beforeEach(() => {
    clock = new ManualClock();
    written = [];
    log = new ProblemLog(clock, (fields, problem) => written.push([problem, fields as Record<string, unknown>]));
  });

  const texts = (): string[] => written.map(([problem, { stream, repeats = 0 }]) => `${problem} ${stream} ${repeats}`);

  it('writes a new problem at once, with its error and what it is about', () => {
    const error = new Error('broken');
    log.report('failed', error, { stream: '{a="1"}' });
    expect(written).to.deep.equal([['failed', { err: error, stream: '{a="1"}' }]]);
  });

  it('writes the same problem every 10 s, and how often it was not written', () => {
    for (let stream = 0; stream < 25; stream += 1) {
      log.report('failed', diskFull(`/chunk-${stream}`), { stream });
      clock.advance(1000);
    }
    expect(texts()).to.deep.equal(['failed 0 0', 'failed 10 9', 'failed 20 9']);
  });

  it('holds back no other text and no other cause', () => {
    log.report('failed', diskFull('/a'), { stream: 1 });
    log.report('failed', Object.assign(new Error('gone'), { code: 'EIO' }), { stream: 2 });
    log.report('failed', new Error('one'), { stream: 3 });
    log.report('failed', new Error('two'), { stream: 4 });
    log.report('failed', undefined, { stream: 5 });
    log.report('failed differently', diskFull('/a'), { stream: 6 });
    expect(written.map(([, { stream }]) => stream)).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('counts no repeats for a problem that comes back after a pause', () => {
    log.report('failed', new Error('one'));
    clock.advance(60_000);
    log.report('failed', new Error('one'));
    expect(texts()).to.deep.equal(['failed undefined 0', 'failed undefined 0']);
  });
});
