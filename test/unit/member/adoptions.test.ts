import { expect } from 'chai';
import type { Ring } from '../../../src/cluster/ring.ts';
import type { Member, View } from '../../../src/cluster/view.ts';
import type { Log } from '../../../src/log/log.ts';
import { encodeSegmentPart } from '../../../src/log/segment-part.ts';
import { decodeAdoptReply, encodeAdoptRequest, type OutgoingPart } from '../../../src/member/adopt-message.ts';
import { Adoptions } from '../../../src/member/adoptions.ts';
import type { Holdings } from '../../../src/member/holdings.ts';
import { releaseMemory } from '../../../src/protocol/release-memory.ts';
import { ManualClock } from '../../support/clock.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, openTestLog, segmentId } from '../../support/log/test-log.ts';

const GIVER = { nodeId: 'giver', incarnation: 1 };

const outgoing = (pieces: readonly Uint8Array[], finalCount: number): OutgoingPart => ({
  epoch: 0,
  finalCount,
  pieces,
  size: pieces.reduce((sum, { length }) => sum + length, 0),
});

describe('the taking side of a hand-over', () => {
  let clock: ManualClock;
  let log: Log;
  let members: Member[];
  let adoptions: Adoptions;
  let part: readonly Uint8Array[];

  beforeEach(async () => {
    clock = new ManualClock();
    const giver = await openTestLog(new PowerLossFiles().process());
    const segment = giver.open(segmentId(1), HEADER);
    await giver.append(segment, rangeOf([entryAt(0, 'line')]));
    const runs = [];
    for await (const run of giver.records(segment)) runs.push(run);
    part = encodeSegmentPart({ id: segment.id, epoch: 0, open: segment.open, runs });
    log = await openTestLog(new PowerLossFiles().process(), { uid: 'ffeeddccbbaa99887766554433221100' });
    members = [GIVER as Member];
    adoptions = new Adoptions({
      clock,
      log,
      holdings: { find: () => undefined, adopted: () => undefined } as unknown as Holdings,
      nodeId: 'taker',
      view: () => ({ changedAt: 1, members }) as unknown as View,
      ring: () => ({ owner: () => ({ nodeId: 'taker' }) }) as unknown as Ring,
      refusal: () => undefined,
      epochOf: () => 0,
      returned: () => undefined,
      look: () => undefined,
      report: () => undefined,
    });
  });

  const offer = async (...parts: readonly (readonly [readonly Uint8Array[], number])[]) => {
    const offered = parts.map(([pieces, finalCount]) => outgoing(pieces, finalCount));
    const [reply] = await adoptions.adopt(Buffer.concat(encodeAdoptRequest({ changedAt: 1, parts: offered })), GIVER);
    return decodeAdoptReply(reply!).answers.map(({ type }) => type);
  };

  it('refuses a part that does not decode, and takes the others', async () => {
    expect(await offer([[new Uint8Array([1, 2, 3])], 1], [part, 1])).to.deep.equal(['refused', 'adopted']);
    expect(adoptions.taken).to.equal(1);
  });

  it('takes custody of what comes whole with one write, however many records it has', async () => {
    const giver = await openTestLog(new PowerLossFiles().process());
    const id = segmentId(7);
    const segment = giver.open(id, HEADER);
    for (let index = 0; index < 5; index += 1) await giver.append(segment, rangeOf([entryAt(index, `line ${index}`)]));
    const runs = [];
    for await (const run of giver.records(segment)) runs.push(run);
    const whole = encodeSegmentPart({ id, epoch: 0, open: segment.open, runs });
    const before = log.figures.commits;
    expect(await offer([whole, 5], [part, 1])).to.deep.equal(['adopted', 'adopted']);
    expect(log.figures.commits - before, 'one batch for all of the message').to.equal(1);
    expect(log.find(id)).to.include({ count: 5, finalCount: 5, isHeld: true });
  });

  it('has read the message by the time it says so, segments that are new here too', async () => {
    const giver = await openTestLog(new PowerLossFiles().process());
    const names = [2, 3, 4].map(segmentId);
    const parts: OutgoingPart[] = [];
    for (const id of names) {
      const segment = giver.open(id, HEADER);
      await giver.append(segment, rangeOf([entryAt(0, 'line of 40 KB '.padEnd(40_000, '.'))]));
      const runs = [];
      for await (const run of giver.records(segment)) runs.push(run);
      parts.push(outgoing(encodeSegmentPart({ id, epoch: 0, open: segment.open, runs }), 1));
    }
    // As it comes from a link: a Buffer, whose `slice` does not copy.
    const body = Buffer.concat(encodeAdoptRequest({ changedAt: 1, parts }));
    const [reply] = await adoptions.adopt(body, GIVER, () => releaseMemory(body));
    expect(body.length, 'its memory is gone').to.equal(0);
    expect(decodeAdoptReply(reply!).answers.map(({ type }) => type)).to.deep.equal(['adopted', 'adopted', 'adopted']);
    for (const id of names) {
      const segment = log.find(id)!;
      expect(segment.header, 'who it is').to.deep.equal(giver.find(id)!.header);
      const lines: number[] = [];
      for await (const { columns } of log.records(segment)) lines.push(columns.bytes.length);
      expect(lines).to.have.lengthOf(1);
    }
  });

  it('gives up what stays incomplete for a minute', async () => {
    expect(await offer([part, 0])).to.deep.equal(['taken']);
    clock.advance(59_000);
    adoptions.giveUpLost();
    expect(log.figures.liveBytes).to.be.greaterThan(0);
    clock.advance(1_000);
    adoptions.giveUpLost();
    expect(log.figures.liveBytes).to.equal(0);
    expect(await offer([part, 1]), 'offered anew').to.deep.equal(['adopted']);
  });

  it('gives up at once what a process sent that left', async () => {
    await offer([part, 0]);
    members = [{ ...GIVER, incarnation: 2 } as Member];
    adoptions.giveUpLost();
    expect(log.figures.liveBytes).to.equal(0);
  });
});
