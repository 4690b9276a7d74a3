import { expect } from 'chai';
import { FlushPressure } from '../../../src/actors/flush-pressure.ts';

const RULES = { idleMs: 1_800_000, ageNs: 7_200_000_000_000n, passivateMs: 900_000 };

describe('flush pressure', () => {
  it('halves the ages at each look while the log is more than what the disk takes, and brings them back', () => {
    let isIdle = true;
    const log = { liveBytes: 100, diskBytesLeft: 100 };
    const pressure = new FlushPressure(
      RULES,
      () => log,
      () => isIdle,
    );
    const rulesNow = () => pressure.look();
    expect(rulesNow()).to.deep.equal(RULES);
    log.diskBytesLeft = 99;
    expect(rulesNow()).to.deep.equal({ idleMs: 900_000, ageNs: 3_600_000_000_000n, passivateMs: 900_000 });
    expect(rulesNow()).to.deep.equal({ idleMs: 450_000, ageNs: 1_800_000_000_000n, passivateMs: 900_000 });
    for (let look = 0; look < 20; look += 1) pressure.look();
    expect(pressure.rules.ageNs).to.equal(28_125_000_000n);
    log.diskBytesLeft = -1;
    expect(rulesNow().ageNs).to.equal(28_125_000_000n);
    log.liveBytes = -2;
    expect(rulesNow().ageNs, 'a step back').to.equal(56_250_000_000n);
    log.liveBytes = 100;
    isIdle = false;
    expect(rulesNow(), 'the store is down, or has enough to do').to.deep.equal(RULES);
    isIdle = true;
    expect(rulesNow().idleMs).to.equal(900_000);
  });

  it('leaves the rules as they are without a log', () => {
    const pressure = new FlushPressure(
      RULES,
      () => undefined,
      () => true,
    );
    pressure.look();
    expect(pressure.rules).to.deep.equal(RULES);
  });
});
