import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { CpuWait, systemCpuWait } from '../../src/cpu-wait.ts';
import { ManualClock } from '../support/clock.ts';

describe('the wait for a core', () => {
  it('is told as a share of the time in which there was something to do, half of it what it was before', () => {
    const clock = new ManualClock();
    let [ranNs, waitedNs] = [5e9, 7e9];
    const wait = new CpuWait(clock, () => `${ranNs} ${waitedNs} 12345\n`);
    const wentOn = (ms: number, ran: number, waited: number): number => {
      clock.advance(ms);
      ranNs += ran;
      waitedNs += waited;
      return wait.share();
    };
    expect(wentOn(100, 20e6, 60e6)).to.equal(0.375);
    expect(wentOn(99, 90e6, 0), 'it looks ten times a second at most').to.equal(0.375);
    expect(wentOn(1, 0, 270e6)).to.equal((0.375 + 0.75) / 2);
    expect(wentOn(60_000, 0, 0), 'nothing to do').to.equal((0.375 + 0.75) / 4);
  });

  it('is read from the system where it tells', function () {
    const wait = systemCpuWait();
    if (!wait) {
      process.stderr.write('SKIPPED: this system does not tell how long a thread waits for a core\n');
      this.skip();
    }
    const clock = new ManualClock();
    const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number);
    const cpuMs = process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000;
    expect((ran ?? 0) / 1e6, 'what this thread ran, in nanoseconds').to.be.within(1, cpuMs + 100);
    const own = new CpuWait(clock, () => readFileSync('/proc/thread-self/schedstat', 'utf8'));
    clock.advance(100);
    expect(own.share()).to.be.within(0, 0.5);
    expect(waited).to.be.at.least(0);
    expect(wait.share()).to.be.within(0, 1);
    expect(systemCpuWait(), 'one of a thread').to.equal(wait);
  });
});
