import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { logFilesContract } from '../../support/log/log-files-contract.ts';

describe('the files of a log on this machine', () => {
  logFilesContract(async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-log-'));
    return { files: new NodeLogFiles(folder), remove: () => rm(folder, { recursive: true, force: true }) };
  });
});
