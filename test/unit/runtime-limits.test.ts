import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { ConfigError } from '../../src/config.ts';
import { readLimits, type TenantLimits } from '../../src/protocol/limits.ts';
import { RuntimeLimits } from '../../src/runtime-limits.ts';
import { ManualClock } from '../support/clock.ts';
import { eventually } from '../support/eventually.ts';

const PERIOD_MS = 10_000;

describe('limits of tenants that are read while the node runs', () => {
  let folder: string;
  let file: string;
  let clock: ManualClock;
  let limits: TenantLimits;
  let said: string[];
  let runtime: RuntimeLimits | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-limits-'));
    file = path.join(folder, 'runtime.yaml');
    clock = new ManualClock();
    limits = readLimits(
      { max_query_series: 1 },
      { a: { max_query_series: 2, max_line_size: 7 }, b: { max_line_size: 8 } },
    );
    said = [];
  });
  afterEach(async () => {
    runtime?.stop();
    await rm(folder, { recursive: true });
  });

  const start = async (text: string): Promise<void> => {
    await writeFile(file, text);
    const say = (level: string) => (_fields: object, what: string) => void said.push(`${level} ${what}`);
    const log = { info: say('info'), error: say('error') };
    runtime = await RuntimeLimits.start({ file, periodMs: PERIOD_MS, limits, clock, log });
  };
  const change = async (text: string): Promise<void> => {
    await writeFile(file, text);
    const before = said.length;
    clock.advance(PERIOD_MS);
    await eventually('it was read', () => said.length > before && clock.timers === 1);
  };
  const seriesOf = (tenant: string): number => limits.limitsFor(tenant).maxQuerySeries;

  it('lie over those of the configuration', async () => {
    await start('overrides:\n  a:\n    max_query_series: 5\n  c:\n    max_query_series: 6\n');
    expect(['a', 'b', 'c', 'd'].map(seriesOf)).to.deep.equal([5, 1, 6, 1]);
    expect(['a', 'b'].map((tenant) => limits.limitsFor(tenant).maxLineBytes)).to.deep.equal([7, 8]);
  });

  it('change with the file, and go with what is taken out of it', async () => {
    await start('overrides: {a: {max_query_series: 5}}');
    await change('overrides: {b: {max_query_series: 6}}');
    expect(['a', 'b'].map(seriesOf)).to.deep.equal([2, 6]);
    await change('');
    expect(['a', 'b'].map(seriesOf)).to.deep.equal([2, 1]);
    expect(said).to.deep.equal(Array(2).fill('info the limits of tenants have changed'));
  });

  it('stay as they were where the file is wrong, until it is right again', async () => {
    await start('overrides: {a: {max_query_series: 5}}');
    for (const wrong of ['overrides: {a: {max_query_series: -1}}', 'overides: {}', 'a: [', 'overrides: [1]']) {
      await change(wrong);
      expect(seriesOf('a'), wrong).to.equal(5);
    }
    await change('overrides: {a: {max_query_series: 7}}');
    expect(seriesOf('a')).to.equal(7);
    expect(said.filter((text) => text.startsWith('error'))).to.have.length(4);
  });

  it('keep a node from starting if they are wrong', async () => {
    const refused = await start('overrides: {a: {odd: 1}}').catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(ConfigError);
    expect((refused as ConfigError).message).to.equal(`runtime_config.file ${file}: overrides.a.odd: no such limit`);
  });
});
