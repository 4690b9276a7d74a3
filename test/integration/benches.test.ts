import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { B, run } from 'mitata';
import sinon from 'sinon';

const BENCH_FOLDER = path.join(import.meta.dirname, '../bench');

describe('benches', () => {
  let ran: string[];

  before(() => {
    process.env['BENCH_TINY'] = '1';
  });

  beforeEach(() => {
    ran = [];
    sinon.stub(console, 'log');
    // Once instead of until the figures are steady. `f` and `_name` are what `bench` was given; the types leave them out.
    sinon.stub(B.prototype, 'run').callsFake(async function (this: {
      readonly f: () => unknown;
      readonly _name: string;
    }) {
      await this.f();
      ran.push(this._name);
      return undefined as never;
    });
  });

  afterEach(() => sinon.restore());

  after(() => {
    delete process.env['BENCH_TINY'];
  });

  const files = readdirSync(BENCH_FOLDER, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.bench.ts'),
  );

  it('still run, each once and tiny', async function () {
    // Seconds; on a busy machine the disk's syncs take their time.
    this.timeout(120_000);
    for (const file of files) {
      const bench: { registerBenches(): void | Promise<void> } = await import(path.join(BENCH_FOLDER, file));
      await bench.registerBenches();
    }
    await run({ format: 'quiet', throw: true });
    expect(ran.length).to.be.greaterThan(files.length);
  });
});
