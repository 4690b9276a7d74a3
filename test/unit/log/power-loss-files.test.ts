import { logFilesContract } from '../../support/log/log-files-contract.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';

describe('files that can lose power', () => {
  logFilesContract(async () => ({ files: new PowerLossFiles(), remove: async () => undefined }));
});
