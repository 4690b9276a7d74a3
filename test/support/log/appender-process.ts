/** Appends to a log until it is killed; prints the number of each entry once it is acknowledged. Arguments: folder, incarnation. */
import { openLog } from '../../../src/log/log.ts';
import { DEFAULT_LOG_OPTIONS } from '../../../src/log/log-options.ts';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { rangeOf } from '../entries.ts';
import { HEADER, UID } from './test-log.ts';

const [folder = '', incarnation = '1'] = process.argv.slice(2);
const log = await openLog(
  { files: new NodeLogFiles(folder), clock: systemClock, chance: Math.random, report: () => undefined },
  { ...DEFAULT_LOG_OPTIONS, uid: UID, incarnation: Number(incarnation), fileSizeMax: 256 << 10 },
);

const append = async (counter: number): Promise<void> => {
  const segment = log.open({ nodeId: UID, incarnation: Number(incarnation), counter }, HEADER);
  for (let index = 0; ; index += 1) {
    const line = `${incarnation} ${counter} ${index} ${'x'.repeat(500)}`;
    await log.append(segment, rangeOf([{ timeNs: BigInt(index), line }]));
    process.stdout.write(`${counter} ${index}\n`);
  }
};

await Promise.all([1, 2, 3, 4].map(append));
