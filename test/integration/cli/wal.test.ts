import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { Log } from '../../../src/log/log.ts';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';
import { HEADER, openTestLog, segmentId } from '../../support/log/test-log.ts';
import { runCli } from './cli-process.ts';

describe('ringlog wal inspect', function () {
  this.timeout(120_000);
  let folder: string;
  let log: Log;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-wal-'));
    log = await openTestLog(new NodeLogFiles(folder), { clock: systemClock });
    const [kept, flushed] = [1, 2].map((counter) => log.open(segmentId(counter), HEADER)) as [never, never];
    for (let index = 0; index < 3; index += 1) {
      await Promise.all([kept, flushed].map((segment) => log.append(segment, rangeOf([entryAt(index, 'a line')]))));
    }
    await log.seal(kept, 3);
    await log.flushed(flushed, 3, true);
  });
  after(async () => {
    await log.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('shows files and segments of a log that is being written, and leaves it alone', async () => {
    const file = path.join(folder, '0000000000000001.log');
    const { size } = await stat(file);
    const { code, stdout, stderr } = await runCli(['wal', 'inspect', folder]);
    expect([code, stderr]).to.deep.equal([0, '']);
    expect(stdout).to.match(/: 1 files, \d+ bytes, \d+ % live\n/);
    expect(stdout).to.match(/0000000000000001\.log +open +\S+ +\d+ +\d+ % +2 +1 +0 +0\n/);
    expect(stdout).to.match(
      /[0-9a-f]{32}\/1\/1 +sealed +3 +0 +2024-03-10T12:00:00.000Z +2024-03-10T12:00:00.002Z +\d+ +1 +tenant-a +\{app="web"\}/,
    );
    expect(stdout).to.match(/[0-9a-f]{32}\/1\/2 +flushed +3 /);
    expect((await stat(file)).size).to.equal(size);
  });

  it('lists records, of one file, as JSON', async () => {
    const file = path.join(folder, '0000000000000001.log');
    const { code, stdout } = await runCli(['wal', 'inspect', '--records', '--json', file]);
    expect(code).to.equal(0);
    const { records, segments } = JSON.parse(stdout) as {
      readonly records: readonly { readonly type: string; readonly checksum: string }[];
      readonly segments: readonly object[];
    };
    expect(records.map(({ type }) => type)).to.deep.equal([
      'OPEN',
      'APPEND',
      'OPEN',
      'APPEND',
      'APPEND',
      'APPEND',
      'APPEND',
      'APPEND',
      'SEAL',
      'FLUSHED',
    ]);
    expect(records.every(({ checksum }) => checksum === 'ok')).to.equal(true);
    expect(segments[0]).to.include({ state: 'sealed', entries: 3, finalCount: 3, labels: '{app="web"}' });
  });

  it('ends with 2 where there is no log, and with 1 where one is damaged', async () => {
    expect(await runCli(['wal', 'inspect', '/no/such/folder'])).to.include({ code: 2, stdout: '' });
    const handle = await open(path.join(folder, '0000000000000001.log'), 'r+');
    const { records } = JSON.parse((await runCli(['wal', 'inspect', '--records', '--json', folder])).stdout) as {
      readonly records: readonly { readonly offset: number }[];
    };
    await handle.write(Buffer.from('!'), 0, 1, records[4]!.offset + 56);
    await handle.close();
    const { code, stderr } = await runCli(['wal', 'inspect', folder]);
    expect(code).to.equal(1);
    expect(stderr).to.match(
      /^ringlog: damaged: 0000000000000001.log: \d+ bytes, 1 records or more; [0-9a-f]{32}\/1\/\d: 1 entries missing\n$/,
    );
  });
});
