/** Runs so many schedules until one breaks something, and says which and what. Nothing is said if none does. */
import { runSchedules, ScheduleProcessError } from '../support/simulation/schedule-processes.ts';

const firstBroken = async (schedules: number): Promise<string | undefined> => {
  try {
    const { broken, schedules: done } = await runSchedules(
      { from: 0, end: schedules },
      { isBailing: true, withinMs: Number.POSITIVE_INFINITY },
    );
    const [first] = [...broken].sort((a, b) => a.seed - b.seed);
    if (!first) return undefined;
    const why = first.violations[0]?.split('\n')[0]?.slice(0, 200) ?? '';
    return `${done} schedules, SEED=${first.seed} (${first.profile}): ${why}`;
  } catch (error) {
    if (error instanceof ScheduleProcessError) return error.message;
    throw error;
  }
};

const found = await firstBroken(Number(process.argv[2]));
if (found !== undefined) process.stdout.write(`         ${found}\n`);
process.exit(0);
