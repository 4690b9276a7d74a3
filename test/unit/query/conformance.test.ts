/** What real Loki answered (test/conformance), asked of the engine itself: in memory, flushed, and in between. */
import { expect } from 'chai';
import { answerPieces } from '../../../src/http/answer-json.ts';
import { parseInstantTime, parseRangeParameters } from '../../../src/http/parameters.ts';
import { statusOf } from '../../../src/http/refusal-status.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { QueryRequest } from '../../../src/query/query-messages.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { QUERY_EXCEPTIONS } from '../../support/conformance-exceptions.ts';
import { type Answer, type Case, loadKit } from '../../support/conformance-kit.ts';
import { type DataStream, flushed, inBoth, inMemory, readDataStreams, tenantOf } from './conformance-store.ts';
import { answerOf } from './query-answers.ts';

/** `CONFORMANCE_ONLY=json,unwrap-003` asks these categories or ids alone. */
const ONLY = process.env['CONFORMANCE_ONLY']?.split(',');
const LIMITS = { timeoutMs: 60_000, bytesReadMax: 0, seriesMax: 5000 };
const CATEGORIZE = 'categorize-labels';

/** Decided by the HTTP edge, not by the engine. */
const ELSEWHERE = new Set(['limits', 'http']);

const flagsOf = ({ headers }: Case): string[] =>
  headers?.['x-loki-response-encoding-flags']?.split(',').map((flag) => flag.trim()) ?? [];

const requestOf = (one: Case, form: URLSearchParams): QueryRequest => {
  const common = {
    tenant: tenantOf(one.tenant),
    categorizeLabels: flagsOf(one).includes(CATEGORIZE),
    limits: LIMITS,
  };
  if (one.kind === 'range') return { ...parseRangeParameters(form, 0n), isInstant: false, ...common };
  const timeNs = parseInstantTime(form, 0n);
  const instant = { startNs: timeNs, endNs: timeNs, stepNs: 0n, isInstant: true, intervalNs: 0n };
  return { query: form.get('query') ?? '', ...instant, limit: 100, direction: 'backward', ...common };
};

describe('conformance with Loki', function () {
  this.timeout(600_000);
  let streams: DataStream[];
  let kit: Awaited<ReturnType<typeof loadKit>>;
  let cases: Case[];

  before(async () => {
    streams = readDataStreams();
    kit = await loadKit();
    cases = kit
      .readCases()
      .filter(({ kind, category }) => (kind === 'range' || kind === 'instant') && !ELSEWHERE.has(category))
      .filter(({ id, category }) => !ONLY || ONLY.includes(id) || ONLY.includes(category));
  });

  const ask = async (sources: QuerySources, one: Case): Promise<Answer> => {
    const { path, body: form } = kit.requestOf(one);
    try {
      const request = requestOf(one, new URLSearchParams(form ?? path.slice(path.indexOf('?') + 1)));
      const result = await answerOf(request, sources);
      const body = [...answerPieces(result, flagsOf(one))].join('');
      return kit.normalise(one, { status: 200, body: Buffer.from(body) });
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return { status: statusOf(error.refusal), t: 'error', text: error.message.trim() };
    }
  };

  /** Asks every case; gives the failures by id. */
  const failuresOf = async (sources: QuerySources): Promise<string[]> => {
    const { answers } = kit.readExpected();
    const table = new Map<string, [number, number]>();
    const failures: string[] = [];
    for (const one of cases) {
      const expected = answers[one.id]!;
      const actual = await ask(sources, one);
      const found = kit.differences(expected, actual);
      if (
        found.length === 0 &&
        expected.t === 'error' &&
        expected.text !== undefined &&
        expected.text !== actual.text
      ) {
        found.push(`text ${JSON.stringify(expected.text)}, got ${JSON.stringify(actual.text)}`);
      }
      const row = table.get(one.category) ?? [0, 0];
      table.set(one.category, row);
      row[found.length > 0 ? 1 : 0] += 1;
      if (found.length > 0 && !QUERY_EXCEPTIONS.has(one.id))
        failures.push(`${one.id} ${one.query}\n    ${found.join('\n    ')}`);
    }
    const counts = [...table].map(([category, [passed, failed]]) => `${category} ${passed}/${passed + failed}`);
    process.stdout.write(`      ${counts.join(', ')}\n`);
    return failures;
  };

  it('answers as Loki from memory', async () => {
    expect((await failuresOf(inMemory(streams))).join('\n')).to.equal('');
  });

  it('answers as Loki while everything is both in memory and in the store', async () => {
    expect((await failuresOf(await inBoth(streams))).join('\n')).to.equal('');
  });

  it('answers as Loki from the store', async () => {
    expect((await failuresOf(await flushed(streams))).join('\n')).to.equal('');
  });
});
