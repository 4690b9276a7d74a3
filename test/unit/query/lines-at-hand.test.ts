import { expect } from 'chai';
import { LinesAtHand } from '../../../src/query/lines-at-hand.ts';
import type { LogResult } from '../../../src/query/scan/scan-messages.ts';

const batchOf = (size: number): LogResult =>
  ({ bytes: new Uint8Array(size), times: new BigInt64Array(0) }) as Partial<LogResult> as LogResult;

describe('the lines at hand', () => {
  it('count once for all cursors that have some of a batch, until the last of them has given them out', () => {
    const atHand = new LinesAtHand();
    const [shared, own] = [batchOf(1_000), batchOf(10)];
    atHand.hold(shared);
    atHand.hold(own);
    atHand.hold(shared);
    expect(atHand.bytes).to.equal(1_010);
    atHand.release(shared);
    expect(atHand.bytes).to.equal(1_010);
    atHand.release(own);
    atHand.release(shared);
    expect(atHand.bytes).to.equal(0);
  });
});
