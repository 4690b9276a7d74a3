import { expect } from 'chai';
import type { PeerAddress } from '../../../src/cluster/transport/peers.ts';
import { eventually } from '../../support/eventually.ts';
import { bytes, ECHO, failureOf, HANG, PeersRig, type RigNode, textOf, WITHIN } from '../../support/peers-rig.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const SILENCE_MS = 400;
const LINKS = { silenceMsMax: SILENCE_MS, connectTimeoutMs: 300 };

describe('links over a broken network', () => {
  const rig = new PeersRig();
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => {
    unhandled.push(error);
  };
  let a: RigNode;
  let b: RigNode;
  let proxy: TcpProxy;
  let throughProxy: PeerAddress;

  beforeEach(async () => {
    process.on('unhandledRejection', onUnhandled);
    b = await rig.start('b', { [HANG]: () => new Promise(() => undefined) }, { links: LINKS });
    a = await rig.start('a', {}, { links: LINKS });
    proxy = await TcpProxy.start(b.peers.address);
    throughProxy = { ...b.address(), address: proxy.address };
  });

  afterEach(async () => {
    await rig.close();
    await proxy.close();
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled.splice(0)).to.deep.equal([]);
  });

  const ask = (text: string, deadlineMs = WITHIN.deadlineMs): Promise<Uint8Array> =>
    a.peers.request(throughProxy, ECHO, bytes(text), { ...WITHIN, deadlineMs });

  it('notices a black hole, fails what waits, then fails calls at once, and recovers', async () => {
    await ask('before');
    const running = failureOf(a.peers.request(throughProxy, HANG, [], WITHIN));
    await eventually('it runs', () => b.peers.figures.handled === 2);
    proxy.silence();
    expect((await running).code).to.equal('UNKNOWN');
    const calls = await Promise.all(Array.from({ length: 100 }, () => failureOf(ask('in the hole', 5000))));
    expect(new Set(calls.map(({ code }) => code))).to.deep.equal(new Set(['UNREACHABLE']));
    expect(
      calls.filter(({ message }) => !message.includes('it was tried just now')),
      'those that waited',
    ).to.deep.equal([]);
    await eventually('the other side notices too', () => b.peers.figures.linksSilent === 1);
    proxy.resume();
    await eventually('it answers again', () =>
      ask('after').then(
        (answer) => textOf(answer) === 'after',
        () => false,
      ),
    );
    expect(a.peers.figures.linksSilent).to.equal(1);
    expect(a.peers.figures.reconnects).to.be.greaterThan(0);
  });

  it('lets the first calls wait for one attempt to connect, and no more', async () => {
    proxy.silence();
    const first = await Promise.all([1, 2, 3].map(() => failureOf(ask('?', 8000))));
    expect(first.map(({ code }) => code)).to.deep.equal(['UNREACHABLE', 'UNREACHABLE', 'UNREACHABLE']);
    const others = first.filter(({ message }) => /it was tried just now|no link within/.test(message));
    expect(others, 'those that did not wait for the attempt, or for longer').to.deep.equal([]);
    expect(proxy.connections).to.equal(1);
    const again = await failureOf(ask('?', 8000));
    expect([again.code, again.message.includes('it was tried just now')]).to.deep.equal(['UNREACHABLE', true]);
  });

  it('waits for a connection no longer than the deadline of the call', async () => {
    proxy.silence();
    const error = await failureOf(ask('?', 20));
    expect([error.code, error.message.includes('no link within 20 ms')]).to.deep.equal(['UNREACHABLE', true]);
  });

  it('fails what waits when the connection is cut, and connects anew for the next call', async () => {
    const running = Array.from({ length: 50 }, () => failureOf(a.peers.request(throughProxy, HANG, [], WITHIN)));
    await eventually('they run', () => b.peers.figures.handled === 50);
    proxy.cut();
    const codes = new Set((await Promise.all(running)).map(({ code }) => code));
    expect(codes).to.deep.equal(new Set(['UNKNOWN']));
    expect(textOf(await ask('next'))).to.equal('next');
    expect(a.peers.figures.reconnects).to.equal(1);
  });

  it('backs off while connections are refused, and is there soon after', async () => {
    proxy.refuse();
    expect((await failureOf(ask('?'))).code).to.equal('UNREACHABLE');
    await eventually('it tried thrice', () => a.peers.figures.connectFailures >= 3);
    proxy.resume();
    await eventually('it answers', () =>
      ask('back').then(
        () => true,
        () => false,
      ),
    );
    expect(a.peers.figures.connectFailures, 'attempts').to.be.lessThan(12);
  });

  it('uses the link of the other side while its own way is closed', async () => {
    proxy.refuse();
    expect((await failureOf(ask('?'))).code).to.equal('UNREACHABLE');
    await b.peers.request(a.address(), ECHO, [], WITHIN);
    expect(textOf(await ask('over theirs'))).to.equal('over theirs');
  });

  it('follows the other side to its new link when only that one noticed the hole', async () => {
    const deaf = await rig.start('a2', {}, { links: { ...LINKS, silenceMsMax: 60_000 } });
    await deaf.peers.request(throughProxy, ECHO, [], WITHIN);
    proxy.silence();
    await eventually('b notices', () => b.peers.figures.linksSilent === 1);
    await b.peers.request(deaf.address(), ECHO, [], WITHIN);
    const answer = await deaf.peers.request(throughProxy, ECHO, bytes('over the new one'), {
      ...WITHIN,
      deadlineMs: 2000,
    });
    expect(textOf(answer)).to.equal('over the new one');
  });

  it('keeps a slow link', async () => {
    proxy.delay(SILENCE_MS / 10);
    const slow = await rig.start('c', {}, { links: { ...LINKS, connectTimeoutMs: 5000 } });
    for (let index = 0; index < 3; index += 1) await slow.peers.request(throughProxy, ECHO, [], WITHIN);
    expect([slow.peers.figures.linksOpened, slow.peers.figures.linksBroken]).to.deep.equal([1, 0]);
  });

  it('keeps order and content through cuts at any moment', async () => {
    const outcomes = { answered: 0, failed: 0 };
    for (let round = 0; round < 10; round += 1) {
      const calls = Array.from({ length: 20 }, async (_, index) => {
        const text = `${round}/${index}/`.padEnd(50_000, 'x');
        try {
          expect(textOf(await ask(text))).to.equal(text);
          outcomes.answered += 1;
        } catch (error) {
          expect((error as Error).name).to.equal('PeerError');
          outcomes.failed += 1;
        }
      });
      await new Promise((resolve) => setTimeout(resolve, round));
      proxy.cut();
      await Promise.all(calls);
    }
    expect(outcomes.answered + outcomes.failed).to.equal(200);
    expect(outcomes.failed, 'the cuts hit something').to.be.greaterThan(0);
    await eventually('it answers at last', () =>
      ask('last').then(
        () => true,
        () => false,
      ),
    );
  });
});
