import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Inflates for some 200 ms, and says how long it took. */
const PROGRAM = `
const zlib = require('node:zlib');
const lines = Array.from({ length: 3000 }, (_, i) => 'level=info msg="request ' + ((i * 7919) % 10007) + '" path=/api/v1/orders/' + i);
const block = zlib.deflateRawSync(lines.join('\\n'));
const begin = performance.now();
for (let i = 0; i < 600; i += 1) zlib.inflateRawSync(block, { chunkSize: 400000 });
console.log(performance.now() - begin);
`;

const inflateMs = async (): Promise<number> => Number((await execute(process.execPath, ['-e', PROGRAM])).stdout);

/** How many times as much two processes that share nothing inflate here and now as one does: what two nodes may reach at most. 2 on two idle cores. */
export const twoCoresFactor = async (): Promise<number> => {
  const one = await inflateMs();
  const both = await Promise.all([inflateMs(), inflateMs()]);
  return (2 * one) / Math.max(...both);
};
