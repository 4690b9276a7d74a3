import { expect } from 'chai';
import { Machine } from '../../support/crash/machine.ts';
import { seededChance } from '../../support/log/test-log.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

/** About 60 unless more is asked for. */
const RUNS = Math.min(200, propertyRuns(33));
const LIVES = 3;
const STEPS_MAX = 90;
const ROUNDS_MAX = 40;

interface Schedule {
  readonly machine: Machine;
  readonly chance: () => number;
  readonly happened: { losses: number; refusals: number; stored: number };
  /** Pushes that were refused, or whose answer nobody heard: their clients send them again. */
  readonly unanswered: Set<number>;
  nextPush: number;
}

const below = (chance: () => number, count: number): number => Math.floor(chance() * count);

/** One process from its start until the power is lost, at a step of its own or after all it had to do. */
const live = async (schedule: Schedule): Promise<void> => {
  const { machine, chance, happened } = schedule;
  const { disk } = machine;
  let stepsLeft = 1 + below(chance, STEPS_MAX);
  let isDead = false;
  let die: (end: undefined) => void = () => undefined;
  const death = new Promise<undefined>((resolve) => {
    die = resolve;
  });
  const lose = (): void => {
    isDead = true;
    die(undefined);
    happened.losses += 1;
    disk.crash(chance);
  };
  /** What is under way at the end may never answer, or fail. */
  const untilDeath = async (work: Promise<unknown>): Promise<void> => {
    await Promise.race([death, work.catch(unless(() => isDead))]);
  };
  const onStep = async (): Promise<void> => {
    stepsLeft -= 1;
    if (stepsLeft === 0 && !isDead) lose();
    if (isDead) throw new Error('no power');
  };
  if (chance() < 0.4) disk.inject({ step: 'sync', code: 'EIO', after: below(chance, 20), times: 1 + below(chance, 3) });
  try {
    await machine.startWatched(onStep);
    if (!isDead && chance() < 0.5) await untilDeath(machine.check('after a start'));
    for (let round = below(chance, ROUNDS_MAX); round > 0 && !isDead; round -= 1) await act(schedule, untilDeath);
  } catch (error) {
    if (!isDead) throw error;
  }
  if (!isDead) lose();
  disk.clear();
  await machine.stop();
};

/** An error that the end explains is none. */
const unless =
  (isDead: () => boolean) =>
  (error: unknown): void => {
    if (!isDead()) throw error;
  };

const act = async (schedule: Schedule, untilDeath: (work: Promise<unknown>) => Promise<void>): Promise<void> => {
  const { machine, chance } = schedule;
  const what = chance();
  if (what < 0.6) await Promise.all(Array.from({ length: 1 + below(chance, 4) }, () => push(schedule)));
  else if (what < 0.75) machine.node.services.flush().catch(() => undefined);
  else if (what < 0.85) machine.clock.skip(chance() < 0.5 ? 10_000 : 31 * 60_000);
  else if (what < 0.95) await untilDeath(machine.node.sweep());
  else await untilDeath(machine.check('meanwhile'));
};

const push = async (schedule: Schedule): Promise<void> => {
  const { machine, unanswered, chance, happened } = schedule;
  const [again] = unanswered;
  const number = again !== undefined && chance() < 0.5 ? again : schedule.nextPush++;
  // Nobody else sends it meanwhile.
  unanswered.delete(number);
  const { refusal } = await machine.push(number);
  if (!refusal && chance() > 0.1) return;
  if (refusal) happened.refusals += 1;
  unanswered.add(number);
};

describe('a node that loses power again and again', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('has every acknowledged entry, once, whenever it runs', async () => {
    const first = Number(process.env['SEED'] ?? below(Math.random, 2 ** 32));
    const happened = { losses: 0, refusals: 0, stored: 0 };
    for (let seed = first; seed < first + (process.env['SEED'] ? 1 : RUNS); seed += 1) {
      const machine = new Machine();
      const chance = seededChance(seed);
      const schedule: Schedule = { machine, chance, happened, unanswered: new Set(), nextPush: 0 };
      try {
        for (let life = 0; life < LIVES; life += 1) await live(schedule);
        await machine.start();
        for (const number of schedule.unanswered) await machine.pushUntilTaken(number);
        await machine.finish();
        happened.stored += machine.chunks.objects.size;
      } catch (error) {
        throw new Error(`SEED=${seed}: ${(error as Error).message}`, { cause: error });
      } finally {
        await machine.stop();
      }
    }
    expect(happened.losses, 'the faults happened').to.be.at.least(LIVES);
    expect(happened.stored).to.be.greaterThan(0);
    if (RUNS > 10 && !process.env['SEED']) expect(happened.refusals).to.be.greaterThan(0);
  });
});
