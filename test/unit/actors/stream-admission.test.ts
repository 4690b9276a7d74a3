import { expect } from 'chai';
import fc from 'fast-check';
import { admit, RefusedEntries, refusedEntriesText, type StreamLimits } from '../../../src/actors/stream-admission.ts';
import { rangeOf } from '../../support/entries.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const HOUR_NS = 3_600_000_000_000n;
const SECOND_NS = 1_000_000_000n;
const MIDNIGHT_NS = 1_710_028_800_000_000_000n;
const NO_LIMITS: StreamLimits = { rateBytes: 0, rateBurstBytes: 0, windowNs: HOUR_NS, isOrdered: false };

const unused = () => ({ rateBytes: -1, rateAtMs: 0 });
const at = (seconds: number, line = 'line') => ({ timeNs: MIDNIGHT_NS + BigInt(seconds) * SECOND_NS, line });
const runsOf = ({ accepted }: ReturnType<typeof admit>) => accepted.map(({ first, end }) => [first, end]);

describe('admit', () => {
  it('takes all entries in one run when nothing speaks against it', () => {
    const admission = admit(unused(), undefined, [rangeOf([at(0), at(2), at(1)])], NO_LIMITS, 0);
    expect(runsOf(admission)).to.deep.equal([[0, 3]]);
    expect(admission.newest).to.equal(at(2).timeNs);
    expect(admission.refused.count).to.equal(0);
  });

  it('takes an entry exactly at the edge of the window', () => {
    const admission = admit(unused(), at(7200).timeNs, [rangeOf([at(3600)])], NO_LIMITS, 0);
    expect(admission.refused.count).to.equal(0);
    expect(admission.newest).to.equal(at(7200).timeNs);
  });

  it('refuses what is too far behind, by the newest entry before it in the same push too', () => {
    const push = [rangeOf([at(3599), at(7201), at(1800)])];
    const admission = admit(unused(), at(7200).timeNs, push, NO_LIMITS, 0);
    expect(runsOf(admission)).to.deep.equal([[1, 2]]);
    expect(admission.refused.listed.map(({ oldestNs }) => oldestNs)).to.deep.equal([at(3600).timeNs, at(3601).timeNs]);
  });

  it('gives the text Loki gives for them', () => {
    const push = [rangeOf([at(3599), at(7201), at(1800)])];
    const { refused } = admit(unused(), at(7200).timeNs, push, NO_LIMITS, 0);
    expect(refusedEntriesText('conformance-push', '{case="late-outside"}', refused, NO_LIMITS)).to.equal(
      "entry with timestamp 2024-03-10 00:59:59 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2024-03-10T00:59:59Z, oldest acceptable timestamp is: 2024-03-10T01:00:00Z',\n" +
        "entry with timestamp 2024-03-10 00:30:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2024-03-10T00:30:00Z, oldest acceptable timestamp is: 2024-03-10T01:00:01Z',\n" +
        'user \'conformance-push\', total ignored: 2 out of 3 for stream: {case="late-outside"}',
    );
  });

  it('takes what fits into the rate of the stream and refuses the rest, entry by entry', () => {
    const limits = { ...NO_LIMITS, rateBytes: 1024, rateBurstBytes: 2048 };
    const push = [rangeOf(Array.from({ length: 8 }, (_, index) => at(index, 'w'.repeat(500))))];
    const rate = unused();
    const admission = admit(rate, undefined, push, limits, 1000);
    expect(runsOf(admission)).to.deep.equal([[0, 4]]);
    expect(admission.refused.count).to.equal(4);
    expect(refusedEntriesText('t', '{a="b"}', admission.refused, limits).replace(/,\n.*\n/s, ',\n')).to.equal(
      "entry with timestamp 2024-03-10 00:00:04 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 1KB/sec) while attempting to ingest for stream '{a=\"b\"}' totaling 500B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\nuser 't', total ignored: 4 out of 8 for stream: {a=\"b\"}",
    );
    const later = admit(rate, undefined, push, limits, 2000);
    expect(runsOf(later), 'a second later there is room for two more').to.deep.equal([[0, 2]]);
  });

  it('has no window when writes must be in order', () => {
    const limits = { ...NO_LIMITS, windowNs: 0n, isOrdered: true };
    const { refused } = admit(unused(), at(10).timeNs, [rangeOf([at(9), at(10)])], limits, 0);
    expect(refusedEntriesText('t', '{a="b"}', refused, limits)).to.match(/reason: 'entry out of order',/);
    expect(refused.count).to.equal(1);
  });

  it('lists at most ten entries and counts all', () => {
    const push = [rangeOf(Array.from({ length: 25 }, () => at(0)))];
    const { refused } = admit(unused(), at(7200).timeNs, push, NO_LIMITS, 0);
    const text = refusedEntriesText('t', '{a="b"}', refused, NO_LIMITS);
    expect(text.match(/entry with timestamp/g)?.length).to.equal(10);
    expect(text).to.match(/total ignored: 25 out of 25 for stream/);
  });

  it('gives the same text for a push in parts as for one in one', () => {
    const entries = Array.from({ length: 40 }, (_, index) => at(index % 3 === 0 ? 7200 : index));
    const range = rangeOf(entries);
    const whole = admit(unused(), at(7200).timeNs, [range], NO_LIMITS, 0);
    const refused = new RefusedEntries();
    let newest: bigint | undefined = at(7200).timeNs;
    for (const first of [0, 7, 25]) {
      const end = first === 0 ? 7 : first === 7 ? 25 : 40;
      newest = admit(unused(), newest, [{ ...range, first, end }], NO_LIMITS, 0, refused).newest;
    }
    const textOf = (entries: RefusedEntries) => refusedEntriesText('t', '{a="b"}', entries, NO_LIMITS);
    expect(textOf(refused)).to.equal(textOf(whole.refused));
    expect(refused.lineBytes).to.equal(whole.refused.lineBytes);
  });

  it('decides each entry as the rule says, one by one', () => {
    const seconds = fc.array(fc.integer({ min: 0, max: 12_000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(seconds, fc.option(fc.integer({ min: 0, max: 12_000 }), { nil: undefined }), (times, before) => {
        const newestBefore = before === undefined ? undefined : at(before).timeNs;
        const admission = admit(unused(), newestBefore, [rangeOf(times.map((time) => at(time)))], NO_LIMITS, 0);
        let newest = newestBefore;
        const taken: number[] = [];
        for (const [index, time] of times.entries()) {
          const { timeNs } = at(time);
          if (newest !== undefined && timeNs < newest - HOUR_NS) continue;
          taken.push(index);
          if (newest === undefined || timeNs > newest) newest = timeNs;
        }
        const found = admission.accepted.flatMap(({ first, end }) =>
          Array.from({ length: end - first }, (_, index) => first + index),
        );
        expect(found).to.deep.equal(taken);
        expect(admission.newest).to.equal(newest);
        expect(admission.refused.count).to.equal(times.length - taken.length);
      }),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
