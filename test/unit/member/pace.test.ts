import { expect } from 'chai';
import { Pace } from '../../../src/member/pace.ts';
import { ManualClock } from '../../support/clock.ts';

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

describe('a pace', () => {
  let isUrgent = false;
  afterEach(() => {
    isUrgent = false;
  });

  const work = (clock: ManualClock, began: number[], tookMs: number) => (): Promise<number> => {
    began.push(clock.monotonicMs());
    return new Promise((resolve) => clock.after(tookMs, () => resolve(tookMs)));
  };

  it('does one piece after another, and rests twice as long as each took', async () => {
    const clock = new ManualClock();
    const first = clock.monotonicMs();
    const pace = new Pace(clock, () => isUrgent);
    const began: number[] = [];
    const results = [10, 20, 5].map((tookMs) => pace.run(work(clock, began, tookMs)));
    for (let ms = 0; ms < 200; ms += 1) {
      await settle();
      clock.advance(1);
    }
    expect(await Promise.all(results)).to.deep.equal([10, 20, 5]);
    expect(began.map((ms) => ms - first)).to.deep.equal([0, 30, 90]);
  });

  it('rests longer and longer while threads wait for cores, and shorter again while they do not', async () => {
    const restsAt = async (share: number, hasDeadline = false): Promise<readonly number[]> => {
      const clock = new ManualClock();
      const pace = new Pace(
        clock,
        () => isUrgent,
        () => share,
        () => hasDeadline,
      );
      const began: number[] = [];
      const results = Array.from({ length: 16 }, () => pace.run(work(clock, began, 10)));
      for (let ms = 0; ms < 3000; ms += 1) {
        await settle();
        clock.advance(1);
      }
      await Promise.all(results);
      return began.slice(1).map((ms, index) => ms - (began[index] ?? 0) - 10);
    };
    const [idle, half, busy] = [await restsAt(0), await restsAt(0.5), await restsAt(0.7)];
    expect([idle, half, busy].map(([first]) => first)).to.deep.equal([60, 60, 60]);
    expect(idle.at(-1)).to.be.within(20, 21);
    expect(half.at(-1)).to.be.within(20, 21);
    expect(busy[1]).to.be.within(75, 76);
    expect(busy.at(-1)).to.equal(100);
    expect((await restsAt(0.7, true)).at(-1)).to.equal(60);
  });

  it('goes on after a failure, which only its caller hears of, and rests no longer than is of use', async () => {
    const clock = new ManualClock();
    const first = clock.monotonicMs();
    const pace = new Pace(clock, () => isUrgent);
    const began: number[] = [];
    const failed = pace
      .run(async () => {
        await work(clock, began, 10_000)();
        throw new Error('no');
      })
      .catch((error: Error) => error.message);
    const next = pace.run(work(clock, began, 1));
    for (let ms = 0; ms < 10_300; ms += 10) {
      await settle();
      clock.advance(10);
    }
    expect(await failed).to.equal('no');
    expect(await next).to.equal(1);
    expect(began.map((ms) => ms - first)).to.deep.equal([0, 10_060]);
  });

  it('does all pieces side by side while there is no time to rest', async () => {
    const clock = new ManualClock();
    const first = clock.monotonicMs();
    const pace = new Pace(clock, () => isUrgent);
    const began: number[] = [];
    isUrgent = true;
    const results = [10, 20, 5].map((tookMs) => pace.run(work(clock, began, tookMs)));
    for (let ms = 0; ms < 40; ms += 1) {
      await settle();
      clock.advance(1);
    }
    await Promise.all(results);
    expect(began.map((ms) => ms - first)).to.deep.equal([0, 0, 0]);
  });

  it('fails who waits at once when somebody says that it is of no use', async () => {
    const clock = new ManualClock();
    const pace = new Pace(clock, () => isUrgent);
    const began: number[] = [];
    const first = pace.run(work(clock, began, 20_000));
    const waiting = [pace.run(work(clock, began, 1)), pace.run(work(clock, began, 1))].map((one) =>
      one.then(
        () => 'done',
        (error: Error) => error.message,
      ),
    );
    await settle();
    clock.advance(20_000);
    await first;
    pace.fail(new Error('no answer'));
    clock.advance(250);
    expect(await Promise.all(waiting)).to.deep.equal(['no answer', 'no answer']);
    expect(began).to.have.lengthOf(1);
  });
});
