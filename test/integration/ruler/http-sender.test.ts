import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { HttpSender, shownUrl } from '../../../src/ruler/http-sender.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { Receiver } from '../../support/ruler/receiver.ts';

describe('what sends alerts and samples', () => {
  let receiver: Receiver;
  let sender: HttpSender;
  let problems: { readonly text: string; readonly about: object | undefined }[];

  beforeEach(async () => {
    receiver = await Receiver.start();
    problems = [];
    sender = new HttpSender({
      clock: systemClock,
      report: (_problem, error, about) => problems.push({ text: (error as Error).message, about }),
    });
  });
  afterEach(async () => {
    await sender.close();
    await receiver.stop();
  });

  const post = (
    url = receiver.url,
    given: { file?: string; signal?: AbortSignal; timeoutMs?: number; retries?: boolean } = {},
  ) =>
    sender.post(
      {
        url,
        headers: { 'x-own': '1' },
        authorization: { type: 'Bearer', credentials_file: given.file ?? '' },
        timeoutMs: given.timeoutMs ?? 5000,
      },
      'body',
      { 'content-type': 'text/plain' },
      given.signal ?? new AbortController().signal,
      given.retries,
    );

  it('says whether another try is worth it', async () => {
    for (const [status, delivery] of [
      [200, 'delivered'],
      [204, 'delivered'],
      [400, 'refused'],
      [302, 'refused'],
      [429, 'again'],
      [500, 'again'],
      [503, 'again'],
    ] as const) {
      receiver.statuses.push(status);
      expect(await post(), String(status)).to.equal(delivery);
    }
    receiver.statuses.push(429);
    expect(await post(receiver.url, { retries: false })).to.equal('refused');
    expect(problems).to.have.length(6);
    expect(problems[0]).to.deep.equal({ text: '400: so it is', about: { url: receiver.url } });
    expect(receiver.received[0]?.headers).to.include({ 'x-own': '1', 'content-type': 'text/plain' });
    expect(receiver.received[0]?.body.toString()).to.equal('body');
  });

  it('tells who it is, and nobody else', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-sender-'));
    try {
      const file = path.join(folder, 'token');
      await writeFile(file, 'first\n');
      await post(receiver.url, { file });
      await writeFile(file, 'second\n');
      await post(receiver.url, { file });
      const url = receiver.url.replace('//', '//me:p%40ss@');
      receiver.statuses.push(200, 400);
      await post(url);
      await post(url);
      const basic = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
      expect(receiver.received.map(({ headers }) => headers.authorization)).to.deep.equal([
        'Bearer first',
        'Bearer second',
        basic,
        basic,
      ]);
      expect(JSON.stringify(problems)).to.not.match(/p%40ss|p@ss/);
      expect(await post(receiver.url, { file: path.join(folder, 'none') })).to.equal('again');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('shows URLs without names and passwords, whatever is in them', () => {
    expect(shownUrl('http://am:9093')).to.equal('http://am:9093');
    expect(shownUrl('http://am:9093/a@b')).to.equal('http://am:9093/a@b');
    expect(shownUrl('http://u:p@ss@h/x')).to.equal('http://h/x');
    expect(shownUrl('http://u:p%40ss@h/')).to.equal('http://h/');
    expect(shownUrl('http://token@h/')).to.equal('http://h/');
    expect(shownUrl('http://u:a/b@h/')).to.equal('what is no URL');
  });

  it('waits no longer than it may, or somebody wants it', async () => {
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    try {
      expect(await post(url, { timeoutMs: 50 })).to.equal('again');
      expect(problems[0]?.text).to.equal('no answer within 50 ms');
      const call = new AbortController();
      const posting = post(url, { signal: call.signal });
      call.abort(new Error('the node stops'));
      expect(await posting).to.equal('again');
      expect(problems).to.have.length(1);
      const late = await post(url, { signal: call.signal, timeoutMs: 600_000 });
      expect(late, 'at once with a signal of before').to.equal('again');
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  it('comes again where nobody listens', async () => {
    const { url } = receiver;
    await receiver.stop();
    expect(await post(url)).to.equal('again');
    receiver = await Receiver.start();
  });
});
