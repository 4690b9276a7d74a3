/** A process that runs the schedules it is told to, and tells of each. Ends with its parent. */
import { runSchedule } from '../support/simulation/run-schedule.ts';
import type { Batch, ScheduleReport } from '../support/simulation/schedule-processes.ts';

/** Where an error came from costs more than all else of it. Who replays the schedule in a process of its own sees it. */
Error.stackTraceLimit = 0;

const tell = (report: ScheduleReport): void => void process.send?.(report);

const run = async ({ from, end }: Batch): Promise<void> => {
  for (let seed = from; seed < end; seed += 1) {
    tell({ type: 'began', seed });
    const { history, ...outcome } = await runSchedule(seed);
    tell({ type: 'outcome', outcome: { ...outcome, history: outcome.violations.length > 0 ? history : [] } });
  }
  const { user, system } = process.cpuUsage();
  tell({ type: 'idle', rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 });
};

process.on('message', (batch: Batch) => void run(batch));
process.once('disconnect', () => process.exit(1));
