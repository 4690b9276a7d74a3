import { expect } from 'chai';
import { Permits } from '../../../src/protocol/permits.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** One at a time; `waitingMax` may wait. `end` ends the work that runs. */
const setup = (waitingMax: number) => {
  const permits = new Permits(1, { waitingMax, text: 'too many' });
  const outcomes: string[] = [];
  const ends: (() => void)[] = [];
  const run = (name: string, signal: AbortSignal = new AbortController().signal): void => {
    const work = async (): Promise<void> => {
      outcomes.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
    };
    permits.with(signal, work, name[0]).catch((error: unknown) => {
      outcomes.push(`${name} ${error instanceof RefusedError ? error.refusal.code : (error as Error).name}`);
    });
  };
  const endAll = async (): Promise<void> => {
    for (let end = ends.shift(); end; end = ends.shift()) {
      end();
      await turn();
    }
  };
  return { permits, outcomes, run, endAll };
};

describe('permits', () => {
  it('go to tenants in turn', async () => {
    const { permits, outcomes, run, endAll } = setup(10);
    for (const name of ['a1', 'a2', 'a3', 'b1', 'b2']) run(name);
    await endAll();
    expect(outcomes).to.deep.equal(['a1', 'a2', 'b1', 'a3', 'b2']);
    expect([permits.free, permits.waiting]).to.deep.equal([1, 0]);
  });

  it('are waited for by a tenant with few, in place of the last of one with many', async () => {
    const { outcomes, run, endAll } = setup(3);
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2']) run(name);
    await turn();
    expect(outcomes.slice(1).sort()).to.deep.equal(['a4 OVERLOADED', 'a5 OVERLOADED', 'b2 OVERLOADED']);
    await endAll();
    expect(outcomes.slice(4)).to.deep.equal(['a2', 'b1', 'a3']);
  });

  it('are not given to who gave up', async () => {
    const { permits, outcomes, run, endAll } = setup(3);
    const gone = new AbortController();
    run('a1');
    run('b1', gone.signal);
    run('b2');
    gone.abort();
    await turn();
    expect([permits.waiting, outcomes]).to.deep.equal([1, ['a1', 'b1 AbortError']]);
    await endAll();
    expect(outcomes.at(-1)).to.equal('b2');
    expect(permits.free).to.equal(1);
  });
});
