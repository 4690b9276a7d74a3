import { expect } from 'chai';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { executeQuery } from '../../../src/query/execute-query.ts';
import type { MetricSeries, QueryRequest, QueryStatistics } from '../../../src/query/query-messages.ts';
import { ResultsCache } from '../../../src/query/results-cache.ts';
import type { HiddenEntries } from '../../../src/query/scan/hidden-entries.ts';
import { parseChunkKey } from '../../../src/storage/chunk-key.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';
import { inThreadPool } from './scan-pools.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf, type TestSources } from './test-sources.ts';

const SECOND_NS = 1_000_000_000n;
const SECONDS = 60;

/** An entry a second for a minute, one chunk. */
const stored = (): TestSources => {
  const entries = Array.from({ length: SECONDS }, (_, second) => at(second * 1e9 + 1, `n=${second}`));
  return sourcesOf([{ labels: { app: 'a' }, stored: [segmentOf([entries])] }]);
};

const REQUEST = requestOf('sum(count_over_time({app="a"}[10s]))', {
  endNs: BASE_NS + 59n * SECOND_NS,
  stepNs: SECOND_NS,
  caching: { intervalMs: 10_000, freshnessMs: 0 },
});

const CACHING = { intervalMs: SECONDS * 1_000, freshnessMs: 0 };

interface Asked {
  readonly sources?: TestSources;
  readonly request?: Partial<QueryRequest>;
  readonly hidden?: HiddenEntries;
}

const setup = (pool = inThreadPool()) => {
  const results = new ResultsCache(1 << 20);
  return async ({ sources = stored(), request = {}, hidden }: Asked = {}) => {
    const series: MetricSeries[] = [];
    const deps = { scanPool: pool, clock: systemClock, results, hidden: async () => hidden };
    const asked = { ...REQUEST, ...request };
    const statistics: QueryStatistics = await executeQuery(
      asked,
      sources,
      deps,
      new AbortController().signal,
      async (event) => {
        if (event.type === 'series') series.push(...event.series);
      },
    );
    return { values: series.flatMap(({ values }) => values), cache: statistics.resultsCache, statistics };
  };
};

describe('a metric query of which parts are kept', () => {
  it('is answered from them', async () => {
    const ask = setup();
    const first = await ask();
    const again = await ask();
    expect(again.values).to.deep.equal(first.values);
    expect([first.cache.stored, again.cache.found]).to.deep.equal([6, 6]);
    expect(again.cache.servedMs).to.equal(60_000);
  });

  it('takes and keeps nothing where the request does not say so', async () => {
    const ask = setup();
    const { caching: _, ...plain } = REQUEST;
    await ask();
    const results = await ask({ request: { ...plain, caching: undefined } as unknown as QueryRequest });
    expect(results.cache).to.include({ requested: 0, stored: 0 });
    expect((await ask({ request: { caching: { intervalMs: 0, freshnessMs: 0 } } })).cache.requested).to.equal(0);
  });

  it('keeps nothing of what goes by the clock', async () => {
    const ask = setup();
    for (const stage of ['line_format "{{ now }}" |~ "7"', 'label_format t="{{ __timestamp__ | date `05` }}"']) {
      const metric = await ask({ request: { query: `sum(count_over_time({app="a"} | ${stage} [10s]))` } });
      expect(metric.cache, stage).to.include({ requested: 0, stored: 0 });
      const log = await ask({ request: { query: `{app="a"} | ${stage} |= "nothing has this"`, stepNs: 0n } });
      expect(log.cache, stage).to.include({ requested: 0, stored: 0 });
    }
    const log = await ask({ request: { query: '{app="a"} |= "nothing has this"', stepNs: 0n } });
    expect(log.cache.stored).to.equal(6);
  });

  it('is read in few pieces where much of it is out of date, here and there', async () => {
    const pool = inThreadPool();
    const ask = setup(pool);
    const request = { query: 'sum(count_over_time({app="a"}[1s]))', caching: { intervalMs: 1_000, freshnessMs: 0 } };
    const chunkAt = (second: number, line: string) => segmentOf([[at(second * 1e9 + 5e8, line)]]);
    const seconds = Array.from({ length: SECONDS - 1 }, (_, second) => second);
    const isLate = (second: number): boolean => second % 3 === 1;
    const chunks = seconds.map((second) => chunkAt(second, 'first'));
    await ask({ sources: sourcesOf([{ labels: { app: 'a' }, stored: chunks }]), request });
    const late = seconds.filter(isLate).map((second) => chunkAt(second, 'late'));
    const sources = sourcesOf([{ labels: { app: 'a' }, stored: [...chunks, ...late] }]);
    pool.tasks.length = 0;
    const again = await ask({ sources, request });
    expect(again.values).to.deep.equal(seconds.map((second) => (isLate(second) ? 2 : 1)));
    // The first two, and two between each piece and the next.
    expect(again.cache).to.include({ found: 40, stored: 20, servedMs: 8_000 });
    const scans = pool.tasks.map((task) => (task.kind === 'metric' ? task.plans[0]?.scanId : undefined));
    expect(new Set(scans)).to.have.property('size', 4);
    expect((await ask({ sources, request })).cache.found).to.equal(60);
  });

  it('counts the chunks of what was asked against their limit and in the statistics, not those of what is kept around it', async () => {
    const seconds = Array.from({ length: 2 * SECONDS }, (_, second) => second);
    const stored = seconds.map((second) => segmentOf([[at(second * 1e9 + 1e8, `n=${second}`)]]));
    // Where an interval ends and the next one begins.
    const border = SECONDS - Number((BASE_NS / SECOND_NS) % BigInt(SECONDS));
    const sourcesWith = (memory: readonly SegmentSnapshot[]): TestSources => {
      const sources = sourcesOf([{ labels: { app: 'a' }, stored, memory }]);
      sources.stored.index.chunkRefs = (_tenant, _matchers, { startNs, endNs }) =>
        chunkRefsOf(
          'test',
          [...sources.objects.keys()].filter((key) => {
            const { fromMs, throughMs } = parseChunkKey(key)!;
            return BigInt(throughMs) * 1_000_000n >= startNs && BigInt(fromMs) * 1_000_000n <= endNs;
          }),
        );
      return sources;
    };
    const late = [border - 30, border].map((second) => segmentOf([[at(second * 1e9 - 1e9, 'late')]]));
    for (const [query, stepNs] of [
      ['{app="a"} |= "nothing has this"', 0n],
      ['sum(count_over_time({app="a"}[1s]))', SECOND_NS],
    ] as const) {
      const ask = setup();
      const askFor = (first: number, end: number, memory: readonly SegmentSnapshot[] = []) => {
        const [startNs, endNs] = [BASE_NS + BigInt(first) * SECOND_NS, BASE_NS + BigInt(end) * SECOND_NS - stepNs];
        const limits = { ...REQUEST.limits, chunksMax: 65 };
        const request = { query, stepNs, startNs, endNs, limits, caching: CACHING };
        return ask({ sources: sourcesWith(memory), request });
      };
      const kept = [await askFor(border - 40, border), await askFor(border, border + 40)];
      expect(
        kept.map(({ cache }) => cache.stored),
        query,
      ).to.deep.equal([1, 1]);
      const within = await askFor(border - 5, border + 5);
      expect(within.cache.found, query).to.equal(2);
      expect(within.statistics, query).to.include({ chunkRefs: 10, streamsInMemory: 0, chunksInMemory: 0 });
      const unflushed = await askFor(border - 5, border + 5, late);
      expect(unflushed.statistics, query).to.include({ chunkRefs: 10, streamsInMemory: 1, chunksInMemory: 1 });
      const failure = await askFor(border - 40, border + 40).catch((error: unknown) => error);
      expect(failure, query).to.be.instanceOf(RefusedError).with.property('message').that.contains('limit: 65 chunks');
    }
  });

  it('takes values of one time in the same order, whatever was read with them', async () => {
    const ask = setup();
    const oneWithout = (value: number, missing: readonly number[]) => {
      const seconds = Array.from({ length: SECONDS }, (_, second) => second).filter((one) => !missing.includes(one));
      return [segmentOf([seconds.map((second) => at(second * 1e9, `v=${value}`))])];
    };
    // Each begins before the other in some part.
    const sources = sourcesOf([
      { labels: { app: 'a', pod: 'x' }, stored: oneWithout(1, [17, 18]) },
      { labels: { app: 'a', pod: 'y' }, stored: oneWithout(2, [0, 1, 2, 3]) },
    ]);
    for (const op of ['last_over_time', 'first_over_time']) {
      const query = `${op}({app="a"} | logfmt | unwrap v [4s]) by (app)`;
      const { caching: _, ...plain } = REQUEST;
      const whole = await ask({ sources, request: { ...plain, query, caching: undefined } as unknown as QueryRequest });
      for (let second = 0n; second < SECONDS; second += 10n) {
        const [startNs, endNs] = [BASE_NS + second * SECOND_NS, BASE_NS + (second + 9n) * SECOND_NS];
        await ask({ sources, request: { query, startNs, endNs } });
      }
      const ofParts = await ask({ sources, request: { query } });
      expect(ofParts.cache.found, op).to.equal(6);
      expect(ofParts.values, op).to.deep.equal(whole.values);
    }
  });

  it('forgets what is past its retention while time goes by', async () => {
    const ask = setup();
    const keptFromSecond = (second: number): HiddenEntries => ({
      deletes: [],
      retention: [{ matchers: [], keptFromNs: BASE_NS + BigInt(second) * SECOND_NS }],
    });
    const all = await ask({ hidden: keptFromSecond(-60) });
    const later = await ask({ hidden: keptFromSecond(30) });
    expect(later.cache.found).to.equal(2);
    expect(later.values).to.deep.equal(all.values.slice(30).map((count, step) => Math.min(count, step + 1)));
    const longer = await ask({ hidden: keptFromSecond(-60) });
    expect(longer.values).to.deep.equal(all.values);
  });

  it('keeps nothing of an answer that may be short', async () => {
    const ask = setup();
    const sources = stored();
    const memory: TestSources['memory'] = {
      ...sources.memory,
      select: async (tenant, matchers, range, signal, onMissing) => {
        onMissing?.('a disk is gone');
        return await sources.memory.select(tenant, matchers, range, signal);
      },
    };
    const partial = await ask({ sources: { ...sources, memory }, request: { allowsPartial: true } });
    expect(partial.values).to.have.lengthOf.above(50);
    expect(partial.cache).to.include({ requested: 6, stored: 0 });
    expect((await ask()).cache).to.include({ found: 0, stored: 6 });
  });
});
