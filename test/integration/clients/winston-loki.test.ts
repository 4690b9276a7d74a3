import { expect } from 'chai';
import winston from 'winston';
import LokiTransport from 'winston-loki';
import { eventually } from '../../support/eventually.ts';
import { ClientRig, ODD_LINES } from './client-rig.ts';

const MESSAGE = Symbol.for('message');

/** The line is the message alone. */
const bare = winston.format((info) => Object.assign(info, { [MESSAGE]: info.message }))();

describe('winston-loki', function () {
  this.timeout(30_000);
  let rig: ClientRig;
  let errors: Error[];

  before(async () => {
    rig = await ClientRig.start();
  });
  after(() => rig.stop());
  beforeEach(() => {
    errors = [];
  });

  const connect = (json: boolean, app: string) => {
    const transport = new LokiTransport({
      host: rig.http,
      json,
      labels: { app, region: 'eu-1' },
      format: bare,
      interval: 0.05,
      replaceTimestamp: false,
      gracefulShutdown: false,
      onConnectionError: (error) => errors.push(error as Error),
    });
    const logger = winston.createLogger({ level: 'debug', transports: [transport] });
    return { transport, logger };
  };
  const baseMs = Date.now() - 60_000;
  const levels = ['info', 'warn', 'error'];
  const log = (logger: winston.Logger, lines: readonly string[], firstMs: number): void => {
    for (const [index, message] of lines.entries()) {
      logger.log({ level: levels[index % 3] ?? '', message, timestamp: firstMs + index });
    }
  };
  /** In JSON it sends the level as metadata too, which a query shows beside the label of that name. */
  const expected = (app: string, lines: readonly string[], firstMs: number, json: boolean) =>
    lines.map((line, index) => ({
      labels: { app, region: 'eu-1', level: levels[index % 3] },
      metadata: json ? { level_extracted: levels[index % 3] } : {},
      timeNs: `${firstMs + index}000000`,
      line,
    }));

  for (const json of [true, false]) {
    const name = json ? 'JSON' : 'protobuf';
    const app = `winston-${name}`;

    it(`gets back what it pushed in batches as ${name}, in order`, async () => {
      const { transport, logger } = connect(json, app);
      const lines = [...ODD_LINES, ...Array.from({ length: 500 }, (_, index) => `line ${index}`)];
      log(logger, lines, baseMs);
      await transport.close();
      expect(errors).to.deep.equal([]);
      const stored = await rig.stored(`{app="${app}"}`);
      expect(stored).to.deep.equal(expected(app, lines, baseMs, json));
    });

    it(`loses nothing while the node is started again (${name})`, async () => {
      const { transport, logger } = connect(json, `${app}-again`);
      rig.goAway();
      log(logger, ['one', 'two', 'three'], baseMs);
      await eventually('a push to fail', () => errors.length > 0);
      await rig.comeBack();
      log(logger, ['four'], baseMs + 3);
      await transport.close();
      const times = (await rig.stored(`{app="${app}-again"}`)).map(({ line }) => line);
      expect(times).to.deep.equal(['one', 'two', 'three', 'four']);
    });

    it(`tells of a push that is refused (${name})`, async () => {
      const { transport, logger } = connect(json, `${app}-old`);
      logger.log({ level: 'info', message: 'old', timestamp: 1000 });
      await transport.close();
      const [error] = errors as { statusCode?: number; message: string }[];
      expect(error?.statusCode).to.equal(400);
      expect(error?.message).to.match(/^Server returned HTTP 400: entry for stream '.*' has timestamp too old/);
    });
  }
});
