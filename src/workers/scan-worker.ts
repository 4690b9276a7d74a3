/** Worker thread that scans: one task at a time, at a priority below that of the thread that takes pushes. */
import { type ScanTask, sharedBytesOf } from '../query/scan/scan-messages.ts';
import { ScanRunner } from '../query/scan/scan-runner.ts';
import { lowerThreadPriority, serveTasks } from './worker-main.ts';

/** Of a full priority range of 40: a push's thread gets about ten times the share on a busy core. */
const NICENESS = 10;

lowerThreadPriority(NICENESS);
const runner = new ScanRunner();
serveTasks((task: ScanTask) => runner.run(task), sharedBytesOf);
