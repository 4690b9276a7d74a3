import { expect } from 'chai';
import { COMMIT_KEPT_MS, CommitTidier } from '../../../src/actors/commit-tidier.ts';
import type { Log } from '../../../src/log/log.ts';
import { ManualClock } from '../../support/clock.ts';
import { rangeOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, openTestLog, segmentId, UID } from '../../support/log/test-log.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

describe('the tidier of commits', () => {
  const clock = new ManualClock();
  let index: MemoryIndexStore;
  let log: Log;

  beforeEach(async () => {
    index = new MemoryIndexStore();
    index.nowMs = () => clock.nowMs();
    log = await openTestLog(new PowerLossFiles().process());
  });
  afterEach(() => log.close());

  const left = async (): Promise<readonly string[]> => {
    const tidier = new CommitTidier({ clock, index, log, report: () => undefined });
    await tidier.tidy();
    tidier.stop();
    const names: string[] = [];
    for await (const { segment } of index.commits()) names.push(segment);
    return names;
  };

  it('forgets what is old, and nothing else', async () => {
    for (let number = 0; number < 1200; number += 1) await index.commit([`other/1/${number}`], 'a', []);
    clock.advance(COMMIT_KEPT_MS);
    await index.commit(['other/2/1'], 'b', []);
    expect((await left()).length).to.equal(1201);
    clock.advance(1);
    expect(await left()).to.deep.equal(['other/2/1']);
  });

  it('keeps the commit of a segment that the log has for unflushed', async () => {
    const segment = log.open(segmentId(1), HEADER);
    await log.append(segment, rangeOf([{ timeNs: 1n, line: 'x' }]));
    await index.commit([`${UID}/1/1`, `${UID}/1/2`], 'a', []);
    clock.advance(COMMIT_KEPT_MS + 1);
    expect(await left()).to.deep.equal([`${UID}/1/1`]);
  });
});
