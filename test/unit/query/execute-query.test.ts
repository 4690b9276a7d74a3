import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { executeQuery, queryEvents } from '../../../src/query/execute-query.ts';
import { QueryContext, type ScanPool } from '../../../src/query/query-context.ts';
import type { QueryEvent, QueryRequest, QueryResult } from '../../../src/query/query-messages.ts';
import type { ScanResult, ScanTask } from '../../../src/query/scan/scan-messages.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { ManualClock } from '../../support/clock.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { eventually } from '../../support/eventually.ts';
import { answerOf, eventsOf } from './query-answers.ts';
import { inThreadPool } from './scan-pools.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf, type TestSources } from './test-sources.ts';

const SECOND = 1_000_000_000n;
const lines = (result: QueryResult): string[] =>
  result.type === 'streams' ? result.streams.flatMap(({ entries }) => entries.map(({ line }) => line)) : [];

const refusalOf = async (request: QueryRequest, sources: TestSources): Promise<string> => {
  try {
    await answerOf(request, sources);
    return 'no refusal';
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return `${error.refusal.code} ${error.refusal.text}`;
  }
};

const APP = { app: 'a' };

describe('a query that runs', () => {
  it('keeps nothing of what it has got', async () => {
    const deps = { scanPool: inThreadPool(), clock: systemClock };
    const limits = { timeoutMs: 0, bytesReadMax: 0, seriesMax: 0 };
    const request = requestOf('{app="a"}', { limits });
    const context = new QueryContext(request, sourcesOf([]), deps, new AbortController().signal);
    const get = async (): Promise<WeakRef<object>> => new WeakRef(await context.orStop(Promise.resolve({ lines: 1 })));
    const got = await get();
    await eventually('it is collected', () => {
      collectGarbage();
      return got.deref() === undefined;
    });
    context.close();
  });
});

describe('a query that has ended', () => {
  it('leaves no failure of its work unhandled', async () => {
    const deps = { scanPool: inThreadPool(), clock: systemClock };
    const context = new QueryContext(requestOf('{app="a"}'), sourcesOf([]), deps, new AbortController().signal);
    context.close();
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.prependListener('unhandledRejection', note);
    const outcome = await context
      .orStop(Promise.reject(new Error('late')))
      .catch((error: RefusedError) => error.refusal);
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(outcome).to.include({ code: 'CANCELLED' });
    expect(unhandled).to.deep.equal([]);
  });
});

describe('a query over memory and store', () => {
  it('is refused where none may have a task', async () => {
    const limits = { timeoutMs: 10_000, bytesReadMax: 0, seriesMax: 0, tasksMax: 0 };
    for (const query of ['{app="a"}', 'rate({app="a"}[1m])']) {
      const refusal = await refusalOf(requestOf(query, { limits, isInstant: query !== '{app="a"}' }), sourcesOf([]));
      expect(refusal).to.equal('OVERLOADED querying is disabled, please contact your Loki operator');
    }
  });

  it('refuses a range aggregation with too many series in the worker, before they are sent', async () => {
    const lines = Array.from({ length: 50 }, (_, index) => at(index, `n=${index}`));
    const sources = sourcesOf([{ labels: APP, memory: [segmentOf([lines], { openHead: true })] }]);
    const limits = { timeoutMs: 10_000, bytesReadMax: 0, seriesMax: 20 };
    const instant = { startNs: BASE_NS + SECOND, endNs: BASE_NS + SECOND, isInstant: true, limits };
    const text = 'maximum number of series (20) reached for a single query';
    const query = 'count_over_time({app="a"} | logfmt [1m])';
    expect(await refusalOf(requestOf(query, instant), sources)).to.include(text);
    expect(await refusalOf(requestOf(`${query} > 0`, instant), sources)).to.include(text);
    const grouped = await answerOf(requestOf(`count(${query})`, instant), sources);
    expect(grouped.type === 'vector' && grouped.series[0]?.values).to.deep.equal([50]);
  });

  it('has of very many streams no more at hand than it may, and an entry of each', async () => {
    const [streamCount, lineCount, lineSize] = [1_500, 16, 4_096];
    const atHandMax = 64 << 20;
    const pairs = Array.from({ length: lineCount }, (_, index) => at(index, String(index).padEnd(lineSize, '.')));
    const stored = [segmentOf([pairs])];
    const sources = sourcesOf(
      Array.from({ length: streamCount }, (_, index) => ({ labels: { ...APP, stream: `s${index}` }, stored })),
    );
    const pool = inThreadPool();
    let arrived = 0;
    const scanPool: ScanPool = {
      size: pool.size,
      run: async (task, transfer) => {
        const result = await pool.run(task, transfer);
        if (result.kind === 'log') arrived += result.bytes.byteLength;
        return result;
      },
    };
    const signal = new AbortController().signal;
    const request = requestOf('{app="a"}', { limits: { timeoutMs: 0, bytesReadMax: 0, seriesMax: 0 } });
    const deps = { scanPool, clock: systemClock };
    const events: QueryEvent[] = [];
    for await (const event of queryEvents(request, sources, deps, signal)) events.push(event);
    expect(events.at(-1)).to.have.nested.property('statistics.entriesReturned', request.limit);
    expect(arrived).to.be.within(atHandMax / 2, atHandMax + streamCount * lineSize);
  });

  it('asks memory first, so that what is flushed meanwhile shows at least once', async () => {
    const sources = sourcesOf([{ labels: APP, stored: [segmentOf([[at(1, 'x')]])] }]);
    await answerOf(requestOf('{app="a"}'), sources);
    expect(sources.asked.slice(0, 2)).to.deep.equal(['memory', 'index']);
  });

  it('reads many small streams in few tasks, in global order, and only as far as a limit needs', async () => {
    const order = (index: number): number => (index * 7919) % 3000;
    const sources = sourcesOf(
      Array.from({ length: 3000 }, (_, index) => ({
        labels: { app: 'a', pod: String(index) },
        memory: [segmentOf([[at(order(index), `line ${order(index)}`)]], { openHead: true })],
      })),
    );
    const pool = inThreadPool();
    const read = async (query: string, more: Partial<QueryRequest>): Promise<readonly string[]> => {
      pool.tasks.length = 0;
      const found: string[] = [];
      const deps = { scanPool: pool, clock: systemClock };
      await executeQuery(requestOf(query, more), sources, deps, new AbortController().signal, async (event) => {
        if (event.type !== 'entries') return;
        const entries = event.streams.flatMap((stream) => stream.entries);
        for (const { line } of entries.sort((a, b) => Number(a.timeNs - b.timeNs))) found.push(line);
      });
      return found;
    };
    const all = Array.from({ length: 3000 }, (_, index) => `line ${index}`);
    expect(await read('{app="a"}', { limit: 5000 })).to.deep.equal(all);
    expect(pool.tasks.length).to.be.below(40);
    expect(await read('{app="a"}', { limit: 10, direction: 'backward' })).to.deep.equal(all.slice(-10));
    const reads = pool.tasks.reduce((sum, task) => sum + (task.kind === 'log' ? task.reads.length : 0), 0);
    expect(reads).to.be.below(200);
    expect(await read('{app="a"} |= "nothere"', { limit: 10 })).to.deep.equal([]);
  });

  describe('reads chunks of many streams', () => {
    const HIT = 20;
    const NOTHING = '{app="a"} |~ "[0-9]z"';
    const streamsOf = (count: number, place: 'stored' | 'memory' = 'stored') =>
      sourcesOf(
        Array.from({ length: count }, (_, index) => ({
          labels: { app: 'a', pod: String(index) },
          [place]: [
            segmentOf([[at(2e6 * index, index === HIT ? 'hit 1y' : `line ${index}`)]], {
              openHead: place === 'memory',
            }),
          ],
        })),
      );
    const COUNT = 240;
    const sources = streamsOf(COUNT);
    const ask = (
      query: string,
      pool: ScanPool,
      more: Partial<QueryRequest> = {},
      from = sources,
    ): Promise<QueryResult> => answerOf(requestOf(query, { endNs: BASE_NS + 10n * SECOND, ...more }), from, pool);
    type TestPool = ReturnType<typeof inThreadPool>;
    const chunksIn = ({ tasks }: TestPool): readonly number[] =>
      tasks.flatMap((task) => (task.kind === 'log' ? [task.reads.length] : []));
    const waiting = (pool: TestPool, before: (task: ScanTask) => Promise<unknown>): TestPool => ({
      ...pool,
      run: async (task, transfer) => {
        await before(task);
        return await pool.run(task, transfer);
      },
    });
    const isOf = (task: ScanTask, stream: number): boolean =>
      task.kind === 'log' && task.reads.some(({ slice }) => slice.startNs === BASE_NS + BigInt(2e6 * stream));
    const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    const bounded = { timeoutMs: 10_000, bytesReadMax: 500, seriesMax: 0 };
    const byDefault = { timeoutMs: 10_000, bytesReadMax: 0, querierBytesReadMax: 150 * 2 ** 30, seriesMax: 0 };

    it('some in one task while nothing is found, at the end one at a time, and each once', async () => {
      const pool = inThreadPool();
      expect(lines(await ask(NOTHING, pool, { limits: byDefault }))).to.deep.equal([]);
      const chunks = chunksIn(pool);
      expect(chunks.reduce((sum, count) => sum + count, 0)).to.equal(COUNT);
      expect(chunks.length).to.be.below(COUNT / 2);
      expect([chunks[0], chunks.at(-1), Math.max(...chunks)]).to.deep.equal([1, 1, 4]);
    });

    it('no more than are needed where something is found', async () => {
      const pool = inThreadPool();
      const found = lines(await ask('{app="a"} |~ "[0-9]"', pool, { limit: 5 }));
      expect(found).to.deep.equal([0, 1, 2, 3, 4].map((index) => `line ${index}`));
      expect(chunksIn(pool).length).to.be.below(5 + 2 * 2 * pool.size);
    });

    it('no further than it may where bytes are counted', async () => {
      const slow = waiting(inThreadPool(), (task) => pause(isOf(task, HIT) ? 100 : 0));
      const answer = await ask('{app="a"} |~ "[0-9]y"', slow, { limit: 1, limits: bounded });
      expect(lines(answer)).to.deep.equal(['hit 1y']);
    });

    it('and none again, one by one, that were read together when they were too many bytes', async () => {
      const pool = inThreadPool();
      const refused = ask(NOTHING, pool, { limits: bounded }, streamsOf(500, 'memory'));
      expect(await refused.catch(String)).to.match(/the query would read too many bytes/);
      expect(Math.min(...chunksIn(pool))).to.be.greaterThan(1);
    });

    it('none any more once it is cancelled', async () => {
      const many = streamsOf(1000);
      const abort = new AbortController();
      let [ran, asked] = [0, 0];
      const slow = waiting(inThreadPool(8), async () => {
        ran += 1;
        if (ran === 60) {
          setTimeout(() => {
            asked = many.asked.length;
            abort.abort();
          }, 1);
        }
        await pause(4);
      });
      const request = requestOf(NOTHING, { endNs: BASE_NS + 10n * SECOND });
      const deps = { scanPool: slow, clock: systemClock };
      const ended = executeQuery(request, many, deps, abort.signal, () => Promise.resolve());
      expect(await ended.catch((error: unknown) => error)).to.be.instanceOf(RefusedError);
      await pause(50);
      expect(asked).to.be.greaterThan(0);
      expect(many.asked.length).to.equal(asked);
    });

    /** Chunks that are read in all while that of one stream waits. */
    const readWhileHeld = async (stream: number, query: string, more: Partial<QueryRequest> = {}): Promise<number> => {
      const pool = inThreadPool();
      const abort = new AbortController();
      const slow = waiting(pool, async (task) => {
        if (!isOf(task, stream)) return;
        await new Promise((resolve) => abort.signal.addEventListener('abort', resolve));
      });
      const request = requestOf(query, { endNs: BASE_NS + 10n * SECOND, limits: byDefault, ...more });
      const deps = { scanPool: slow, clock: systemClock };
      const ended = executeQuery(request, sources, deps, abort.signal, () => Promise.resolve()).catch(() => undefined);
      let seen = -1;
      while (seen < pool.tasks.length) {
        seen = pool.tasks.length;
        await pause(30);
      }
      const count = chunksIn(pool).reduce((sum, chunks) => sum + chunks, 0);
      abort.abort();
      await ended;
      return count;
    };

    it('on while the first in line is slow, as much again as was read in vain and no more', async () => {
      const tasksMax = 4;
      expect(await readWhileHeld(0, NOTHING)).to.be.within(tasksMax, 2 * tasksMax);
      const later = 10;
      expect(await readWhileHeld(later, NOTHING)).to.be.within(later + 2 * tasksMax, 2 * later + 5 * tasksMax);
    });

    it('no further while the first in line is slow where something was found, or little may be read', async () => {
      const tasksMax = 4;
      expect(await readWhileHeld(0, '{app="a"} |~ "line [0-9]*[13579]$"')).to.be.below(tasksMax);
      const few = { limits: { ...byDefault, bytesReadMax: 100 << 20 } };
      expect(await readWhileHeld(10, NOTHING, few)).to.be.at.most(10 + tasksMax);
    });
  });

  it('gives what is in both once, in log queries and in counts', async () => {
    const segment = segmentOf([[at(1, 'x'), at(2, 'y')], [at(3, 'z')]]);
    const sources = sourcesOf([{ labels: APP, memory: [segment], stored: [segment] }]);
    expect(lines(await answerOf(requestOf('{app="a"}'), sources))).to.deep.equal(['x', 'y', 'z']);
    const instant = { startNs: BASE_NS + SECOND, endNs: BASE_NS + SECOND, isInstant: true };
    const count = await answerOf(requestOf('count_over_time({app="a"}[1m])', instant), sources);
    expect(count).to.deep.include({ type: 'vector' });
    expect(count.type === 'vector' && count.series[0]?.values).to.deep.equal([3]);
    expect(count.statistics.duplicates).to.equal(3);
  });

  it('checks the labels in a chunk: the index does not decide every matcher', async () => {
    const sources = sourcesOf([
      { labels: { app: 'a', env: 'dev' }, stored: [segmentOf([[at(1, 'dev')]])] },
      { labels: APP, stored: [segmentOf([[at(1, 'none')]])] },
    ]);
    expect(lines(await answerOf(requestOf('{app="a", env=""}'), sources))).to.deep.equal(['none']);
  });

  it('fails by name when a chunk is missing, or any byte of it is wrong', async () => {
    const missing = sourcesOf([{ labels: APP, stored: [segmentOf([[at(1, 'x')]])] }]);
    const [key = ''] = missing.objects.keys();
    missing.objects.clear();
    const text = `INTERNAL chunk ${key} cannot be read: the index names it and the store does not have it`;
    expect(await refusalOf(requestOf('{app="a"}'), missing)).to.equal(text);

    const damaged = sourcesOf([{ labels: APP, stored: [segmentOf([[at(1, 'some line')]])] }]);
    const [bytes = new Uint8Array()] = damaged.objects.values();
    for (let offset = 0; offset < bytes.length; offset += 1) {
      bytes[offset]! ^= 0x10;
      const query = requestOf('count_over_time({app="a"}[1m])', { isInstant: true, startNs: BASE_NS + SECOND });
      expect(await refusalOf(query, damaged), `byte ${offset}`).to.match(/^INTERNAL chunk .* cannot be read/);
      bytes[offset]! ^= 0x10;
    }
  });

  it('says what it read', async () => {
    const sources = sourcesOf([
      { labels: APP, memory: [segmentOf([[at(10, 'm')]], { openHead: true })], stored: [segmentOf([[at(1, 'abc')]])] },
    ]);
    const { statistics } = await answerOf(requestOf('{app="a"}'), sources);
    expect(statistics).to.include({
      chunkRefs: 1,
      chunksDownloaded: 1,
      streamsInMemory: 1,
      chunksInMemory: 1,
      headBytes: 1,
      headLines: 1,
      decompressedLines: 1,
      linesProcessed: 2,
      entriesReturned: 2,
      duplicates: 0,
    });
    expect(statistics.bytesProcessed).to.equal(statistics.decompressedBytes + 1);
  });
});

describe('a log query', () => {
  const blocks = Array.from({ length: 8 }, (_, block) =>
    Array.from({ length: 100 }, (_, entry) => at(block * 1000 + entry * 10, `${block}.${entry}`)),
  );

  it('reads no more blocks than the limit needs', async () => {
    const sources = sourcesOf([{ labels: APP, stored: [segmentOf(blocks)] }]);
    const newest = await answerOf(requestOf('{app="a"}', { limit: 30, direction: 'backward' }), sources);
    expect(lines(newest).slice(0, 2)).to.deep.equal(['7.99', '7.98']);
    expect(lines(newest)).to.have.length(30);
    expect(newest.statistics.decompressedLines).to.equal(100);
    const oldest = await answerOf(requestOf('{app="a"}', { limit: 30, direction: 'forward' }), sources);
    expect(lines(oldest).slice(0, 2)).to.deep.equal(['0.0', '0.1']);
    expect(oldest.statistics.decompressedLines).to.equal(100);
  });

  it('takes the newest over all streams, whatever their blocks', async () => {
    const streams = [0, 1, 2].map((number) => ({
      labels: { app: 'a', i: String(number) },
      memory: [segmentOf([blocks.flat().filter((_, index) => index % 3 === number)])],
    }));
    const result = await answerOf(requestOf('{app="a"}', { limit: 5, direction: 'backward' }), sourcesOf(streams));
    expect(lines(result).sort()).to.deep.equal(['7.95', '7.96', '7.97', '7.98', '7.99']);
  });

  it('gives entries of one time in one order, whatever the streams were found in', async () => {
    const all = Array.from({ length: 12 }, (_, pod) => ({ pod, segment: segmentOf([[at(5, `line of ${pod}`)]]) }));
    const linesIn = async (streams: typeof all, isStored: (pod: number) => boolean, limit: number) => {
      const sources = sourcesOf(
        streams.map(({ pod, segment }) => {
          const labels = { ...APP, pod: `p${pod}` };
          return isStored(pod) ? { labels, stored: [segment] } : { labels, memory: [segment] };
        }),
      );
      return lines(await answerOf(requestOf('{app="a"} | drop pod', { limit }), sources));
    };
    for (const limit of [4, 100]) {
      const first = await linesIn(all, () => false, limit);
      expect(first).to.have.length(Math.min(limit, all.length));
      for (const streams of [all, all.toReversed()]) {
        for (const isStored of [() => false, () => true, (pod: number) => pod % 3 === 1]) {
          expect(await linesIn(streams, isStored, limit)).to.deep.equal(first);
        }
      }
    }
  });

  it('goes on where it stopped in a block it had to leave', async () => {
    const sources = sourcesOf([{ labels: APP, stored: [segmentOf([blocks.flat()])] }]);
    for (const direction of ['forward', 'backward'] as const) {
      const result = await answerOf(requestOf('{app="a"}', { limit: 750, direction, intervalNs: 1n }), sources);
      const all = blocks.flat().map(({ line }) => line);
      expect(lines(result)).to.deep.equal((direction === 'forward' ? all : all.reverse()).slice(0, 750));
    }
  });

  it('keeps entries an interval apart, over all streams together', async () => {
    const streams = ['x', 'y'].map((i, number) => ({
      labels: { app: 'a', i },
      memory: [segmentOf([[0, 10, 20, 30].map((time) => at(time + number * 5, `${i}${time}`))])],
    }));
    const result = await answerOf(requestOf('{app="a"}', { intervalNs: 12n }), sourcesOf(streams));
    expect(lines(result)).to.deep.equal(['x0', 'x30', 'y10']);
  });

  it('includes its start and excludes its end', async () => {
    const sources = sourcesOf([{ labels: APP, memory: [segmentOf([[at(1, 'a'), at(2, 'b'), at(3, 'c')]])] }]);
    const range = { startNs: BASE_NS + 1n, endNs: BASE_NS + 3n };
    expect(lines(await answerOf(requestOf('{app="a"}', range), sources))).to.deep.equal(['a', 'b']);
    expect(lines(await answerOf(requestOf('{app="a"}', { ...range, startNs: range.endNs }), sources))).to.deep.equal(
      [],
    );
  });

  it('keeps nanoseconds exact however far the range reaches', async () => {
    const sources = sourcesOf([
      { labels: APP, memory: [segmentOf([[at(1, 'a'), at(2, 'b'), at(3, 'c')]], { openHead: true })] },
    ]);
    const everything = { startNs: -(2n ** 63n), endNs: 2n ** 63n - 1n };
    expect(lines(await answerOf(requestOf('{app="a"}', everything), sources))).to.deep.equal(['a', 'b', 'c']);
  });

  it('comes in events of bounded size, in order of time', async () => {
    const many = Array.from({ length: 25_000 }, (_, index) => at(index, `line ${index}`));
    const sources = sourcesOf([{ labels: APP, stored: [segmentOf([many])] }]);
    const events = await eventsOf(requestOf('{app="a"}', { limit: Number.MAX_SAFE_INTEGER }), sources);
    const sizes = events.map((event) => (event.type === 'entries' ? (event.streams[0]?.entries.length ?? 0) : -1));
    expect(sizes).to.deep.equal([10_000, 10_000, 5_000, -1]);
    expect(lines(await answerOf(requestOf('{app="a"}', { limit: 1e9 }), sources))[24_999]).to.equal('line 24999');
  });
});

describe('limits of a query', () => {
  const instant = { isInstant: true, startNs: BASE_NS + SECOND, endNs: BASE_NS + SECOND };
  const streams = ['1', '2', '3'].map((i) => ({
    labels: { app: 'a', i },
    memory: [segmentOf([[at(1, 'x'.repeat(100))]])],
  }));

  it('refuses more series than allowed in the answer, not below it', async () => {
    const limits = { timeoutMs: 1000, bytesReadMax: 0, seriesMax: 2 };
    const many = requestOf('count_over_time({app="a"}[1m])', { ...instant, limits });
    expect(await refusalOf(many, sourcesOf(streams))).to.match(/^INVALID_QUERY maximum number of series \(2\) reached/);
    const few = requestOf('sum(count_over_time({app="a"}[1m]))', { ...instant, limits });
    expect((await answerOf(few, sourcesOf(streams))).type).to.equal('vector');
  });

  it('counts no series of streams without an entry that counts', async () => {
    const limits = { timeoutMs: 1000, bytesReadMax: 0, seriesMax: 1 };
    const between = ['1', '2', '3'].map((i) => ({
      labels: { app: 'a', i },
      memory: [segmentOf([[at(i === '1' ? 1e9 : 5e8, 'x')]])],
    }));
    const steps = { endNs: BASE_NS + SECOND, stepNs: SECOND, limits };
    const answer = await answerOf(requestOf('count_over_time({app="a"}[100ms])', steps), sourcesOf(between));
    expect(answer).to.have.property('series').with.lengthOf(1);
    const labelled = streams.map(({ labels }) => ({ labels, memory: [segmentOf([[at(1, `is ${labels.i}`)]])] }));
    const found = requestOf('count_over_time({app="a"} |= "is 2" [1m])', { ...instant, limits });
    expect(await answerOf(found, sourcesOf(labelled)))
      .to.have.property('series')
      .with.lengthOf(1);
  });

  it('refuses to read more bytes than allowed', async () => {
    const limits = { timeoutMs: 1000, bytesReadMax: 50, seriesMax: 0 };
    expect(await refusalOf(requestOf('{app="a"}', { limits }), sourcesOf(streams))).to.match(
      /^INVALID_QUERY the query would read too many bytes \(query: \d+ B, limit: 50 B\); consider adding/,
    );
  });

  it('refuses to read more bytes than one querier may', async () => {
    const limits = { timeoutMs: 1000, bytesReadMax: 0, querierBytesReadMax: 50, seriesMax: 0 };
    const request = requestOf('sum(count_over_time({app="a"}[1m]))', { ...instant, limits });
    expect(await refusalOf(request, sourcesOf(streams))).to.match(
      /^INVALID_QUERY query too large to execute on a single querier: \(query: \d+ B, limit: 50 B\); consider adding/,
    );
  });

  it('refuses what does not parse, and log queries at an instant', async () => {
    expect(await refusalOf(requestOf('{app="a"'), sourcesOf([]))).to.match(
      /^INVALID_QUERY parse error at line 1, col 9/,
    );
    expect(await refusalOf(requestOf('{app="a"}', instant), sourcesOf([]))).to.equal(
      'INVALID_QUERY log queries are not supported as an instant query type, please change your query to a range query type',
    );
  });

  it('fails the query for an error in a window, with the labels it has', async () => {
    const broken = [{ labels: APP, memory: [segmentOf([[at(1, 'no json')]])] }];
    const request = requestOf('count_over_time({app="a"} | json [1m])', instant);
    expect(await refusalOf(request, sourcesOf(broken))).to.match(
      /^INVALID_QUERY pipeline error: 'JSONParserErr' for series: '\{__error__="JSONParserErr", .*app="a"\}'\.\nUse a label/,
    );
  });
});

/** Scans that take until they are let go. */
const heldPool = (): { pool: ScanPool; started: () => number; release: () => void } => {
  const inner = inThreadPool(1);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let started = 0;
  const run: ScanPool['run'] = async (task, transfer): Promise<ScanResult> => {
    started += 1;
    await held;
    return await inner.run(task, transfer);
  };
  return { pool: { size: 1, run }, started: () => started, release: () => release() };
};

describe('the end of a query', () => {
  const sources = () => sourcesOf([{ labels: APP, stored: [segmentOf([[at(1, 'x')]])] }]);

  const outcome = (clock: ManualClock, signal: AbortSignal, pool: ScanPool): Promise<string> =>
    executeQuery(requestOf('{app="a"}'), sources(), { scanPool: pool, clock }, signal, () => Promise.resolve()).then(
      () => 'done',
      (error: unknown) =>
        error instanceof RefusedError ? `${error.refusal.code} ${error.refusal.text}` : String(error),
    );

  const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

  it('comes at its deadline, without waiting for what still runs', async () => {
    const clock = new ManualClock();
    const { pool, release, started } = heldPool();
    const ended = outcome(clock, new AbortController().signal, pool);
    while (started() === 0) await turns();
    clock.advance(10_000);
    expect(await ended).to.match(/^DEADLINE_EXCEEDED request timed out, decrease the duration of the request/);
    release();
  });

  it('comes with its signal, and leaves no timer', async () => {
    const clock = new ManualClock();
    const { pool, release, started } = heldPool();
    const abort = new AbortController();
    const ended = outcome(clock, abort.signal, pool);
    while (started() === 0) await turns();
    abort.abort();
    expect(await ended).to.equal('CANCELLED the request was cancelled by the client');
    expect(clock.timers).to.equal(0);
    release();
  });

  it('comes when its reader leaves', async () => {
    const many = Array.from({ length: 30_000 }, (_, index) => at(index, 'x'));
    const large = sourcesOf([{ labels: APP, stored: [segmentOf([many])] }]);
    const clock = new ManualClock();
    const pool = inThreadPool(1);
    const request = requestOf('{app="a"}', { limit: 1e9 });
    for await (const event of queryEvents(request, large, { scanPool: pool, clock }, new AbortController().signal)) {
      expect(event.type).to.equal('entries');
      break;
    }
    expect(clock.timers).to.equal(0);
  });

  it('waits for its reader: nothing is read on while an event is being taken', async () => {
    const stored = Array.from({ length: 6 }, (_, chunk) =>
      segmentOf([Array.from({ length: 10_000 }, (_, entry) => at(chunk * 1_000_000 + entry, 'x'))], { counter: chunk }),
    );
    const large = sourcesOf([{ labels: APP, stored }]);
    const request = requestOf('{app="a"}', { limit: 1e9, endNs: BASE_NS + 1_000_000_000n });
    const events: QueryEvent[] = [];
    const fetchedAtFirst: number[] = [];
    await executeQuery(
      request,
      large,
      { scanPool: inThreadPool(1), clock: systemClock },
      new AbortController().signal,
      async (event) => {
        if (events.length === 0) {
          await turns();
          fetchedAtFirst.push(large.asked.filter((what) => what.startsWith('fetch')).length);
        }
        events.push(event);
      },
    );
    expect(fetchedAtFirst[0]).to.be.lessThan(3);
    expect(events.at(-1)?.type).to.equal('done');
    expect(large.asked.filter((what) => what.startsWith('fetch'))).to.have.length(6);
  });
});
