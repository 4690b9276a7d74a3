/** Queries through real worker threads: the same answers, and a prompt end. */
import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { executeQuery } from '../../../src/query/execute-query.ts';
import type { ScanResult, ScanTask } from '../../../src/query/scan/scan-messages.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { WorkerPool } from '../../../src/workers/worker-pool.ts';
import { answerOf } from '../../unit/query/query-answers.ts';
import { at, BASE_NS, segmentOf } from '../../unit/query/test-blocks.ts';
import { requestOf, sourcesOf } from '../../unit/query/test-sources.ts';

describe('scan workers', function () {
  this.timeout(60_000);
  let pool: WorkerPool<ScanTask, ScanResult>;

  before(() => {
    pool = new WorkerPool({ entry: 'scan-worker', size: 2, queueMax: 1000 });
  });

  after(() => pool.close());

  const streams = Array.from({ length: 12 }, (_, number) => {
    const lists = [0, 1, 2].map((block) =>
      Array.from({ length: 50 }, (_, entry) => {
        const line = `{"level":"${entry % 3 === 0 ? 'error' : 'info'}","n":${entry}}`;
        return at(block * 10_000 + entry * 100 + number, line, entry % 10 === 0 ? ['trace', String(entry)] : undefined);
      }),
    );
    const stored = [segmentOf(lists.slice(0, 2))];
    return {
      labels: { app: 'a', i: String(number) },
      stored,
      memory: [...stored, segmentOf(lists.slice(2), { openHead: true })],
    };
  });

  const QUERIES = [
    '{app="a"}',
    '{app="a"} |= "error" | json | n > 40',
    'sum by (level) (count_over_time({app="a"} | json [1s]))',
    'sum by (i) (sum_over_time({app="a"} | json | unwrap n [1s]))',
    'topk(2, sum by (trace) (bytes_over_time({app="a"}[1s])))',
  ];

  for (const query of QUERIES) {
    it(`answer ${query} as the scan in this thread does`, async () => {
      const stepNs = 20_000n;
      const request = requestOf(query, { stepNs, limit: 500, direction: 'backward', categorizeLabels: true });
      const expected = await answerOf(request, sourcesOf(streams));
      const actual = await answerOf(request, sourcesOf(streams), pool);
      const { executionMs: _expectedMs, ...expectedStatistics } = expected.statistics;
      const { executionMs: _actualMs, ...actualStatistics } = actual.statistics;
      expect({ ...actual, statistics: {} }).to.deep.equal({ ...expected, statistics: {} });
      if (!query.startsWith('{')) expect(actualStatistics).to.deep.equal(expectedStatistics);
    });
  }

  it('drop what waits for a query that is cancelled', async () => {
    const lines = Array.from({ length: 20_000 }, (_, entry) => at(entry, `line ${entry} of many, with some more text`));
    const many = Array.from({ length: 60 }, (_, number) => ({
      labels: { app: 'a', i: String(number) },
      stored: [segmentOf([lines])],
    }));
    const abort = new AbortController();
    const request = requestOf('sum(count_over_time({app="a"} |~ "[a-z]+ [0-9]+ .*nothing like it" [1s]))', {
      isInstant: true,
      startNs: BASE_NS + 1_000_000_000n,
    });
    const deps = { scanPool: pool, clock: systemClock };
    const ended = executeQuery(request, sourcesOf(many), deps, abort.signal, () => Promise.resolve()).catch(
      (error: unknown) => (error instanceof RefusedError ? error.refusal.code : String(error)),
    );
    setTimeout(() => abort.abort(), 20);
    expect(await ended).to.equal('CANCELLED');
    expect(pool.queued).to.equal(0);
    // The pool serves the next query.
    expect((await answerOf(requestOf('{app="a"}', { limit: 3 }), sourcesOf(streams), pool)).type).to.equal('streams');
  });
});
