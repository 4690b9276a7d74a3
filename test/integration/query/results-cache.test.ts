/** What is kept of answers never shows: an answer is what it would be without, whatever was stored, deleted or moved in between. */
import { expect } from 'chai';
import type { ConfigInput } from '../../../src/config.ts';
import type { RinglogNode } from '../../../src/node.ts';
import type { QueryRequest, QueryResult, QueryStatistics } from '../../../src/query/query-messages.ts';
import { logRequest, startTestNode, type TestNode } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, MS_NS, pushOf, T0_NS } from '../../support/entries.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const HOURS = 8;
const CACHING = { intervalMs: HOUR_MS, freshnessMs: 10 * MINUTE_MS };
const LIMITS = { timeoutMs: 20_000, bytesReadMax: 0, seriesMax: 0 };

/** Whole numbers in [0, below), the same for the same seed. */
const numbersFrom = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const overHours = (query: string, fromMs: number, toMs: number, more: Partial<QueryRequest> = {}): QueryRequest =>
  logRequest(query, {
    startNs: T0_NS + BigInt(fromMs) * MS_NS,
    endNs: T0_NS + BigInt(toMs) * MS_NS,
    stepNs: BigInt(5 * MINUTE_MS) * MS_NS,
    limits: LIMITS,
    caching: CACHING,
    ...more,
  });

const ask = (node: RinglogNode, request: QueryRequest): Promise<QueryResult> =>
  node.services.queryAll(request, new AbortController().signal);

const seriesOf = (result: QueryResult): unknown => {
  if (result.type === 'streams') return result.streams;
  return result.type === 'matrix' ? result.series : result.type;
};

/** Asks with and without what is kept. @returns the statistics of the first */
const check = async (node: RinglogNode, request: QueryRequest, when = ''): Promise<QueryStatistics> => {
  const { caching: _, ...plain } = request;
  const kept = await ask(node, request);
  const expected = seriesOf(await ask(node, plain));
  expect(seriesOf(kept), `${when} ${request.query} ${request.startNs}..${request.endNs}`).to.deep.equal(expected);
  return kept.statistics;
};

const QUERIES = [
  'sum by (app) (count_over_time({app=~".+"}[7m]))',
  'rate({app="a"} |= "error" [5m])',
  'sum(rate({app=~".+"} |= "error" [10m])) / sum(rate({app=~".+"}[10m]))',
  'max by (app) (max_over_time({app=~"a|b"} | logfmt | unwrap ms [15m]))',
  'quantile_over_time(0.9, {app="b"} | logfmt | unwrap ms [20m]) by (app)',
  'absent_over_time({app="c"}[3m])',
  'topk(1, sum by (app) (bytes_over_time({app=~".+"}[9m] offset 10m)))',
  'label_replace(count_over_time({app="a"}[5m]), "x", "$1", "app", "(.*)") > 1',
];

/** Most find nothing, most of the time. */
const SEARCHES = [
  '{app="a"} |= "ms=977"',
  '{app=~".+"} |= "elsewhere"',
  '{app="c"} | logfmt | ms > 900',
  '{app="none"}',
];

describe('answers of which parts are kept at a node of a cluster', function () {
  this.timeout(120_000);

  it('heed what other nodes hold, store and hand over', async () => {
    const rig = await ClusterRig.open({ ingester: { max_chunk_age: '48h' } });
    for (const nodeId of ['a', 'b', 'c']) await rig.start(nodeId);
    const flush = async (): Promise<void> => {
      for (const { node } of rig.nodes.values()) await node.services.flush();
    };
    const push = async (ms: number): Promise<void> => {
      const streams = Array.from({ length: 12 }, (_, app) => [`{app="app-${app}"}`, [entryAt(ms, `from ${ms}`)]]);
      expect((await rig.push('b', Object.fromEntries(streams))).refusal).to.equal(undefined);
    };
    const { node } = rig.node('a');
    const request = overHours('sum by (app) (count_over_time({app=~".+"}[5m]))', 0, 4 * HOUR_MS);
    for (let hour = 0; hour < 4; hour += 1) await push(hour * HOUR_MS + 1_000);
    await flush();
    await check(node, request, 'stored');
    expect((await check(node, request, 'kept')).resultsCache.found).to.equal(5);
    await push(HOUR_MS + 2_000);
    expect((await check(node, request, 'held by others')).resultsCache.found).to.equal(4);
    expect(await rig.leave('c')).to.equal(true);
    expect((await check(node, request, 'handed over')).resultsCache.found).to.equal(4);
    await flush();
    await check(node, request, 'stored by others');
    expect((await check(node, request, 'kept again')).resultsCache.found).to.equal(5);
    await rig.close();
  });
});

describe('answers of which parts are kept', function () {
  this.timeout(120_000);
  let test: TestNode;
  let node: RinglogNode;

  const start = async (settings: ConfigInput = {}): Promise<void> => {
    // Entries may come as late as half of it.
    test = await startTestNode({ ingester: { max_chunk_age: '48h' }, ...settings });
    ({ node } = test);
  };
  afterEach(() => node.stop({ deadlineMs: 1000 }));

  const pushTo = async (
    to: RinglogNode,
    app: string,
    times: readonly number[],
    line = 'level=error',
  ): Promise<void> => {
    const entries = times.map((ms) => entryAt(ms, `${line} ms=${ms % 977}`));
    expect((await to.services.push('tenant', pushOf({ [`{app="${app}"}`]: entries }))).refusal).to.equal(undefined);
  };
  const push = (app: string, times: readonly number[], line?: string) => pushTo(node, app, times, line);
  /** An entry a minute. */
  const minutes = Array.from({ length: HOURS * 60 }, (_, minute) => minute * MINUTE_MS + 17);

  const startWithHours = async (settings: ConfigInput = {}): Promise<void> => {
    await start(settings);
    for (const app of ['a', 'b']) await push(app, minutes);
    await node.services.flush();
  };
  const [, counted = ''] = QUERIES;
  const wholeDay = overHours(counted, 0, HOURS * HOUR_MS);

  it('read no chunk where all of it is kept, and say so', async () => {
    await startWithHours();
    const first = await check(node, wholeDay);
    expect(first.resultsCache).to.include({ requested: HOURS + 1, found: 0, stored: HOURS + 1 });
    const second = await check(node, wholeDay);
    expect(second.resultsCache).to.include({ requested: HOURS + 1, found: HOURS + 1, stored: 0 });
    expect(second.resultsCache.bytesReceived).to.equal(first.resultsCache.bytesSent);
    expect([second.chunksDownloaded, second.linesProcessed]).to.deep.equal([0, 0]);
    expect(first.chunksDownloaded).to.be.above(0);
    const { requests, hits, bytes } = node.figures().resultsCache ?? { requests: 0, hits: 0, bytes: 0 };
    expect([requests, hits]).to.deep.equal([2 * (HOURS + 1), HOURS + 1]);
    expect(bytes).to.equal(first.resultsCache.bytesSent);
  });

  it('serve a window that moves: intervals it has left in part, and those it enters', async () => {
    await startWithHours();
    await check(node, overHours(counted, 0, 4 * HOUR_MS));
    const moved = await check(node, overHours(counted, 25 * MINUTE_MS, 4 * HOUR_MS + 25 * MINUTE_MS));
    expect(moved.resultsCache).to.include({ requested: 5, found: 4, stored: 1 });
    const off = await check(node, overHours(counted, 26 * MINUTE_MS, 4 * HOUR_MS));
    expect(off.resultsCache.found, 'steps at other times').to.equal(0);
  });

  it('share a range aggregation between queries that do different things with it', async () => {
    await startWithHours();
    await check(node, overHours('count_over_time({app="a"}[5m])', 0, 4 * HOUR_MS));
    const other = await check(node, overHours('max(count_over_time({app="a"} [5m])) > 2', 0, 4 * HOUR_MS));
    expect(other.resultsCache.found).to.equal(5);
  });

  it('are not kept where something is not stored yet, and are read anew where something came late', async () => {
    await startWithHours();
    await check(node, wholeDay);
    await push('a', [2 * HOUR_MS + 5_000], 'level=error late');
    const late = await check(node, wholeDay, 'unflushed');
    expect(late.resultsCache).to.include({ found: HOURS, stored: 0 });
    await node.services.flush();
    const flushed = await check(node, wholeDay, 'flushed');
    expect(flushed.resultsCache).to.include({ found: HOURS, stored: 1 });
    expect((await check(node, wholeDay)).resultsCache.found).to.equal(HOURS + 1);
  });

  it('see what somebody else writes to the stores', async () => {
    await startWithHours();
    await check(node, wholeDay);
    const other = await startTestNode({}, { chunks: test.chunks, index: test.index });
    await pushTo(other.node, 'a', [3 * HOUR_MS + 1_000, 3 * HOUR_MS + 2_000], 'level=error elsewhere');
    await other.node.stop();
    await node.services.flush();
    expect((await check(node, wholeDay)).resultsCache.found).to.equal(HOURS);
  });

  it('are not kept of the last minutes', async () => {
    await start();
    const nowMs = Date.now();
    const stepNs = BigInt(MINUTE_MS) * MS_NS;
    const endNs = ((BigInt(nowMs) * MS_NS) / stepNs) * stepNs;
    const request = overHours(counted, 0, 0, { startNs: endNs - 5n * stepNs, endNs, stepNs });
    expect((await check(node, request)).resultsCache.requested).to.equal(0);
  });

  it('are refused for as many series as without', async () => {
    await start();
    for (let hour = 0; hour < 4; hour += 1) await push(`app-${hour}`, [hour * HOUR_MS + 1_000]);
    await node.services.flush();
    const request = overHours('count_over_time({app=~".+"}[5m])', 0, 4 * HOUR_MS);
    await check(node, request);
    const refused = await ask(node, { ...request, limits: { ...LIMITS, seriesMax: 3 } }).catch((error: Error) => error);
    expect(refused).to.be.instanceOf(Error).with.property('message').that.includes('maximum number of series (3)');
    const allowed = await check(node, { ...request, limits: { ...LIMITS, seriesMax: 4 } });
    expect(allowed.resultsCache.found).to.equal(5);
  });

  it('hide what a delete request is about from the next query on, and show it again once that is cancelled', async () => {
    await startWithHours({
      compactor: { retention_enabled: true, delete_request_cancel_period: '1h', compaction_interval: '1h' },
    });
    await check(node, wholeDay);
    const { deletes } = node.services;
    const from = Number(T0_NS / MS_NS) + 2 * HOUR_MS;
    const id = await deletes?.add('tenant', { query: '{app="a"} |= "error"', startMs: from, endMs: from + HOUR_MS });
    const hidden = await check(node, wholeDay, 'hidden');
    expect(hidden.resultsCache.found).to.be.within(HOURS - 2, HOURS - 1);
    expect(await deletes?.cancel('tenant', id ?? '', false)).to.equal('cancelled');
    await check(node, wholeDay, 'cancelled');
    expect((await check(node, wholeDay)).resultsCache.found).to.equal(HOURS + 1);
  });

  it('take no more room than they may, and let go of what was used least lately', async () => {
    await start({ query_range: { results_cache: { cache: { embedded_cache: { max_size_mb: 1 } } } } });
    await push('a', minutes);
    await node.services.flush();
    const fine = { stepNs: 1_000n * MS_NS };
    const queryOf = (seconds: number): QueryRequest =>
      overHours(`count_over_time({app="a"}[${seconds}s])`, 0, HOURS * HOUR_MS - 1, fine);
    for (let seconds = 60; seconds < 66; seconds += 1) {
      await check(node, queryOf(seconds));
      expect(node.figures().resultsCache?.bytes).to.be.within(1, 1 << 20);
    }
    expect((await check(node, queryOf(65))).resultsCache.found, 'the last').to.equal(HOURS);
    expect((await check(node, queryOf(60))).resultsCache.found, 'the first').to.equal(0);
  });

  it('have as much room as they are given, be it gigabytes', async () => {
    await start({ query_range: { results_cache: { cache: { embedded_cache: { max_size_mb: 4096 } } } } });
    await push('a', minutes);
    await node.services.flush();
    const request = overHours('count_over_time({app="a"}[60s])', 0, HOURS * HOUR_MS - 1);
    await check(node, request);
    expect((await check(node, request)).resultsCache.found).to.equal(HOURS);
  });

  describe('of a log query that finds nothing', () => {
    const [nowhere = ''] = SEARCHES;
    const search = (fromMs: number, toMs: number): QueryRequest => overHours(nowhere, fromMs, toMs, { stepNs: 0n });
    const all = search(0, HOURS * HOUR_MS);

    it('read no chunk the next time, and only what is new of a window that moves', async () => {
      await startWithHours();
      const first = await check(node, search(0, 4 * HOUR_MS));
      expect(first.resultsCache).to.include({ requested: 4, found: 0, stored: 4 });
      const again = await check(node, search(0, 4 * HOUR_MS));
      expect(again.resultsCache).to.include({ requested: 4, found: 4, stored: 0 });
      expect(again.chunksDownloaded).to.equal(0);
      const moved = await check(node, search(25 * MINUTE_MS, 4 * HOUR_MS + 25 * MINUTE_MS));
      expect(moved.resultsCache).to.include({ requested: 5, found: 4, stored: 1 });
      expect(moved.chunksDownloaded).to.be.above(0);
      const before = await check(node, search(10 * MINUTE_MS, 3 * HOUR_MS));
      expect(before.resultsCache).to.include({ requested: 3, found: 3 });
    });

    it('find what comes late, unflushed and flushed, and nothing again once it is deleted', async () => {
      await startWithHours({ compactor: { retention_enabled: true, delete_request_cancel_period: '1h' } });
      await check(node, all);
      await push('a', [3 * HOUR_MS + 1], 'ms=977');
      expect((await check(node, all, 'unflushed')).entriesReturned).to.equal(1);
      await node.services.flush();
      expect((await check(node, all, 'flushed')).entriesReturned).to.equal(1);
      const startMs = Number(T0_NS / MS_NS) + 3 * HOUR_MS;
      const request = { query: '{app="a"}', startMs, endMs: startMs + 10 };
      const id = await node.services.deletes?.add('tenant', request);
      expect((await check(node, all, 'deleted')).entriesReturned).to.equal(0);
      expect((await check(node, all)).resultsCache.found).to.equal(HOURS);
      await node.services.deletes?.cancel('tenant', id ?? '', false);
      expect((await check(node, all, 'cancelled')).entriesReturned).to.equal(1);
    });
  });

  for (const seed of [1, 2, 3]) {
    it(`are exact through pushes, flushes, deletes and compactions in any order: seed ${seed}`, async () => {
      await startWithHours({
        compactor: { retention_enabled: true, delete_request_cancel_period: '0s', retention_delete_delay: '0s' },
      });
      const number = numbersFrom(seed);
      const someTime = (): number => number(HOURS * HOUR_MS);
      let [found, empty] = [0, 0];
      for (let round = 0; round < 60; round += 1) {
        const action = number(10);
        if (action === 0)
          await push(['a', 'b', 'c'][number(3)] ?? 'a', [someTime(), someTime()], `level=error ${round}`);
        else if (action === 1) await node.services.flush();
        else if (action === 2) await node.compactor?.compact();
        else if (action === 3) {
          const startMs = Number(T0_NS / MS_NS) + someTime();
          const query = `{app="${['a', 'b'][number(2)]}"} |= "${['error', '7'][number(2)]}"`;
          await node.services.deletes?.add('tenant', { query, startMs, endMs: startMs + number(HOUR_MS) });
        }
        const fromMs = number(HOURS * 2) * 30 * MINUTE_MS + number(2) * 7_000;
        const query = QUERIES[number(QUERIES.length)] ?? '';
        found += (await check(node, overHours(query, fromMs, fromMs + someTime()), `round ${round}`)).resultsCache
          .found;
        const search = overHours(SEARCHES[number(SEARCHES.length)] ?? '', fromMs, fromMs + someTime(), { stepNs: 0n });
        empty += (await check(node, search, `round ${round}`)).resultsCache.found;
      }
      expect(found, 'parts that were taken from what is kept').to.be.above(20);
      expect(empty, 'times that were known to hold nothing').to.be.above(20);
      expect(test.problems).to.deep.equal([]);
    });
  }
});
