import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { QueryContext } from '../../../src/query/query-context.ts';
import type { QueryRequest } from '../../../src/query/query-messages.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { type MetricResult, noCounts, type ScanPlan } from '../../../src/query/scan/scan-messages.ts';
import { type ScanPlace, ScanPlaceError, ScanPlaces } from '../../../src/query/scan-places.ts';
import type { PlannedSlice } from '../../../src/query/slice-plan.ts';
import { ManualClock } from '../../support/clock.ts';

const PLAN = {} as ScanPlan;
const RESULT = { kind: 'metric', counts: noCounts() } as unknown as MetricResult;
const HELD: PlannedSlice = { startNs: 0n, endNs: 1n, memory: [], refs: [] };
const CHUNKS: PlannedSlice = { startNs: 2n, endNs: 3n, memory: [], refs: [] };

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** One worker here, one at another node that holds `HELD`; each takes two tasks. */
const setup = (tasksMax?: number) => {
  const running = { here: 0, there: 0 };
  const ends: { readonly here: (() => void)[]; readonly there: ((error?: Error) => void)[] } = { here: [], there: [] };
  const place: ScanPlace = {
    workers: 1,
    holds: (slice) => slice === HELD,
    run: () =>
      new Promise((resolve, reject) => {
        running.there += 1;
        ends.there.push((error) => {
          running.there -= 1;
          if (error) reject(error);
          else resolve({ result: RESULT, chunksDownloaded: 1 });
        });
      }),
  };
  const pool = { size: 1, run: () => Promise.reject(new Error('nobody asks')) };
  const query = new AbortController();
  const request = { limits: { timeoutMs: 0, tasksMax } } as unknown as QueryRequest;
  const deps = { scanPool: pool, clock: new ManualClock(), places: () => [place] };
  const context = new QueryContext(request, {} as QuerySources, deps, query.signal);
  const places = new ScanPlaces<MetricResult>(
    context,
    2,
    () =>
      new Promise((resolve) => {
        running.here += 1;
        ends.here.push(() => {
          running.here -= 1;
          resolve(RESULT);
        });
      }),
  );
  return { places, running, ends, query };
};

describe('ScanPlaces', () => {
  it('runs no more at the home of what it reads than there is room for, and loads what would wait for long', async () => {
    const { places, running, ends } = setup();
    const tasks = Array.from({ length: 5 }, () => places.run([PLAN], { slices: [HELD] }));
    await turn();
    expect(running).to.deep.equal({ here: 1, there: 2 });
    for (let task = 0; task < 4; task += 1) {
      ends.there.shift()?.();
      await turn();
      expect(running.there).to.be.at.most(2);
    }
    ends.here.shift()?.();
    expect(await Promise.all(tasks)).to.have.lengthOf(5);
  });

  it('deals what lies in the store to whoever has most room', async () => {
    const { places, running } = setup();
    for (let task = 0; task < 4; task += 1) void places.run([PLAN], { slices: [CHUNKS] });
    await turn();
    expect(running).to.deep.equal({ here: 2, there: 2 });
  });

  it('runs no more at a time on all nodes than the query may', async () => {
    const { places, running, ends } = setup(3);
    expect(places.tasksMax).to.equal(3);
    const tasks = Array.from({ length: 6 }, () => places.run([PLAN], { slices: [CHUNKS] }));
    for (let task = 0; task < 6; task += 1) {
      await turn();
      expect(running.here + running.there).to.equal(Math.min(3, 6 - task));
      (ends.here.shift() ?? ends.there.shift())?.();
    }
    expect(await Promise.all(tasks)).to.have.lengthOf(6);
  });

  it('runs here what could not be run there, in its turn', async () => {
    const { places, running, ends } = setup();
    const tasks = Array.from({ length: 4 }, () => places.run([PLAN], { slices: [HELD] }));
    for (let task = 0; task < 4; task += 1) {
      await turn();
      ends.there.shift()?.(new ScanPlaceError('gone'));
    }
    await turn();
    expect(running).to.deep.equal({ here: 2, there: 0 });
    for (let task = 0; task < 4; task += 1) {
      ends.here.shift()?.();
      await turn();
    }
    expect(await Promise.all(tasks)).to.have.lengthOf(4);
  });

  it('starts nothing more when the query ends', async () => {
    const { places, running, query } = setup();
    const tasks = Array.from({ length: 4 }, () =>
      places.run([PLAN], { slices: [HELD] }).catch((error: unknown) => error),
    );
    await turn();
    query.abort();
    for (const outcome of await Promise.all(tasks)) {
      expect(outcome).to.be.instanceOf(RefusedError).with.nested.property('refusal.code', 'CANCELLED');
    }
    await turn();
    expect(running).to.deep.equal({ here: 0, there: 2 });
  });
});
