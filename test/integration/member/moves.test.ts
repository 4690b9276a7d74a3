import { expect } from 'chai';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, type TestEntry } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';

const STREAMS = 20;
const ALL = '{app=~".+"}';

describe('segments that move', function () {
  this.timeout(60_000);
  let rig: ClusterRig;

  beforeEach(async () => {
    rig = await ClusterRig.open();
  });
  afterEach(() => rig.close());

  const lineOf = (index: number): string => `line of ${index}.`;
  const push = async (nodeId: string): Promise<void> => {
    const streams: Record<string, TestEntry[]> = {};
    for (let index = 0; index < STREAMS; index += 1) streams[`{app="app-${index}"}`] = [entryAt(index, lineOf(index))];
    expect((await rig.push(nodeId, streams)).refusal).to.equal(undefined);
  };
  const figures = (nodeId: string) => rig.node(nodeId).node.cluster!.handover.figures;

  it('are found when they come back while the log is told that they were let go', async () => {
    await rig.start('a');
    await push('a');
    await rig.start('b');
    const given = (): boolean => {
      const { given: count, waiting, sending } = figures('a');
      return count > 0 && waiting + sending === 0;
    };
    await eventually('a has given', given, () => figures('a'), 10_000);
    const disk = rig.disks.get('a')!;
    disk.holdSyncs();
    await eventually(
      'a lets go',
      () => figures('a').given === 0,
      () => figures('a'),
      10_000,
    );
    const leaving = rig.leave('b', 10_000);
    await new Promise((resolve) => setTimeout(resolve, 400));
    disk.releaseSyncs();
    expect(await leaving).to.equal(true);
    expect(await rig.lines('a', ALL)).to.have.lengthOf(STREAMS);
    expect(rig.chunks.objects.size, 'nothing was stored for it').to.equal(0);
    expect(await rig.leave('a', 4_000)).to.equal(true);
    expect(rig.chunks.objects.size).to.equal(STREAMS);
  });

  it('are stored by half of the time when nobody takes them', async () => {
    for (const nodeId of ['a', 'b']) await rig.start(nodeId);
    await push('a');
    await rig.kill('b');
    const startMs = Date.now();
    expect(await rig.leave('a', 6_000), 'nothing is left').to.equal(true);
    expect(Date.now() - startMs).to.be.within(2_500, 6_000);
    expect(rig.chunks.objects.size).to.be.greaterThan(0);
  });

  it('hold up no node that leaves for longer than it may take, though its disk hangs', async () => {
    for (const nodeId of ['a', 'b']) await rig.start(nodeId);
    await push('a');
    const disk = rig.disks.get('a')!;
    disk.holdSyncs();
    const { cluster } = rig.node('a').node;
    const startMs = Date.now();
    expect(await cluster?.leave(1_500)).to.equal(false);
    expect(Date.now() - startMs, 'long after it had to be over').to.be.below(10_000);
    disk.releaseSyncs();
  });

  it('go on when one of them cannot be read: that one stays and is stored', async () => {
    await rig.start('a');
    await push('a');
    const disk = rig.disks.get('a')!;
    for (const name of disk.names) {
      const content = disk.content(name);
      for (let index = 0; index < 4; index += 1) {
        const at = content.indexOf(Buffer.from(lineOf(index)));
        if (at >= 0) content[at]! ^= 0xff;
      }
    }
    await rig.start('b');
    await rig.node('b').node.cluster?.setWeight(100);
    await eventually(
      'the others move',
      () => figures('a').releasedSegments >= STREAMS / 2 && figures('a').waiting + figures('a').sending === 0,
      () => figures('a'),
      10_000,
    );
    expect(rig.node('a').problems.join()).to.contain('cannot be read');
    expect(await rig.lines('b', ALL)).to.have.lengthOf(STREAMS);
    expect(await rig.leave('a', 4_000)).to.equal(true);
    expect(rig.chunks.objects.size).to.be.within(1, 4);
    expect(await rig.lines('b', ALL)).to.have.lengthOf(STREAMS);
  });
});
