import path from 'node:path';
import { expect } from 'chai';
import type { TlsFiles } from '../../../src/cluster/transport/tls.ts';
import { bytes, ECHO, failureOf, PeersRig, textOf, WITHIN } from '../../support/peers-rig.ts';

const file = (name: string): string => path.join(import.meta.dirname, '../../fixtures/tls', name);

const NODE: TlsFiles = { caFile: file('ca.pem'), certFile: file('node.pem'), keyFile: file('node.key') };
/** Trusts the nodes' CA, shows a certificate of another. */
const STRANGER: TlsFiles = { ...NODE, certFile: file('stranger.pem'), keyFile: file('stranger.key') };

describe('peers with mutual TLS', () => {
  const rig = new PeersRig();

  afterEach(() => rig.close());

  it('talk when both show a certificate of the CA', async () => {
    const [a, b] = [await rig.start('a', {}, { tls: NODE }), await rig.start('b', {}, { tls: NODE })];
    expect(textOf(await a.peers.request(b.address(), ECHO, bytes('hidden'), WITHIN))).to.equal('hidden');
    expect(textOf(await b.peers.request(a.address(), ECHO, bytes('back'), WITHIN))).to.equal('back');
  });

  it('find the name that the certificate holds, where addresses are others', async () => {
    const tls = { ...NODE, serverName: 'ringlog-node' };
    const [a, b] = [await rig.start('a', {}, { tls }), await rig.start('b', {}, { tls })];
    expect(textOf(await a.peers.request(b.address(), ECHO, bytes('named'), WITHIN))).to.equal('named');
    const wrong = await rig.start('c', {}, { tls: { ...NODE, serverName: 'somebody-else' } });
    expect((await failureOf(wrong.peers.request(b.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
  });

  it('refuse who shows a certificate of another CA', async () => {
    const [a, b] = [await rig.start('a', {}, { tls: STRANGER }), await rig.start('b', {}, { tls: NODE })];
    expect((await failureOf(a.peers.request(b.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
    expect((await failureOf(b.peers.request(a.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
    expect(b.peers.figures.linksAccepted + a.peers.figures.linksAccepted).to.equal(0);
  });

  it('refuse who shows none, and do not talk to who cannot', async () => {
    const [a, b] = [await rig.start('a'), await rig.start('b', {}, { tls: NODE })];
    expect((await failureOf(a.peers.request(b.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
    expect((await failureOf(b.peers.request(a.address(), ECHO, [], WITHIN))).code).to.equal('UNREACHABLE');
  });

  it('do not start without the files', async () => {
    const error = await rig.start('a', {}, { tls: { ...NODE, keyFile: file('none.key') } }).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).to.contain('none.key');
  });
});
