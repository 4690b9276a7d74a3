import { serialize } from 'node:v8';
import { expect } from 'chai';
import { decodePlacedResult, encodePlacedResult } from '../../../src/member/scan-message.ts';
import { type MetricResult, noCounts } from '../../../src/query/scan/scan-messages.ts';

const RESULT: MetricResult = {
  kind: 'metric',
  series: undefined,
  values: undefined,
  errorLabels: undefined,
  counts: { ...noCounts(), blocksInflated: 3, blocksSkipped: 5 },
};

describe('what comes of a scan at another node', () => {
  it('is read as it was written', () => {
    expect(decodePlacedResult(encodePlacedResult(RESULT, 2))).to.deep.equal({ result: RESULT, chunksDownloaded: 2 });
  });

  it('counts nothing where a node of before says nothing', () => {
    const { blocksInflated: _, blocksSkipped: __, ...counts } = RESULT.counts;
    const { result } = decodePlacedResult(serialize({ result: { ...RESULT, counts }, chunksDownloaded: 2 }));
    expect(result.counts).to.deep.equal(noCounts());
  });
});
