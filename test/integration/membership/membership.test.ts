import { expect } from 'chai';
import { EtcdStore } from '../../../src/cluster/membership/etcd-store.ts';
import { Membership } from '../../../src/cluster/membership/membership.ts';
import type { MembershipOptions } from '../../../src/cluster/membership/membership-options.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { EtcdProcess, whyNoEtcd } from '../../support/etcd-process.ts';
import { eventually } from '../../support/eventually.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { memberOf } from '../../unit/cluster/members.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('membership on etcd', function () {
  this.timeout(60_000);
  let etcd: EtcdProcess;
  let proxy: TcpProxy;
  const ends: (() => Promise<void>)[] = [];

  const join = async (nodeId: string, cluster: string, port = etcd.port, options: Partial<MembershipOptions> = {}) => {
    const store = new EtcdStore({ clock: systemClock, hosts: [`http://127.0.0.1:${port}`] });
    const lost: string[] = [];
    const membership = new Membership({
      store,
      clock: systemClock,
      cluster,
      clusterUid: undefined,
      newClusterUid: 'uid',
      config: '{}',
      ttlMs: 6_000,
      keepAliveMs: 500,
      fenceMarginMs: 1_000,
      ...options,
    });
    membership.onLost((reason) => lost.push(reason));
    ends.push(async () => {
      membership.stop();
      await store.close();
    });
    await membership.register({ ...memberOf(nodeId), state: 'JOINING' });
    return { membership, lost };
  };
  const states = ({ view }: Membership) => view.members.map(({ nodeId, state }) => `${nodeId} ${state}`).join(', ');

  before(async function () {
    // In CI the suite of the store fails for it.
    if (whyNoEtcd() !== undefined) this.skip();
    etcd = await EtcdProcess.start();
    proxy = await TcpProxy.start(`127.0.0.1:${etcd.port}`);
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });
  after(async () => {
    await proxy?.close();
    await etcd?.stop();
  });

  it('sees members come, change and leave', async () => {
    const a = await join('a', 'life');
    const b = await join('b', 'life');
    await a.membership.become('ACTIVE');
    await eventually(
      'b sees it',
      () => states(b.membership) === 'a ACTIVE, b JOINING',
      () => b.membership.view,
    );
    expect((await b.membership.freshView(2_000)).members).to.deep.equal(a.membership.view.members);
    await a.membership.leave();
    await eventually(
      'b is alone',
      () => states(b.membership) === 'b JOINING',
      () => b.membership.view,
    );
    expect(b.membership.view.roster.map(({ nodeId }) => nodeId)).to.deep.equal(['b']);
  });

  it('lives through an etcd that is killed and away for seconds', async () => {
    const a = await join('a', 'killed');
    const b = await join('b', 'killed');
    await etcd.kill();
    const change = a.membership.become('ACTIVE');
    await pause(3_000);
    expect(a.membership.fenceRemainingMs).to.be.within(500, 3_000);
    await etcd.restart();
    await change;
    await eventually(
      'b sees it',
      () => states(b.membership) === 'a ACTIVE, b JOINING',
      () => b.membership.view,
    );
    await eventually('keep-alives are back', () => a.membership.fenceRemainingMs > 4_000);
    expect([...a.lost, ...b.lost]).to.deep.equal([]);
  });

  it('is fenced, then lost, after an outage longer than the lease', async () => {
    const a = await join('a', 'cut', Number(proxy.address.split(':')[1]), { ttlMs: 2_000, fenceMarginMs: 500 });
    const b = await join('b', 'cut');
    proxy.refuse();
    await eventually(
      'a is gone for b',
      () => states(b.membership) === 'b JOINING',
      () => b.membership.view,
    );
    expect(a.membership.fenceRemainingMs, 'fenced before others think it gone').to.be.below(0);
    expect(a.lost).to.deep.equal([]);
    proxy.resume();
    await eventually('a hears of it', () => a.lost.length === 1);
    expect(b.membership.view.roster.map(({ nodeId }) => nodeId)).to.deep.equal(['a', 'b']);
  });
});
