import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { GrpcPeers } from '../../../src/cluster/transport/grpc-peers.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { eventually } from '../../support/eventually.ts';
import {
  bytes,
  CLUSTER,
  COUNT,
  ECHO,
  failureOf,
  HANG,
  PeersRig,
  REFUSE,
  signal,
  THROW,
  textOf,
  WITHIN,
} from '../../support/peers-rig.ts';

const MEGABYTE = 1 << 20;

const digest = (...parts: readonly Uint8Array[]): string => {
  const hash = createHash('sha1');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** `size` bytes that repeat with no power of two. */
const pattern = (size: number): Buffer => Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, at) => at)));

describe('peers over gRPC', () => {
  const rig = new PeersRig();

  afterEach(() => rig.close());

  it('answers a request, both ways over one link', async () => {
    const [a, b] = [await rig.start('a'), await rig.start('b')];
    expect(textOf(await a.peers.request(b.address(), ECHO, bytes('to b'), WITHIN))).to.equal('to b');
    expect(textOf(await b.peers.request(a.address(), ECHO, [], WITHIN))).to.equal('');
    expect([a.peers.figures.linksOpened, b.peers.figures.linksOpened, b.peers.figures.linksAccepted]).to.deep.equal([
      1, 0, 1,
    ]);
    expect(a.peers.figures.requests.ANSWERED).to.equal(1);
  });

  it('tells the handler who asks, and how urgently', async () => {
    const b = await rig.start('b', {
      [COUNT]: async (_, { from, class: callClass, deadlineMs }) =>
        bytes(JSON.stringify({ from, callClass, deadlineMs })),
    });
    const a = await rig.start('a', {}, { incarnation: 77 });
    const told = await a.peers.request(b.address(), COUNT, [], { deadlineMs: 9000, class: 'transfer' });
    const { deadlineMs, ...others } = JSON.parse(textOf(told));
    expect(others).to.deep.equal({ from: a.address(), callClass: 'transfer' });
    expect(deadlineMs, 'less what the connection took').to.be.within(5000, 9000);
  });

  it('keeps a thousand requests apart', async () => {
    const [a, b] = [await rig.start('a'), await rig.start('b')];
    const texts = Array.from({ length: 1000 }, (_, index) => `request ${index} ${'x'.repeat(index)}`);
    const answers = await Promise.all(texts.map((text) => a.peers.request(b.address(), ECHO, bytes(text), WITHIN)));
    expect(answers.map(textOf)).to.deep.equal(texts);
    expect(a.peers.figures.linksOpened).to.equal(1);
  });

  it('carries a body of 40 MB in parts, larger than the window of its class', async () => {
    const [a, b] = [await rig.start('a'), await rig.start('b')];
    const body = [pattern(15 * MEGABYTE + 1), new Uint8Array(0), pattern(25 * MEGABYTE)];
    const answer = await a.peers.request(b.address(), ECHO, body, { deadlineMs: 15_000, class: 'transfer' });
    expect(digest(answer)).to.equal(digest(...body));
    expect(a.peers.figures.traffic.transfer.framesOut).to.be.greaterThan(39);
    expect(a.peers.figures.traffic.transfer.bytesIn).to.equal(40 * MEGABYTE + 1);
  });

  it('refuses a body that is too large for the other side, and breaks the link that sends it', async () => {
    const [a, b] = [await rig.start('a'), await rig.start('b', {}, { links: { messageBytesMax: 2 * MEGABYTE } })];
    const error = await failureOf(a.peers.request(b.address(), ECHO, [pattern(3 * MEGABYTE)], WITHIN));
    expect(error.code).to.be.oneOf(['UNKNOWN', 'UNREACHABLE']);
    expect(b.problems).to.have.length(1);
  });

  it('lets an append pass a transfer of 40 MB', async () => {
    const order: string[] = [];
    const [a, b] = [await rig.start('a'), await rig.start('b')];
    await a.peers.request(b.address(), ECHO, [], WITHIN);
    const transfer = a.peers
      .request(b.address(), ECHO, [pattern(40 * MEGABYTE)], { deadlineMs: 15_000, class: 'transfer' })
      .then(() => order.push('transfer'));
    await eventually('the transfer runs', () => a.peers.figures.traffic.transfer.bytesOut > 4 * MEGABYTE);
    const sentBefore = a.peers.figures.traffic.transfer.bytesOut;
    await a.peers.request(b.address(), ECHO, [pattern(2000)], WITHIN).then(() => order.push('append'));
    const sentMeanwhile = a.peers.figures.traffic.transfer.bytesOut - sentBefore;
    await transfer;
    expect(order).to.deep.equal(['append', 'transfer']);
    expect(sentMeanwhile, 'bytes of the transfer that went before the answer').to.be.lessThan(16 * MEGABYTE);
  });

  it('tells the caller what the handler refused, threw, or that there is none', async () => {
    const b = await rig.start('b', {
      [REFUSE]: async () => {
        throw new RefusedError({ code: 'OVERLOADED', text: 'too much', retryAfterMs: 250 });
      },
      [THROW]: () => {
        throw new TypeError('a bug');
      },
    });
    const a = await rig.start('a');
    const refused = await failureOf(a.peers.request(b.address(), REFUSE, [], WITHIN));
    expect([refused.code, refused.refusal]).to.deep.equal([
      'REFUSED',
      { code: 'OVERLOADED', text: 'too much', retryAfterMs: 250 },
    ]);
    const threw = await failureOf(a.peers.request(b.address(), THROW, [], WITHIN));
    expect([threw.code, threw.refusal]).to.deep.equal(['REFUSED', { code: 'INTERNAL', text: 'a bug' }]);
    expect(b.problems.map(({ error }) => String(error))).to.deep.equal(['TypeError: a bug']);
    const unknown = await failureOf(a.peers.request(b.address(), 99, [], WITHIN));
    expect(unknown.refusal?.code).to.equal('BAD_REQUEST');
    expect(a.peers.figures.requests.REFUSED).to.equal(3);
  });

  it('gives up at the deadline and when the caller aborts, and tells the handler', async () => {
    let aborts = 0;
    const b = await rig.start('b', {
      [HANG]: (_, call) =>
        new Promise(() => {
          call.signal.addEventListener('abort', () => {
            aborts += 1;
          });
        }),
    });
    const a = await rig.start('a');
    const late = await failureOf(a.peers.request(b.address(), HANG, [], { deadlineMs: 100, class: 'append' }));
    expect(late.code).to.equal('UNKNOWN');
    await eventually('the handler is told', () => aborts === 1);
    const controller = new AbortController();
    const call = failureOf(a.peers.request(b.address(), HANG, [], { ...WITHIN, signal: controller.signal }));
    await eventually('the second runs', () => b.peers.figures.handled === 2);
    controller.abort(new Error('changed my mind'));
    const aborted = await call;
    expect([aborted.code, String(aborted.cause)]).to.deep.equal(['UNKNOWN', 'Error: changed my mind']);
    await eventually('the handler is told again', () => aborts === 2);
    const before = await failureOf(a.peers.request(b.address(), ECHO, [], { ...WITHIN, signal: controller.signal }));
    expect(before.code).to.equal('UNREACHABLE');
  });

  it('says OVERLOADED where the other side gives no credit, and goes on when it does', async () => {
    const gate = signal();
    const links = { windowBytes: { control: MEGABYTE, append: MEGABYTE, query: MEGABYTE, transfer: MEGABYTE } };
    const b = await rig.start(
      'b',
      {
        [HANG]: async () => {
          await gate.promise;
          return [];
        },
      },
      { links },
    );
    const a = await rig.start('a', {}, { links });
    const held = [1, 2].map(() => a.peers.request(b.address(), HANG, [pattern(600_000)], WITHIN));
    const third = await failureOf(
      a.peers.request(b.address(), ECHO, [pattern(600_000)], { deadlineMs: 150, class: 'append' }),
    );
    expect(third.code).to.equal('OVERLOADED');
    expect(
      textOf(await a.peers.request(b.address(), ECHO, bytes('other class'), { ...WITHIN, class: 'query' })),
    ).to.equal('other class');
    gate.fire();
    await Promise.all(held);
    const body = pattern(600_000);
    expect(digest(await a.peers.request(b.address(), ECHO, [body], WITHIN))).to.equal(digest(body));
  });

  it('fails what waits at once when the peer dies, and finds it again', async () => {
    const b = await rig.start('b', { [HANG]: () => new Promise(() => undefined) });
    const a = await rig.start('a');
    const waiting = failureOf(a.peers.request(b.address(), HANG, [], WITHIN));
    await eventually('it runs', () => b.peers.figures.handled === 1);
    const { address } = b.peers;
    await b.peers.close({ deadlineMs: 0 });
    expect((await waiting).code).to.equal('UNKNOWN');
    const refused = await failureOf(a.peers.request(b.address(), ECHO, [], WITHIN));
    expect(refused.code).to.equal('UNREACHABLE');
    const port = Number(address.split(':')[1]);
    const again = await rig.start('b', {}, { listen: { host: '127.0.0.1', port }, incarnation: 2 });
    const old = await failureOf(a.peers.request(b.address(), ECHO, [], WITHIN));
    expect(old.code, 'of the incarnation that is gone').to.equal('UNREACHABLE');
    expect(textOf(await a.peers.request(again.address(), ECHO, bytes('new'), WITHIN))).to.equal('new');
    const older = await failureOf(a.peers.request(b.address(), ECHO, [], WITHIN));
    expect(older.message).to.contain('incarnation 2');
  });

  it('refuses a link from another cluster, to another node and to another incarnation', async () => {
    const b = await rig.start('b');
    const stranger = await rig.start('a', {}, { clusterUid: 'other' });
    const wrongCluster = await failureOf(stranger.peers.request(b.address(), ECHO, [], WITHIN));
    expect([wrongCluster.code, wrongCluster.message.includes('this is cluster test-cluster, not other')]).to.deep.equal(
      ['UNREACHABLE', true],
    );
    const c = await rig.start('c');
    const wrongNode = await failureOf(c.peers.request({ ...b.address(), nodeId: 'd' }, ECHO, [], WITHIN));
    expect(wrongNode.message).to.contain('this is node b, not d');
    expect(b.peers.figures.linksRefused).to.equal(2);
    b.peers.register(9, CLUSTER);
    const wrongProcess = await failureOf(c.peers.request(b.address(), ECHO, [], WITHIN));
    expect(wrongProcess.message).to.contain('this is incarnation 9 of b, not 1');
  });

  it('neither asks nor answers before it is registered', async () => {
    const a = await rig.start('a');
    const early = await GrpcPeers.start({
      nodeId: 'b',
      listen: { host: '127.0.0.1', port: 0 },
      handlers: new Map(),
      clock: systemClock,
      report: () => undefined,
    });
    const to = { nodeId: 'b', incarnation: 1, address: early.address };
    const refused = await failureOf(a.peers.request(to, ECHO, [], WITHIN));
    expect([refused.code, refused.message.includes('not registered yet')]).to.deep.equal(['UNREACHABLE', true]);
    expect((await failureOf(early.request(a.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
    await early.close();
  });

  it('fails what waits for a process once its successor says hello', async () => {
    const old = await rig.start('b', { [HANG]: () => new Promise(() => undefined) });
    const a = await rig.start('a');
    const waiting = failureOf(a.peers.request(old.address(), HANG, [], WITHIN));
    await eventually('it runs', () => old.peers.figures.handled === 1);
    const successor = await rig.start('b', {}, { incarnation: 2 });
    await successor.peers.request(a.address(), ECHO, [], WITHIN);
    const error = await waiting;
    expect([error.code, error.message.includes('b was restarted')]).to.deep.equal(['UNKNOWN', true]);
    expect((await failureOf(old.peers.request(a.address(), ECHO, [], WITHIN))).message).to.contain(
      'incarnation 2 by now',
    );
  });

  it('loses nothing when both sides open a link at once, and keeps one', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [a, b] = [await rig.start('a'), await rig.start('b')];
      const texts = Array.from({ length: 50 }, (_, index) => `${round}/${index}`);
      const [toB, toA] = await Promise.all([
        Promise.all(texts.map((text) => a.peers.request(b.address(), ECHO, bytes(text), WITHIN))),
        Promise.all(texts.map((text) => b.peers.request(a.address(), ECHO, bytes(text), WITHIN))),
      ]);
      expect([toB.map(textOf), toA.map(textOf)]).to.deep.equal([texts, texts]);
      expect(a.peers.figures.linksBroken + b.peers.figures.linksBroken).to.equal(0);
      await eventually('one link is left', () => a.peers.linkCount === 1 && b.peers.linkCount === 1);
      await rig.close();
    }
  });

  it('closes an idle link, and opens it again when it is needed', async () => {
    const [a, b] = [await rig.start('a', {}, { links: { idleMsMax: 50, silenceMsMax: 200 } }), await rig.start('b')];
    await a.peers.request(b.address(), ECHO, [], WITHIN);
    await eventually('it is closed', () => a.peers.linkCount === 0 && b.peers.linkCount === 0);
    expect(textOf(await b.peers.request(a.address(), ECHO, bytes('again'), WITHIN))).to.equal('again');
    expect(a.peers.figures.linksBroken + b.peers.figures.linksBroken).to.equal(0);
  });

  it('closes the link to a node that left, once what is under way has ended', async () => {
    const gate = signal();
    const b = await rig.start('b', {
      [HANG]: async () => {
        await gate.promise;
        return bytes('done');
      },
    });
    const a = await rig.start('a');
    const waiting = a.peers.request(b.address(), HANG, [], WITHIN);
    await eventually('it runs', () => b.peers.figures.handled === 1);
    a.peers.forget('b');
    gate.fire();
    expect(textOf(await waiting)).to.equal('done');
    await eventually('the link is closed', () => a.peers.linkCount === 0 && b.peers.linkCount === 0);
  });

  it('closes while busy: what ends in time is answered, the rest fails', async () => {
    const gate = signal();
    const b = await rig.start('b', {
      [HANG]: () => new Promise(() => undefined),
      [COUNT]: async () => {
        await gate.promise;
        return bytes('in time');
      },
    });
    const a = await rig.start('a');
    const inTime = a.peers.request(b.address(), COUNT, [], WITHIN);
    const never = failureOf(a.peers.request(b.address(), HANG, [], WITHIN));
    const large = failureOf(
      a.peers.request(b.address(), HANG, [pattern(40 * MEGABYTE)], { ...WITHIN, class: 'transfer' }),
    );
    await eventually('they run', () => b.peers.figures.handled >= 2);
    const closed = b.peers.close({ deadlineMs: 500 });
    gate.fire();
    expect(textOf(await inTime)).to.equal('in time');
    await closed;
    expect((await never).code).to.equal('UNKNOWN');
    expect((await large).code).to.be.oneOf(['UNKNOWN', 'UNREACHABLE']);
    expect((await failureOf(b.peers.request(a.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
  });
});
