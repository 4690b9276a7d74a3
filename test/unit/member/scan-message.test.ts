import { expect } from 'chai';
import { decodePlacedResult, encodePlacedResult } from '../../../src/member/scan-message.ts';
import { type MetricResult, noCounts } from '../../../src/query/scan/scan-messages.ts';

const RESULT: MetricResult = {
  kind: 'metric',
  parts: [{ series: undefined, values: undefined, errorLabels: undefined }],
  counts: { ...noCounts(), blocksInflated: 3, blocksSkipped: 5 },
};

describe('what comes of a scan at another node', () => {
  it('is read as it was written', () => {
    expect(decodePlacedResult(encodePlacedResult(RESULT, 2))).to.deep.equal({ result: RESULT, chunksDownloaded: 2 });
  });
});
