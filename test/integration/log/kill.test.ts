import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { linesOf, openTestLog, segmentId } from '../../support/log/test-log.ts';

const APPENDER = fileURLToPath(new URL('../../support/log/appender-process.ts', import.meta.url));
const KILLS = 3;

/** Runs until it has acknowledged so many entries; gives the last one acknowledged of each of its segments. */
const appendUntilKilled = async (
  folder: string,
  incarnation: number,
  entries: number,
): Promise<Map<number, number>> => {
  const child = spawn(process.execPath, ['--import', 'tsx', APPENDER, folder, String(incarnation)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const acknowledged = new Map<number, number>();
  let count = 0;
  for await (const text of createInterface({ input: child.stdout })) {
    const [counter, index] = text.split(' ').map(Number) as [number, number];
    acknowledged.set(counter, index);
    count += 1;
    if (count === entries) child.kill('SIGKILL');
  }
  await ended;
  return acknowledged;
};

describe('the log of a process that is killed', function () {
  this.timeout(60_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-kill-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('has every entry that was acknowledged, once and in order, kill after kill', async () => {
    const acknowledged: Map<number, number>[] = [];
    for (let kill = 1; kill <= KILLS; kill += 1) acknowledged.push(await appendUntilKilled(folder, kill, 700 * kill));
    const log = await openTestLog(new NodeLogFiles(folder), { clock: systemClock, incarnation: KILLS + 1 });
    expect(log.recovery).to.include({ damagedBytes: 0, missingEntries: 0, segments: 4 * KILLS });
    expect(log.recovery.files.length).to.be.greaterThan(KILLS);
    for (const [index, ofProcess] of acknowledged.entries()) {
      expect(ofProcess.size).to.equal(4);
      for (const [counter, last] of ofProcess) {
        const lines = await linesOf(log, log.find(segmentId(counter, index + 1))!);
        expect(lines.length).to.be.greaterThan(last);
        for (const [at, line] of lines.entries())
          expect(line.startsWith(`${index + 1} ${counter} ${at} `)).to.equal(true);
      }
    }
    await log.close();
  });
});
