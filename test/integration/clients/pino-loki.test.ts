import { once } from 'node:events';
import { expect } from 'chai';
import { pino } from 'pino';
import { pinoLoki } from 'pino-loki';
import sinon from 'sinon';
import { ClientRig, ODD_LINES } from './client-rig.ts';

describe('pino-loki', function () {
  this.timeout(30_000);
  let rig: ClientRig;
  let nowMs = Date.now() - 60_000;

  before(async () => {
    rig = await ClientRig.start();
  });
  after(() => rig.stop());
  afterEach(() => sinon.restore());

  const connect = (app: string, isBatching: boolean) => {
    const stream = pinoLoki({
      host: rig.http,
      labels: { app },
      propsToLabels: ['tier'],
      batching: isBatching ? { interval: 60 } : false,
      logFormat: '{msg}',
    });
    const timestamp = (): string => {
      nowMs += 1;
      return `,"time":${nowMs}`;
    };
    const logger = pino({ level: 'debug', base: { hostname: 'h1' }, timestamp }, stream);
    const close = async (): Promise<void> => {
      stream.end();
      await once(stream, 'close');
    };
    return { logger, close };
  };

  it('gets back what it pushed in batches, in order, with metadata', async () => {
    const { logger, close } = connect('pino', true);
    const firstMs = nowMs + 1;
    const lines = [...ODD_LINES, ...Array.from({ length: 500 }, (_, index) => `line ${index}`)];
    for (const line of lines) logger.info({ tier: 'web', meta: { trace: 'abc', n: 7 } }, line);
    logger.error('plain');
    await close();
    const expected = lines.map((line, index) => ({
      labels: { app: 'pino', hostname: 'h1', level: 'info', tier: 'web' },
      metadata: { trace: 'abc', n: '7' },
      timeNs: `${firstMs + index}000000`,
      line,
    }));
    const plain = { labels: { app: 'pino', hostname: 'h1', level: 'error' }, metadata: {}, line: 'plain' };
    expect(await rig.stored('{app="pino"}')).to.deep.equal([
      ...expected,
      { ...plain, timeNs: `${firstMs + lines.length}000000` },
    ]);
  });

  it('tells of a push that is refused, and stores the good part of it', async () => {
    const printed = sinon.stub(console, 'error');
    const { logger, close } = connect('pino-refused', true);
    const goodMs = nowMs;
    nowMs = 1_000_000_000_000;
    logger.info('old');
    nowMs = goodMs;
    logger.info('good');
    await close();
    expect(printed.callCount).to.equal(1);
    expect(printed.firstCall.args[0]).to.match(/\nentry for stream '.*' has timestamp too old/);
    expect((await rig.stored('{app="pino-refused"}')).map(({ line }) => line)).to.deep.equal(['good']);
  });

  it('goes on after the node was started again; what it pushed meanwhile it does not keep, and says so', async () => {
    const printed = sinon.stub(console, 'error');
    const before = connect('pino-again', true);
    before.logger.info('before');
    await before.close();
    rig.goAway();
    const meanwhile = connect('pino-again', true);
    meanwhile.logger.info('meanwhile');
    await meanwhile.close();
    expect(printed.callCount).to.equal(1);
    await rig.comeBack();
    const after = connect('pino-again', true);
    after.logger.info('after');
    await after.close();
    expect((await rig.stored('{app="pino-again"}')).map(({ line }) => line)).to.deep.equal(['before', 'after']);
  });
});
